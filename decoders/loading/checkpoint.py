"""From a request to a checkpoint's folder, config.json, dtype and device, with errors that name the cure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from decoders.devices import without_tf32
from decoders.fingerprint import TOKENIZER_FILES
from decoders.loading.allowed_code import HUB_ID, OPTION
from decoders.protocols import ModelRequest
from decoders.text import json_file
from decoders.text.chat import ChatFormat
from decoders.text.json_file import SHOWN, shortened

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

MODEL_OF = MappingProxyType(
    {
        "LLaDAModelLM": "llada",
        "TinyModelLM": "tiny",
        "DreamModel": "dream",
        "LLaDAMoEModelLM": "llada-moe",
        "LLaDA2MoeModelLM": "llada2",
        "SDARForCausalLM": "sdar",
        "SDARMoeForCausalLM": "sdar-moe",
        "Fast_dLLM_QwenForCausalLM": "fast-dllm-v2",
        "StableDiffcoderForCausalLM": "stable-diffcoder",
        "DiffusionGemmaForBlockDiffusion": "diffusion-gemma",
        "LlamaForCausalLM": "ar-llama",
        "Qwen2ForCausalLM": "ar",
        "Qwen3ForCausalLM": "ar-qwen3",
    }
)
"""Architectures that run here, with a model name that loads each."""

OTHER_CONVENTION = MappingProxyType(
    {
        "Dream": "its row i - 1 predicts token i",
        "Fast_dLLM": "its row i - 1 predicts token i, in blocks",
        "SDAR": "its attention is in blocks",
        "StableDiffcoder": "its attention is in blocks",
        "LLaDA2": "its attention is in blocks",
    }
)
"""Starts of published architectures whose own code does not follow the one convention of ``remote``."""

NO_COUNTERPART = "this variant of the architecture has no native counterpart here"
LARGEST = 2**31
"""Whole numbers of a config are below this one."""
LARGEST_FLOAT = 1e300
MOST_LAYERS = 1001


class LoadError(ValueError):
    """A model could not be loaded; the message says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A published checkpoint that has a short name. ``dtype`` is used where its config.json names none.

    ``chat`` is how it writes a chat, where it differs from the rest of its family.
    """

    hub_id: str
    revision: str
    dtype: str
    licence: str
    chat: ChatFormat | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The values of a config.json; a reader names file and key when it refuses, and notes what it read."""

    path: Path
    values: Mapping[str, Any]
    asked: set[str] = field(default_factory=set, repr=False, compare=False)

    def refuse(self, key: str, rule: str, cure: str) -> LoadError:
        """Return the error for *key*, which must be *rule*."""
        return LoadError(
            f"{self.path}: {key[:SHOWN]} must be {rule}, got {shortened(self.values.get(key))}; {cure}"
        )

    def get(self, key: str) -> Any:
        """Return the value at *key*, None if absent."""
        self.asked.add(key)
        return self.values.get(key)

    def has(self, key: str) -> bool:
        """Return whether there is a value at *key* that is not null."""
        return self.get(key) is not None

    def integer(
        self, key: str, *, minimum: int = 1, below: int | None = None, default: int | None = None
    ) -> int:
        """Return the whole number at *key* (absent: *default*), at least *minimum* and less than *below*."""
        value = self.get(key) if self.has(key) else default
        end = LARGEST if below is None else below
        if type(value) is not int or not minimum <= value < end:
            limit = f" and below {end}" if below is not None or (type(value) is int and value >= end) else ""
            raise self.refuse(
                key, f"a whole number from {minimum} on{limit}", "use the checkpoint's own config.json"
            )
        return value

    def positive(self, key: str) -> float:
        """Return the finite number above 0 at *key*."""
        value: Any = self.get(key)
        if type(value) not in (int, float) or not 0.0 < value < LARGEST_FLOAT:
            raise self.refuse(key, "a number above 0", "use the checkpoint's own config.json")
        return float(value)

    def ids(self, key: str, *, below: int) -> frozenset[int]:
        """Return the token id, or list of ids, at *key*."""
        value = self.get(key)
        ids = value if isinstance(value, list) and value else [value]
        if any(type(token) is not int or not 0 <= token < below for token in ids):
            raise self.refuse(key, f"token ids below {below}", "use the checkpoint's own config.json")
        return frozenset(ids)

    def must_be(self, key: str, *allowed: Any) -> None:
        """Raise unless the value at *key* (None if absent) is one of *allowed*."""
        value = self.get(key)
        if not any(value == choice and type(value) is type(choice) for choice in allowed):
            choices = " or ".join(repr(choice) for choice in allowed)
            raise self.refuse(key, choices, NO_COUNTERPART)

    def refuse_unread(self, inert: Collection[str], defaults: Mapping[str, Any]) -> None:
        """Raise for a key that no reader asked for and that may change the computation.

        Args:
            inert: Keys that change no logit whatever their value.
            defaults: What the network computes with; a key that says the same is harmless (null: absent).
        """
        for key, value in self.values.items():
            if key not in self.asked and key not in inert and not _same(value, defaults.get(key)):
                default = defaults.get(key)
                rule = "absent" if default is None else f"absent or {shortened(default)}"
                raise self.refuse(
                    key,
                    f"{rule}, as the native network computes nothing else",
                    "take it out if you know that it changes nothing, or use another checkpoint",
                )


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def need_packages(*names: str, extra: str = "models", purpose: str = "run network models") -> None:
    """Raise a LoadError that names *extra* unless every package of *names* is installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise LoadError(
            f"packages must be installed to {purpose}, got none of {', '.join(missing)}; "
            f"pip install 'parallelbench-pytest[{extra}]'"
        )


def find_checkpoint(
    request: ModelRequest, presets: Mapping[str, Preset], *, more: Sequence[str] = ()
) -> Path:
    """Return the folder of the checkpoint that *request* names, fetched from the hub if it names a hub id.

    No source means the hub id of the preset called ``request.name``. Config, safetensors and tokenizer are
    fetched, and what the patterns *more* name.
    """
    if request.source is None:
        if request.name not in presets:
            raise LoadError(
                f"model must be one of {', '.join(sorted(presets))} or have a source, got {request.name!r}; "
                f"give a folder or hub id (--model {request.name}=DIR)"
            )
        preset = presets[request.name]
        return _fetch(request.name, preset.hub_id, request.revision or preset.revision, more)
    folder = Path(request.source).expanduser()
    if folder.is_dir():
        if request.revision is not None:
            raise LoadError(
                f"revision must be left out for a folder, got {request.revision!r} with {request.source!r}; "
                "only hub ids have revisions"
            )
        return folder
    if folder.exists() or not HUB_ID.fullmatch(request.source):
        raise LoadError(
            f"source must be an existing folder or a hub id OWNER/NAME, got {request.source!r}; "
            f"give the folder that holds config.json (--model {request.name}=DIR)"
        )
    return _fetch(request.name, request.source, request.revision, more)


def _fetch(name: str, hub_id: str, revision: str | None, more: Sequence[str]) -> Path:
    import huggingface_hub

    patterns = ["*.json", "*.safetensors", *TOKENIZER_FILES, *more]
    try:
        return Path(huggingface_hub.snapshot_download(hub_id, revision=revision, allow_patterns=patterns))
    except (OSError, ValueError) as error:
        raise _not_fetched(name, hub_id, revision, error) from error


def fetch_file(name: str, hub_id: str, file: str) -> Path:
    """Return the path of one file of *hub_id*, fetched for the model called *name*."""
    import huggingface_hub

    try:
        return Path(huggingface_hub.hf_hub_download(hub_id, file))
    except (OSError, ValueError) as error:
        raise _not_fetched(name, hub_id, None, error) from error


def _not_fetched(name: str, hub_id: str, revision: str | None, error: Exception) -> LoadError:
    from huggingface_hub.constants import HF_HUB_CACHE

    cached = Path(HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    return LoadError(
        f"source must be a folder, or a hub id that can be fetched or is cached, got {hub_id!r} "
        f"(revision {revision or 'main'}; no such folder; cache looked at: {cached}; "
        f"{type(error).__name__}: {error}); "
        f"give a folder (--model {name}=DIR), or download it on a machine with network and copy the cache"
    )


def read_config(directory: Path, *architectures: str) -> Config:
    """Return config.json of *directory*, which must be a checkpoint of one of *architectures*, if any."""
    path = directory / "config.json"
    if not path.is_file():
        raise LoadError(
            f"checkpoint must hold config.json, got {str(directory)!r} without it; give a complete folder"
        )
    config = Config(path=path, values=read_object(path))
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    if architectures and first not in architectures:
        choices = " or ".join(repr(architecture) for architecture in architectures)
        raise config.refuse("architectures", f"a list that starts with {choices}", _cure(config, first))
    return config


def _cure(config: Config, architecture: Any) -> str:
    if architecture in tuple(MODEL_OF):
        name = MODEL_OF[architecture]
        return f"choose the model name of that architecture (--model {name}={config.path.parent})"
    supported = f"choose a checkpoint of a supported architecture: {', '.join(MODEL_OF)}"
    if not config.has("auto_map"):
        return supported
    convention = other_convention(str(architecture))
    if convention is not None:
        return f"its own code (auto_map) is not run here ({convention}); {supported}"
    return (
        f"{supported}; its own code (auto_map) is not run unless you have read it and allow it: --model "
        f"remote=DIR or remote=OWNER/NAME@COMMIT, with the {OPTION} which that asks for"
    )


def other_convention(architecture: str) -> str | None:
    """Return how the network of *architecture* differs from what ``remote`` assumes; None if not known."""
    return next((rule for start, rule in OTHER_CONVENTION.items() if architecture.startswith(start)), None)


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file *path*, which belongs to a checkpoint."""
    try:
        return json_file.read_object(path)
    except ValueError as error:
        raise LoadError(str(error)) from error


