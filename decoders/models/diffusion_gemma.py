"""DiffusionGemma by the class of transformers: a canvas of uniform noise, denoised up to an entropy bound."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from decoders import devices
from decoders.fingerprint import checkpoint_hash
from decoders.loading.chat_template import TEMPLATE_FILE, read_template, writer
from decoders.loading.checkpoint import (
    DTYPES,
    Config,
    LoadError,
    Preset,
    choose_device,
    choose_dtype,
    find_checkpoint,
    need_packages,
    read_config,
)
from decoders.loading.weights import weight_files
from decoders.loop import draws
from decoders.network.family import keys_test, not_taken, read_tokenizer
from decoders.network.row_batches import check_rows, must_be_at_least, read_params
from decoders.network.self_tests import SelfTest, all_passed
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row
from decoders.text import chat
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.chat_model import ChatModel
from decoders.text.hf_tokenizer import HFTokenizer

ARCHITECTURE = "DiffusionGemmaForBlockDiffusion"
GENERATION_FILE = "generation_config.json"

PRESETS = MappingProxyType(
    {
        "diffusion-gemma": Preset(
            hub_id="google/diffusiongemma-26B-A4B-it",
            revision="main",
            dtype="bfloat16",
            licence="see its card",
        ),
    }
)

OWN: Mapping[str, Any] = MappingProxyType(
    {
        "steps": "max_denoising_steps",
        "entropy_bound": "entropy_bound",
        "t_min": "t_min",
        "t_max": "t_max",
        "stability": "stability_threshold",
        "confidence": "confidence_threshold",
    }
)
"""Parameters of ``native`` and what transformers calls them."""

LEAST: Mapping[str, int | float] = MappingProxyType(
    {"steps": 1, "entropy_bound": 1e-9, "t_min": 1e-3, "t_max": 1e-3, "stability": 0, "confidence": 1e-9}
)


@dataclass(kw_only=True, eq=False)
class DiffusionGemmaGenerator(ChatModel):
    """DiffusionGemma with the generation of transformers; an unmasking method has no say.

    The prompt is encoded causally; canvases of a fixed length follow each other. At every step each position
    draws a candidate; those of least entropy are accepted while the sum of their entropies stays in the
    bound, and all others become noise again. So a position may be accepted and lost many times, and there is
    no order of commits.

    Parameters of ``native``: ``steps`` (the most of a canvas), ``entropy_bound``, the temperatures ``t_max``
    of the first step and ``t_min`` of the last, and when a canvas is finished early: ``stability`` steps with
    the same best tokens, at a mean entropy below ``confidence``. The defaults are the checkpoint's own
    (generation_config.json), and where it has none, those of transformers.

    Every row is decoded alone, by draws from its seed and sample: in a batch, the draws of transformers would
    depend on the other rows. ``nfe`` counts forwards of the decoder, so that the tokens up to EOS over it are
    what transformers calls tokens_per_forward; those over prompt and finished canvases are ``nfe_other``.
    """

    owns_loop: ClassVar[bool] = True

    name: str
    dtype: str
    device: torch.device
    eos_ids: frozenset[int]
    canvas_length: int
    max_length: int
    defaults: Mapping[str, Any]
    tokenizer: HFTokenizer | ByteTokenizer
    chat: chat.ChatFormat
    network: Any
    self_tests: tuple[SelfTest, ...] = ()

    def generate(self, rows: Sequence[Row], params: Mapping[str, Any]) -> list[Decoded]:
        """Decode *rows* in the order given, one at a time.

        Raises:
            ValueError: A parameter, or a row, asks for what the model does not have.
            RuntimeError: The model was closed.
        """
        chosen = read_params(params, self.defaults, name=self.name)
        for key, least in LEAST.items():
            must_be_at_least(chosen[key], least, key=key)
        if chosen["t_max"] <= chosen["t_min"]:
            raise ValueError(
                f"t_max must be above t_min={chosen['t_min']!r}, got {chosen['t_max']!r}; raise it or "
                "lower t_min"
            )
        check_rows(rows, name=self.name, greedy=False)
        return [self._decoded(row, chosen) for row in rows]

    def sync(self) -> None:
        """Wait until the device is idle."""
        devices.sync(self.device)

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be used afterwards."""
        self.network = None
        devices.release(self.device)

    def canvas_logits(self, prompt: Sequence[int], canvas: Sequence[int]) -> Tensor:
        """Return the logits [C, V] of a canvas after a prompt, without self-conditioning."""
        network = self._open()
        with torch.inference_mode():
            found = network(
                input_ids=torch.tensor([list(prompt)], device=self.device),
                decoder_input_ids=torch.tensor([list(canvas)], device=self.device),
            )
            logits: Tensor = found.logits[0].float()
            return logits

    def _open(self) -> Any:
        if self.network is None:
            raise RuntimeError(
                f"model {self.name!r} must be open to generate, got a closed one; load it again"
            )
        return self.network

    def _decoded(self, row: Row, chosen: Mapping[str, Any]) -> Decoded:
        network, prompt = self._open(), len(row.prompt_ids)
        canvases = -(-row.gen_length // self.canvas_length)
        longest = prompt + canvases * self.canvas_length
        if longest > self.max_length:
            raise ValueError(
                f"canvas of {self.name!r} must be at most {self.max_length} tokens long, got {longest}; "
                "use shorter prompts, fewer worked examples or a shorter generated region"
            )
        calls = {"decoder": 0, "encoder": 0}
        hooks = [
            getattr(network.model, part).register_forward_pre_hook(_counter(calls, part)) for part in calls
        ]
        seeded = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=seeded), torch.inference_mode():
                torch.manual_seed(draws.row_key(row.seed, row.sample_id))
                said = network.generate(
                    torch.tensor([row.prompt_ids], device=self.device),
                    generation_config=_generation_config(chosen, self.eos_ids, row.gen_length),
                )
        finally:
            for hook in hooks:
                hook.remove()
        ids = said.sequences[0, prompt:].tolist()[: row.gen_length]
        end = next((place + 1 for place, token in enumerate(ids) if token in self.eos_ids), len(ids))
        return Decoded(
            key=row.key,
            ids=tuple(ids[:end]),
            nfe=calls["decoder"],
            nfe_other=calls["encoder"],
            commit_step=None,
            evaluated_positions=calls["decoder"] * self.canvas_length,
        )


