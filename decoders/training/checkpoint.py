"""Where a training stands, as one file that is replaced at once; and the finished model as a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders.models.llada import BLOCK_KEY, IN_BLOCK, OUTSIDE_BLOCKS

STATE_FILE = "training/state.safetensors"
"""Beside the model, not in it: the files of the folder itself are the model."""

MODEL_FILES = ("config.json", "tokenizer.json", "model.safetensors")
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a training stands.

    Args:
        recipe: What was chosen of the training, as plain values.
        code: Hash of the code that trains.
        step: Steps taken.
        seconds: Time they took, over all starts.
        losses: Per interval, the step it ended with and the loss per task.
        tensors: Weights by name, and the optimizer's moments as ``exp_avg/NAME``.
    """

    recipe: Mapping[str, Any]
    code: str
    step: int
    seconds: float
    losses: tuple[Mapping[str, float], ...]
    tensors: Mapping[str, Tensor]


def save_standing(folder: Path, standing: Standing) -> None:
    """Write *standing* into *folder*; a kill at any moment leaves the old file or the new one."""
    from safetensors.torch import save_file

    (folder / STATE_FILE).parent.mkdir(parents=True, exist_ok=True)
    facts = {name: getattr(standing, name) for name in ("recipe", "code", "step", "seconds", "losses")}
    _replace(
        folder / STATE_FILE,
        lambda path: save_file(dict(standing.tensors), path, metadata={"standing": json.dumps(facts)}),
    )


def read_standing(folder: Path) -> Standing | None:
    """Return where the training in *folder* stands, or None if none was begun there.

    Raises:
        ValueError: The file is not one of ours.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["standing"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return Standing(**{**facts, "losses": tuple(facts["losses"])}, tensors=tensors)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must be what an earlier training wrote, got {type(error).__name__}: {error}; "
            "remove it or choose another folder"
        ) from error


def tensors_of(network: Any, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the weights and the optimizer's moments by name; before the first step there are no moments."""
    tensors = {}
    for name, parameter in network.named_parameters():
        tensors[name] = parameter.detach()
        for moment in MOMENTS:
            if moment in optimizer.state[parameter]:
                tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment]
    return tensors


def restore(network: Any, optimizer: torch.optim.Optimizer, standing: Standing) -> None:
    """Give *network* and *optimizer* the values of *standing*."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(standing.tensors[name])
            optimizer.state[parameter] = {
                "step": torch.tensor(float(standing.step)),
                **{moment: standing.tensors[f"{moment}/{name}"].clone() for moment in MOMENTS},
            }


def export(network: Any, config: Mapping[str, Any], tokenizer: Mapping[str, Any], folder: Path) -> None:
    """Write config.json, tokenizer.json and model.safetensors (float16) into *folder*.

    Weights have the names that LLaDA publishes; the tied output is left out.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        published_key(name): parameter.detach().to(torch.float16).contiguous()
        for name, parameter in network.named_parameters()
    }
    config_file, tokenizer_file, weights_file = (folder / name for name in MODEL_FILES)
    for file, content, indent in ((config_file, config, 2), (tokenizer_file, tokenizer, None)):
        text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
        _replace(file, partial(Path.write_text, data=text, encoding="utf-8"))
    _replace(weights_file, lambda path: save_file(weights, path, metadata={"format": "pt"}))


def published_key(name: str) -> str:
    """Return the name that LLaDA publishes for transformers' name of a weight: `native_key` backwards."""
    outside = {native: published for published, native in OUTSIDE_BLOCKS.items()}
    if name in outside:
        return outside[name]
    inside = {native: published for published, native in IN_BLOCK.items()}
    _, _, number, *middle, _ = name.split(".")
    key = f"model.transformer.blocks.{number}.{inside['.'.join(middle)]}.weight"
    assert BLOCK_KEY.fullmatch(key), f"{name} has no published name"
    return key


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    write(fresh)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.chmod(0o644)  # safetensors writes for the owner alone
    fresh.replace(path)
