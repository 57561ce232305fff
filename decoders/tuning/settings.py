"""What one chooses of a fine-tuning, with the defaults of each way to train."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

WAYS = ("lora", "full", "score_entropy")
PRECISIONS = ("auto", "bfloat16", "float32")
TRACKERS = ("tensorboard", "wandb", "mlflow", "comet_ml", "aim", "clearml", "dvclive")

DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "lora": {"epochs": 10, "batch": 32, "rate": 1e-5, "warm_up": 0.05},
        "full": {"epochs": 10, "batch": 32, "rate": 1e-5, "warm_up": 0.05},
        "score_entropy": {"epochs": 32, "batch": 64, "rate": 3e-4, "warm_up": 0.25},
    }
)
"""What differs between the ways; source: ParallelBench (arXiv:2510.04767), appendices F.1 and F.4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All that is chosen of a fine-tuning; with model, tasks and code it decides the weights, up to rounding.

    Args:
        way: ``lora`` (low-rank adapters of some weights), ``full`` (all weights of a mask predictor) or
            ``score_entropy`` (all weights of SEDD).
        epochs: How often every training sample is seen.
        batch: Samples of a step, over all GPUs.
        rate: Highest learning rate of AdamW; it falls to 0 by a cosine.
        warm_up: Share of the steps in which the rate rises to it.
        train_samples: How many samples are learned from.
        validation_samples: How many the loss is measured on after each epoch; 0 measures nothing.
        rank: Of the adapters.
        alpha: Their weight is alpha / rank.
        targets: Which weights get adapters, by the last part of their names.
        weight_decay: Of AdamW.
        clip: Largest norm of the gradient.
        accumulation: Parts that a step's samples are computed in, to need less memory.
        gradient_checkpointing: Compute each layer twice, to need less memory.
        precision: Of the forward: ``bfloat16``, ``float32``, or ``auto`` for that of the checkpoint.
        compiled: Compile the network first; for prompts of one length only.
        seed: Of the order of samples, of the noise and of new weights.
        save_every_s: Seconds between two saves of where the training stands.
        trackers: What the losses are sent to besides the files, by the names of accelerate.

    Raises:
        ValueError: A value breaks its rule.
    """

    way: str
    epochs: int
    batch: int
    rate: float
    warm_up: float
    train_samples: int = 20_000
    validation_samples: int = 5_000
    rank: int = 128
    alpha: int = 256
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    weight_decay: float = 0.01
    clip: float = 1.0
    accumulation: int = 1
    gradient_checkpointing: bool = False
    precision: str = "auto"
    compiled: bool = False
    seed: int = 0
    save_every_s: float = 300.0
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, low in _WHOLE.items():
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise _broken(name, f"a whole number from {low} on", value)
        for name, (lowest, highest, rule) in _NUMBERS.items():
            value = getattr(self, name)
            if (
                type(value) not in (int, float)
                or not lowest <= value <= highest
                or (name == "rate" and value == 0)
            ):
                raise _broken(name, rule, value)
        for name, choices in (("way", WAYS), ("precision", PRECISIONS)):
            if getattr(self, name) not in choices:
                raise _broken(name, f"one of {', '.join(choices)}", getattr(self, name))
        for name in ("gradient_checkpointing", "compiled"):
            if type(getattr(self, name)) is not bool:
                raise _broken(name, "true or false", getattr(self, name))
        for name in ("targets", "trackers"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(one, str) and one for one in value):
                raise _broken(name, "a list of names", value)
        if not self.targets:
            raise _broken("targets", "a list of at least one name", self.targets)
        if unknown := [one for one in self.trackers if one not in TRACKERS]:
            raise _broken("trackers", f"of {', '.join(TRACKERS)}", unknown[0])
        if self.batch % self.accumulation:
            raise _broken("accumulation", f"a divisor of batch={self.batch}", self.accumulation)
        if self.train_samples < self.batch:
            raise _broken("train_samples", f"at least one batch, {self.batch}", self.train_samples)

    @property
    def steps_of_epoch(self) -> int:
        """Steps of one epoch; samples that fill no batch are left for another one."""
        return self.train_samples // self.batch

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_of_epoch

    def rate_at(self, step: int) -> float:
        """Return the learning rate of *step*, counted from 0."""
        rising = round(self.warm_up * self.steps)
        if step < rising:
            return self.rate * (step + 1) / rising
        return 0.5 * self.rate * (1.0 + math.cos(math.pi * (step - rising) / max(1, self.steps - rising)))


_WHOLE = {
    **dict.fromkeys(("epochs", "batch", "rank", "alpha", "accumulation", "train_samples"), 1),
    **dict.fromkeys(("validation_samples", "seed"), 0),
}
_NUMBERS = {
    "rate": (0.0, 1.0, "a number above 0 and at most 1"),
    "warm_up": (0.0, 1.0, "a share from 0 to 1"),
    "weight_decay": (0.0, 1.0, "a number from 0 to 1"),
    "clip": (1e-9, 1e9, "a number above 0"),
    "save_every_s": (0.0, 1e9, "a number of seconds from 0 on"),
}


def _broken(name: str, rule: str, value: object) -> ValueError:
    return ValueError(f"{name} must be {rule}, got {value!r}; correct it, or leave it out for the default")


def settings_of(way: str, given: Mapping[str, Any]) -> Settings:
    """Return the settings of *way*, *given* over its defaults.

    Raises:
        ValueError: A key is unknown or a value breaks its rule.
    """
    if way not in DEFAULTS:
        raise _broken("way", f"one of {', '.join(WAYS)}", way)
    known = [item.name for item in fields(Settings)]
    for key in given:
        if key not in known:
            raise ValueError(f"settings must be of {', '.join(known)}, got {key!r}; correct or remove it")
    values = {**DEFAULTS[way], **given, "way": way}
    chosen: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return Settings(**chosen)