def choose_dtype(requested: str | None, config: Config, default: str) -> str:
    """Return the dtype's name: as requested, else as config.json says, else *default*."""
    key = "dtype" if "dtype" in config.values else "torch_dtype"
    choice, origin = (
        (requested, "asked for")
        if requested is not None
        else (config.values.get(key), f"{key} of {config.path}")
    )
    if choice is None:
        return default
    if choice not in tuple(DTYPES):
        raise LoadError(
            f"dtype must be one of {', '.join(DTYPES)}, got {shortened(choice)} ({origin}); "
            "ask for one of them"
        )
    return str(choice)


def choose_device(request: ModelRequest, *, is_mapped: bool = False) -> torch.device:
    """Return the requested device, or the best one present; float32 is float32 there, not TF32.

    Args:
        request: What is asked for.
        is_mapped: Whether the model can be spread over devices.

    Raises:
        LoadError: This machine lacks the device, or a device map was asked for that does not go with it.
    """
    without_tf32()
    requested = request.device
    if request.device_map is not None and not is_mapped:
        raise LoadError(
            f"device map must be left out for {request.name!r}, got {request.device_map!r}; only networks of "
            "transformers' own classes are spread over GPUs"
        )
    if request.device_map is not None and requested not in (None, "cuda"):
        raise LoadError(
            f"device must be cuda or left out with device map {request.device_map!r}, got {requested!r}; "
            "leave one of them out"
        )
    if request.device_map is not None and request.compiled:
        raise LoadError(
            f"networks must not be compiled with device map {request.device_map!r}, got both; leave one of "
            "them out"
        )
    if requested is None:
        for kind, present in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
        ):
            if present:
                return torch.device(kind)
        return torch.device("cpu")
    try:
        device = torch.device(requested)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        reason = str(error).splitlines()[0]
        raise LoadError(
            f"device must be one this machine has, got {requested!r} ({reason}); try 'cpu'"
        ) from error
    return device
