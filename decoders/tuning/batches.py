"""Examples -> the rows of a step: which samples, at which noise, padded to one length.

Legend: B = rows, L = padded prompt and canvas, G = canvas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decoders.tuning.settings import Settings

ORDER, TIME, NOISE, CHECK = range(4)
"""Purposes of random draws."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A prompt and the canvas that answers it.

    Args:
        prompt: Token ids.
        canvas: Token ids; EOS after the answer.
        learned: Which positions of the canvas may be hidden; the others are given (a template).
    """

    prompt: tuple[int, ...]
    canvas: tuple[int, ...]
    learned: tuple[bool, ...]


Draw = Callable[[str, int], Example]
"""From ``train`` or ``validation`` and a number to the example with that number, always the same one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A row of a step: which example, at which time between 0 (clean) and 1, and its source of noise."""

    split: str
    number: int
    time: float
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True, slots=True)
class Clean:
    """Rows without noise.

    ``ids`` int64 [B, L] are padded on both sides; ``attend`` bool [B, L] is False at padding; ``learned``
    bool [B, G] is of the last G positions.
    """

    ids: Tensor
    attend: Tensor
    learned: Tensor


def rows_of_step(settings: Settings, step: int) -> list[Chosen]:
    """Return the rows of *step*: a function of the settings and the step, so that a run can be resumed.

    Every epoch has an order of its own. Times of a batch lie evenly between 0 and 1, from a start drawn for
    the step, which makes the loss vary less than independent times.

    Source: low-discrepancy times, Kingma et al., "Variational Diffusion Models" (arXiv:2107.00630), app. I.1.
    """
    epoch, place = divmod(step, settings.steps_of_epoch)
    order = _order(settings.seed, epoch, settings.train_samples)
    start = np.random.default_rng((settings.seed, TIME, step)).random()
    numbers = order[place * settings.batch : (place + 1) * settings.batch]
    return [
        Chosen(
            split="train",
            number=int(number),
            time=(start + row / settings.batch) % 1.0,
            rng=np.random.default_rng((settings.seed, NOISE, step, row)),
        )
        for row, number in enumerate(numbers)
    ]


def rows_of_check(settings: Settings) -> list[Chosen]:
    """Return the rows that the validation loss is measured on, with noise that is always the same."""
    count = settings.validation_samples
    return [
        Chosen(
            split="validation",
            number=number,
            time=(0.5 + number * 0.6180339887498949) % 1.0,
            rng=np.random.default_rng((settings.seed, CHECK, number)),
        )
        for number in range(count)
    ]


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    order: NDArray[np.int64] = np.random.default_rng((seed, ORDER, epoch)).permutation(count)
    return order


def collate(examples: Sequence[Example], pad_id: int) -> Clean:
    """Return *examples* as rows of one length: prompts padded on the left, canvases on the right."""
    width = max(len(example.prompt) for example in examples)
    canvas = max(len(example.canvas) for example in examples)
    before = torch.tensor([width - len(example.prompt) for example in examples])[:, None]
    after = torch.tensor([width + len(example.canvas) for example in examples])[:, None]
    ids = [
        [pad_id] * (width - len(one.prompt))
        + [*one.prompt, *one.canvas]
        + [pad_id] * (canvas - len(one.canvas))
        for one in examples
    ]
    learned = [[*one.learned] + [False] * (canvas - len(one.learned)) for one in examples]
    place = torch.arange(width + canvas)
    return Clean(
        ids=torch.tensor(ids),
        attend=(place >= before) & (place < after),
        learned=torch.tensor(learned),
    )
