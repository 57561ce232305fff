"""A SEDD checkpoint: its files, its network, its tokenizer; how it is decoded is another matter."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from decoders.fingerprint import checkpoint_hash
from decoders.loading.checkpoint import (
    MOST_LAYERS,
    Config,
    LoadError,
    Preset,
    choose_device,
    fetch_file,
    find_checkpoint,
    need_packages,
    read_config,
)
from decoders.loading.weights import load_weights
from decoders.models.sedd.network import ROTARY_THETA, SeddNetwork
from decoders.models.sedd.noise import Geometric, LogLinear, Noise
from decoders.network.family import keys_test, read_tokenizer, same_key
from decoders.network.self_tests import SelfTest, all_passed, rotary_tables
from decoders.protocols import ModelRequest
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.hf_tokenizer import HFTokenizer

LOGGER = logging.getLogger(__name__)

PRESETS = MappingProxyType(
    {
        "sedd": Preset(
            hub_id="louaaron/sedd-small", revision="main", dtype="float32", licence="MIT (code; card: none)"
        ),
        "sedd-medium": Preset(
            hub_id="louaaron/sedd-medium", revision="main", dtype="float32", licence="MIT (code; card: none)"
        ),
    }
)

GPT2_TOKENS = 50257
GPT2_HUB_ID = "openai-community/gpt2"
"""Its tokenizer.json is the vocabulary of the published checkpoints, which hold no tokenizer themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sedd:
    """A loaded SEDD checkpoint, however it is decoded.

    ``tokens`` counts the states that are tokens; the absorbing graph has MASK after them. ``eos_id`` is the
    last token, GPT-2's end of text, unless config.json names another. ``graph`` is ``absorb`` or ``uniform``.
    """

    name: str
    directory: Path
    device: torch.device
    tokens: int
    eos_id: int
    max_length: int
    graph: str
    noise: Noise
    tokenizer: HFTokenizer | ByteTokenizer
    network: SeddNetwork
    self_tests: tuple[SelfTest, ...]

    @property
    def states(self) -> int:
        """The tokens, and MASK for the absorbing graph."""
        return self.tokens + (self.graph == "absorb")

    def check_length(self, length: int) -> None:
        """Raise a ValueError for a canvas longer than the network was trained with.

        Without a tokenizer any length is allowed: bytes are many more than tokens, and rotary positions have
        no end; `load_sedd` has said so.
        """
        if length > self.max_length and not self.tokenizer.is_fallback:
            raise ValueError(
                f"canvas of {self.name!r} must be at most {self.max_length} tokens long, got {length}; "
                "use shorter prompts, fewer worked examples or a shorter generated region"
            )


INERT = re.compile(
    r"(training|data|sampling|eval|optim|hydra|slurm|defaults)\b.*|ngpus|work_dir|wandb_name"
    r"|noise\.sigma_m(in|ax)|graph\.(file|report_all)|model\.(name|type|dropout)"
)
"""Keys of config.json that change no score: how it was trained and sampled. The range of the noise counts
only where that is geometric (it is read then)."""


def files_hash(request: ModelRequest, presets: Mapping[str, Preset]) -> str:
    """Return the fingerprint of a request for one of *presets*, a folder or a hub id."""
    files = checkpoint_hash(find_checkpoint(request, presets))
    if request.source is not None:
        return files
    tokenizer = fetch_file(request.name, GPT2_HUB_ID, "tokenizer.json")
    return hashlib.sha256(files.encode() + tokenizer.read_bytes()).hexdigest()


def load_sedd(request: ModelRequest, presets: Mapping[str, Preset]) -> Sedd:
    """Return the SEDD checkpoint that *request* asks for.

    Raises:
        LoadError: It cannot be found, is not SEDD, or its rotary table is not as the formula says.
    """
    need_packages("safetensors")
    directory = find_checkpoint(request, presets)
    config = _flat(read_config(directory))
    if request.dtype not in (None, "float32"):
        raise LoadError(
            f"dtype must be float32 for {request.name!r}, got {request.dtype!r}; scores are ratios of small "
            "probabilities, leave it out"
        )
    device = choose_device(request)
    tokens = config.integer("tokens", minimum=2)
    config.must_be("graph.type", "absorb", "uniform")
    absorb = config.get("graph.type") == "absorb"
    config.must_be("noise.type", "loglinear" if absorb else "geometric")
    config.must_be("model.scale_by_sigma", *((True, False) if absorb else (False,)))
    hidden, heads = config.integer("model.hidden_size"), config.integer("model.n_heads")
    if hidden % heads or hidden // heads % 2:
        raise config.refuse(
            "model.n_heads",
            f"a divisor of hidden_size={hidden} into heads of even width",
            "use the published file",
        )
    with torch.device("meta"):
        network = SeddNetwork(
            states=tokens + absorb,
            hidden_size=hidden,
            n_blocks=config.integer("model.n_blocks", below=MOST_LAYERS),
            n_heads=heads,
            cond_dim=config.integer("model.cond_dim"),
            scale_by_sigma=config.get("model.scale_by_sigma"),
        )
    noise, max_length = _noise(config), config.integer("model.length")
    eos_id = config.integer("eos_token_id", minimum=0, below=tokens, default=tokens - 1)
    config.refuse_unread({key for key in config.values if INERT.match(key)}, {})
    tensors = load_weights(
        network, directory, rename=same_key, ties={}, dtype=torch.float32, device=lambda _: device
    )
    rope = rotary_tables(network, ROTARY_THETA, hidden // heads)
    tokenizer = _tokenizer(request, directory, tokens)
    if tokenizer.is_fallback:
        LOGGER.warning(
            "%r has no tokenizer: canvases above its %d tokens are taken", request.name, max_length
        )
    return Sedd(
        name=request.name,
        directory=directory,
        device=device,
        tokens=tokens,
        eos_id=eos_id,
        max_length=max_length,
        graph=config.get("graph.type"),
        noise=noise,
        tokenizer=tokenizer,
        network=network,
        self_tests=(keys_test(tensors), *all_passed(request.name, (rope,))),
    )


def _noise(config: Config) -> Noise:
    if config.get("noise.type") == "loglinear":
        return LogLinear()
    low, high = config.positive("noise.sigma_min"), config.positive("noise.sigma_max")
    if low >= high:
        raise config.refuse(
            "noise.sigma_max", f"above sigma_min={low}", "use the checkpoint's own config.json"
        )
    return Geometric(sigma_min=low, sigma_max=high)


def _flat(config: Config) -> Config:
    """Return *config* with its nested fields named ``graph.type``."""
    values: dict[str, Any] = {}
    for key, value in config.values.items():
        fields = value if isinstance(value, dict) else {}
        values |= {f"{key}.{name}": field for name, field in fields.items()} or {key: value}
    return replace(config, values=values)


def _tokenizer(request: ModelRequest, directory: Path, tokens: int) -> HFTokenizer | ByteTokenizer:
    tokenizer = read_tokenizer(directory, request.name, tokens)
    if not isinstance(tokenizer, ByteTokenizer) or tokens != GPT2_TOKENS:
        return tokenizer
    if request.source is None:
        folder = fetch_file(request.name, GPT2_HUB_ID, "tokenizer.json").parent
        return HFTokenizer.from_folder(folder, name=request.name)
    raise LoadError(
        f"checkpoint with GPT-2's {tokens} tokens must hold its tokenizer.json, got {str(directory)!r} "
        f"without it; put the tokenizer.json of {GPT2_HUB_ID} into that folder"
    )
