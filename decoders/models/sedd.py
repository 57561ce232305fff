"""SEDD with the absorbing graph as a mask predictor, and the loader that its samplers share.

Legend: B = rows, L = canvas length, N = queried positions, V = states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from decoders import chat, devices
from decoders.byte_tokenizer import ByteTokenizer
from decoders.fingerprint import checkpoint_hash
from decoders.hf_tokenizer import HFTokenizer
from decoders.loading import (
    Config,
    LoadError,
    Preset,
    choose_device,
    fetch_file,
    find_checkpoint,
    need_packages,
    read_config,
)
from decoders.models.native import keys_test, read_tokenizer, same_key
from decoders.models.sedd_network import ROTARY_THETA, SeddNetwork
from decoders.models.sedd_noise import LogLinear
from decoders.protocols import Message, ModelRequest
from decoders.self_tests import (
    SelfTest,
    all_passed,
    both_directions,
    padding,
    rotary_tables,
    suppression,
)
from decoders.weights import load_weights

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

    ``tokens`` counts the states that are tokens; the absorbing graph has MASK after them. ``graph`` and
    ``noise`` are as in config.json.
    """

    name: str
    directory: Path
    device: torch.device
    tokens: int
    max_length: int
    graph: str
    noise: Mapping[str, Any]
    tokenizer: HFTokenizer | ByteTokenizer
    network: SeddNetwork
    self_tests: tuple[SelfTest, ...]

    @property
    def states(self) -> int:
        """The tokens, and MASK for the absorbing graph."""
        return self.tokens + (self.graph == "absorb")

    @property
    def eos_id(self) -> int:
        """The last token: GPT-2's end of text."""
        return self.tokens - 1

    def check_length(self, length: int) -> None:
        """Raise a ValueError for a canvas longer than the network was trained with."""
        if length > self.max_length:
            raise ValueError(
                f"canvas of {self.name!r} must be at most {self.max_length} tokens long, got {length}; "
                "use shorter prompts, fewer worked examples or a shorter generated region"
            )


@dataclass(kw_only=True, eq=False)
class SeddDenoiser:
    """SEDD's scores as logits of masked positions, for any unmasking method.

    With the log-linear noise a token is masked with the probability ``(1 - e) t``, and the score of a token at
    a masked position times ``exp(sigma) - 1`` is its probability (arXiv:2310.16834, absorbing graph). So the
    outputs of the last layer, MASK left out, are logits. ``t`` is the share of masked positions in the row,
    prompt included, as in training, where masks fall on all positions alike.
    """

    checkpoint: Sedd | None
    name: str
    mask_id: int
    eos_ids: frozenset[int]
    pad_id: int
    vocab_size: int
    tokenizer: HFTokenizer | ByteTokenizer
    device: torch.device
    suppressed_ids: tuple[int, ...]
    self_tests: tuple[SelfTest, ...] = ()
    dtype: str = "float32"

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of the contents, a blank line after each: SEDD has no chat format."""
        return self.tokenizer.encode(chat.render_plain(messages))

    def answer_ids(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return the generated *ids* before the first end of text."""
        return chat.answer_ids(ids, self.eos_ids)

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return float32 logits [N, V] of the queried positions, MASK at -inf; *contexts* are not read.

        Raises:
            ValueError: The canvas is longer than the network was trained with.
            RuntimeError: The model was closed.
        """
        self._open().check_length(canvas.shape[1])
        logits = self.raw_logits(canvas, attend, query)
        with torch.inference_mode():
            logits[:, self.mask_id] = float("-inf")
        return logits

    def raw_logits(self, canvas: Tensor, attend: Tensor, query: Tensor) -> Tensor:
        """Return the network's outputs [N, V], nothing suppressed and any length allowed."""
        checkpoint = self._open()
        canvas, attend, query = (tensor.to(self.device) for tensor in (canvas, attend, query))
        masked = ((canvas == self.mask_id) & attend).sum(dim=1)
        sigma = LogLinear().sigma(masked.double() / attend.sum(dim=1).clamp(min=1)).float()
        with torch.inference_mode():
            return checkpoint.network.head(canvas, attend, sigma, query)

    def sync(self) -> None:
        """Wait until the device is idle."""
        devices.sync(self.device)

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be called afterwards."""
        self.checkpoint = None
        devices.release(self.device)

    def _open(self) -> Sedd:
        if self.checkpoint is None:
            raise RuntimeError(
                f"model {self.name!r} must be open to be called, got a closed one; load it again"
            )
        return self.checkpoint


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the checkpoint's files, and of GPT-2's tokenizer where a preset uses it.

    Raises:
        ValueError: It cannot be found, or is incomplete.
    """
    files = checkpoint_hash(find_checkpoint(request, PRESETS))
    if request.source is not None:
        return files
    tokenizer = fetch_file(request.name, GPT2_HUB_ID, "tokenizer.json")
    return hashlib.sha256(files.encode() + tokenizer.read_bytes()).hexdigest()


