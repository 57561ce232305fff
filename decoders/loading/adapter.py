"""A LoRA adapter beside a checkpoint: read from a folder in the format of peft, added to the weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from decoders.loading.checkpoint import Config, LoadError, read_object
from decoders.loading.weights import Parts, whole
from decoders.protocols import ModelRequest

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"

REQUIRED: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "peft_type": ("LORA",),
        "bias": ("none", None),
        "use_dora": (False, None),
        "fan_in_fan_out": (False, None),
        "lora_bias": (False, None),
    }
)
"""Fields whose other values mean another computation; None is absent."""

EMPTY = ("modules_to_save", "rank_pattern", "alpha_pattern", "trainable_token_indices", "target_parameters")
"""Fields that must hold nothing."""

KEY = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])\.weight")


def split_adapter(request: ModelRequest) -> tuple[ModelRequest, Path | None]:
    """Return *request* without the adapter that its source names, and the adapter's folder or None.

    A source ``DIR+ADAPTER`` is a checkpoint and an adapter; ``+ADAPTER`` is the preset and an adapter. A
    folder that is called so itself is a folder.

    Raises:
        LoadError: ADAPTER is no folder with an adapter.
    """
    source = request.source
    if source is None or "+" not in source or Path(source).expanduser().is_dir():
        return request, None
    base, _, adapter = source.rpartition("+")
    folder = Path(adapter).expanduser()
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / name).is_file()]
    if missing:
        raise LoadError(
            f"adapter must be a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, got {adapter!r} without "
            f"{' and '.join(missing)}; give --model {request.name}=CHECKPOINT+ADAPTER"
        )
    return replace(request, source=base or None), folder


def adapter_hash(folder: Path) -> str:
    """Return the sha256 of an adapter's two files."""
    return hashlib.sha256(
        b"".join((folder / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE))
    ).hexdigest()


@torch.no_grad()
def add_adapter(network: Any, folder: Path, *, rename: Callable[[str], str], parts: Parts = whole) -> int:
    """Add the products of an adapter to the weights of *network*, and return how many weights it changed.

    Products and sums are float32; a sum is rounded once, to the number type of the weight.

    Source: LoRA (arXiv:2106.09685): W + scale * B A, with scale alpha / rank, or alpha / sqrt(rank) for
    rank-stabilised adapters (arXiv:2312.03732).

    Args:
        network: With its weights.
        folder: The adapter.
        rename: Published key to the network's: an adapter may name modules either way.
        parts: Renamed key to the parts of its tensor.

    Raises:
        LoadError: It is no plain LoRA, or does not fit the network.
    """
    scale = _scale(folder)
    pairs = _pairs(folder)
    weights = dict(network.named_parameters())
    for module, pair in pairs.items():
        found = [p for key in (f"{module}.weight", f"model.{module}.weight") for p in parts(rename(key))]
        place = next((part for part in found if part.name in weights), None)
        if place is None or place != whole(place.name)[0]:
            raise _not_fitting(folder, f"a module of the network as a whole, got {module!r}")
        weight = weights[place.name]
        first, second = pair["A"].float(), pair["B"].float()
        shape = (second.shape[0], first.shape[1])
        if second.shape[1] != first.shape[0] or shape != tuple(weight.shape):
            raise _not_fitting(
                folder,
                f"of the shape {tuple(weight.shape)} of {place.name}, got {tuple(second.shape)} times "
                f"{tuple(first.shape)}",
            )
        product = scale * (second @ first)
        weight.copy_(weight.float() + product.to(weight.device))
    return len(pairs)


def _scale(folder: Path) -> float:
    config = Config(path=folder / CONFIG_FILE, values=read_object(folder / CONFIG_FILE))
    for key, allowed in REQUIRED.items():
        config.must_be(key, *allowed)
    for key in EMPTY:
        if config.get(key):
            raise config.refuse(key, "empty", "merge the adapter with the library that made it")
    rank, alpha = config.integer("r"), config.positive("lora_alpha")
    return alpha / rank**0.5 if config.get("use_rslora") else alpha / rank


def _pairs(folder: Path) -> dict[str, dict[str, Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS_FILE
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise LoadError(f"{path} must be a safetensors file, got {error}; fetch it again") from error
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = KEY.fullmatch(key)
        if match is None or tensor.dim() != 2:
            raise _not_fitting(folder, f"pairs of matrices lora_A and lora_B, got {key!r}")
        pairs.setdefault(match[1], {})[match[2]] = tensor
    for module, pair in pairs.items():
        if pair.keys() != {"A", "B"}:
            raise _not_fitting(folder, f"pairs of matrices lora_A and lora_B, got one of them for {module!r}")
    if not pairs:
        raise _not_fitting(folder, "pairs of matrices lora_A and lora_B, got none")
    return pairs


def _not_fitting(folder: Path, rule: str) -> LoadError:
    return LoadError(
        f"adapter {folder / WEIGHTS_FILE} must hold {rule}; check that it belongs to the checkpoint"
    )