def _counter(calls: dict[str, int], part: str) -> Any:
    def count(module: Any, inputs: Any) -> None:
        calls[part] += 1

    return count


def _generation_config(chosen: Mapping[str, Any], eos_ids: frozenset[int], length: int) -> Any:
    from transformers.models.diffusion_gemma import generation_diffusion_gemma

    theirs: Any = generation_diffusion_gemma
    bound = theirs.EntropyBoundSamplerConfig(entropy_bound=float(chosen["entropy_bound"]))
    values = {own: chosen[key] for key, own in OWN.items() if key != "entropy_bound"}
    values["confidence_threshold"] = float(chosen["confidence"])
    return theirs.DiffusionGemmaGenerationConfig(
        **values,
        sampler_config=bound,
        max_new_tokens=length,
        eos_token_id=sorted(eos_ids),
        return_dict_in_generate=True,
    )


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of weights, config, tokenizer, chat template and generation settings.

    Raises:
        ValueError: They cannot be found, or are incomplete.
    """
    directory = _directory(request)
    parts = [checkpoint_hash(directory)]
    for name in (TEMPLATE_FILE, GENERATION_FILE):
        file = directory / name
        parts += [name, hashlib.sha256(file.read_bytes()).hexdigest()] if file.is_file() else []
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def load(request: ModelRequest) -> DiffusionGemmaGenerator:
    """Return the DiffusionGemma checkpoint that *request* asks for; self-tested.

    Raises:
        LoadError: It cannot be found, does not fit the class of transformers, or failed a self-test.
    """
    need_packages("transformers", "safetensors")
    directory = _directory(request)
    config = read_config(directory, ARCHITECTURE)
    weight_files(directory)  # says what is wrong where there are none, or only pickles
    dtype = choose_dtype(request.dtype, config, "bfloat16")
    device = choose_device(request)
    network, tensors = _network(directory, config, DTYPES[dtype], device)
    text = network.config.text_config
    tokenizer = read_tokenizer(directory, request.name, text.vocab_size)
    template = read_template(directory)
    plain = template is None or isinstance(tokenizer, ByteTokenizer)
    render = chat.render_plain if plain or template is None else writer(directory, template)
    generator = DiffusionGemmaGenerator(
        name=request.name,
        dtype=dtype,
        device=device,
        eos_ids=_eos_ids(network, config),
        canvas_length=network.config.canvas_length,
        max_length=text.max_position_embeddings,
        defaults=_defaults(network),
        tokenizer=tokenizer,
        chat=chat.ChatFormat(render=render, markers=(), end_of_turn=()),
        network=network,
    )
    tests = (keys_test(tensors), *_checks(generator, text.vocab_size))
    return replace(generator, self_tests=all_passed(request.name, tests))


def _directory(request: ModelRequest) -> Path:
    return find_checkpoint(request, PRESETS, more=(TEMPLATE_FILE,))


def _network(directory: Path, config: Config, dtype: torch.dtype, device: torch.device) -> tuple[Any, int]:
    """Return the network of transformers with every weight of the files, and how many those are."""
    try:
        from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion
    except ImportError as error:
        raise LoadError(
            "transformers must have the class DiffusionGemmaForBlockDiffusion to run DiffusionGemma, got a "
            "version without it; install a newer one that this package allows"
        ) from error
    kind: Any = DiffusionGemmaForBlockDiffusion
    try:
        network, report = kind.from_pretrained(
            directory, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # whatever the library makes of files that do not fit
        raise not_taken(directory, DiffusionGemmaConfig, error) from error
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found := sorted(map(str, report[fault])):
            raise LoadError(
                f"weights of {str(directory)!r} must match config.json exactly, got {len(found)} "
                f"{fault.replace('_', ' ')}: {', '.join(found[:5])}; check that the files belong together"
            )
    with warnings.catch_warnings():  # what generation asks torch for first loads parts that warn of their own
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
    network.to(device).requires_grad_(False).eval()
    return network, sum(1 for _ in network.parameters())


def _eos_ids(network: Any, config: Config) -> frozenset[int]:
    """Return the ends of text: of generation_config.json, else of config.json."""
    named = network.generation_config.eos_token_id
    if named is None:
        named = network.config.text_config.eos_token_id
    ids = named if isinstance(named, list) else [named]
    rows = network.config.text_config.vocab_size
    if not ids or any(type(token) is not int or not 0 <= token < rows for token in ids):
        raise LoadError(
            f"{config.path.parent}: eos_token_id must be token ids below {rows}, got {named!r}; use the "
            "checkpoint's own files"
        )
    return frozenset(ids)


def _defaults(network: Any) -> Mapping[str, Any]:
    """Return the parameters of ``native`` as the checkpoint sets them, else as transformers does."""
    own = network.generation_config
    general = own._get_default_generation_params()
    found = {}
    for key, name in OWN.items():
        if key == "entropy_bound":
            found[key] = float((own.sampler_config or general["sampler_config"]).entropy_bound)
            continue
        value = getattr(own, name)
        value = general[name] if value is None else value
        found[key] = value if key in ("steps", "stability") else float(value)
    return found


def _checks(generator: DiffusionGemmaGenerator, vocabulary: int) -> tuple[SelfTest, ...]:
    """Return checks of what loads silently wrong: a canvas that is causal, or does not see the prompt."""
    length = generator.canvas_length
    prompt = [(3 * place + 1) % vocabulary for place in range(6)]
    canvas = [(7 * place + 2) % vocabulary for place in range(length)]
    before = generator.canvas_logits(prompt, canvas)
    other = [*canvas[:-1], (canvas[-1] + 1) % vocabulary]
    later = float((generator.canvas_logits(prompt, other) - before)[:-1].abs().max())
    asked = [(prompt[0] + 1) % vocabulary, *prompt[1:]]
    seen = float((generator.canvas_logits(asked, canvas) - before).abs().max())
    return (
        SelfTest(
            name="finite",
            passed=bool(torch.isfinite(before).all()),
            detail="every logit of a canvas is finite",
        ),
        SelfTest(
            name="both_directions",
            passed=later > 0.0,
            detail=f"a later token moves earlier logits of a canvas by {later:.1e}",
        ),
        SelfTest(
            name="prompt", passed=seen > 0.0, detail=f"another prompt moves logits of a canvas by {seen:.1e}"
        ),
    )