def load(request: ModelRequest) -> SeddDenoiser:
    """Return the SEDD checkpoint that *request* asks for as a mask predictor.

    Raises:
        LoadError: It cannot be found, is not SEDD with the absorbing graph, or failed a self-test.
    """
    checkpoint = load_sedd(request, PRESETS)
    if checkpoint.graph != "absorb":
        raise LoadError(
            f"{checkpoint.directory / 'config.json'}: graph.type must be 'absorb' for a mask predictor, "
            f"got {checkpoint.graph!r}; choose the model name of its own sampler (sedd-uniform)"
        )
    return mask_predictor(checkpoint)


def mask_predictor(checkpoint: Sedd) -> SeddDenoiser:
    """Return *checkpoint*, which has the absorbing graph, as a mask predictor; self-tested.

    Raises:
        LoadError: It failed a self-test.
    """
    denoiser = SeddDenoiser(
        checkpoint=checkpoint,
        name=checkpoint.name,
        mask_id=checkpoint.tokens,
        eos_ids=frozenset({checkpoint.eos_id}),
        pad_id=checkpoint.eos_id,
        vocab_size=checkpoint.states,
        tokenizer=checkpoint.tokenizer,
        device=checkpoint.device,
        suppressed_ids=(checkpoint.tokens,),
    )
    tests = (padding(denoiser), both_directions(denoiser), suppression(denoiser))
    denoiser.self_tests = (*checkpoint.self_tests, *all_passed(checkpoint.name, tests))
    return denoiser


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
    device = choose_device(request.device)
    tokens = config.integer("tokens", minimum=2)
    config.must_be("graph.type", "absorb", "uniform")
    absorb = config.values["graph.type"] == "absorb"
    config.must_be("noise.type", "loglinear" if absorb else "geometric")
    config.must_be("model.scale_by_sigma", *((True, False) if absorb else (False,)))
    hidden, heads = config.integer("model.hidden_size"), config.integer("model.n_heads")
    if hidden % heads or hidden // heads % 2:
        raise config.refuse(
            "model.n_heads", f"a divisor of hidden_size={hidden} into heads of even width", "use the published file"
        )
    with torch.device("meta"):
        network = SeddNetwork(
            states=tokens + absorb,
            hidden_size=hidden,
            n_blocks=config.integer("model.n_blocks"),
            n_heads=heads,
            cond_dim=config.integer("model.cond_dim"),
            scale_by_sigma=config.values["model.scale_by_sigma"],
        )
    tensors = load_weights(
        network, directory, rename=same_key, ties={}, dtype=torch.float32, device=device
    )
    rope = rotary_tables(network, ROTARY_THETA, hidden // heads)
    return Sedd(
        name=request.name,
        directory=directory,
        device=device,
        tokens=tokens,
        max_length=config.integer("model.length"),
        graph=config.values["graph.type"],
        noise={key: config.values.get(f"noise.{key}") for key in ("sigma_min", "sigma_max")},
        tokenizer=_tokenizer(request, directory, tokens),
        network=network,
        self_tests=(keys_test(tensors), *all_passed(request.name, (rope,))),
    )


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
        f"checkpoint with GPT-2's {tokens} tokens must hold its tokenizer.json, got {str(directory)!r} without "
        f"it; put the tokenizer.json of {GPT2_HUB_ID} into that folder"
    )
