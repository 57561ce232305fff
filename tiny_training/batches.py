"""One batch of training: questions of the mixture, answers partly masked; a function of seed and step.

Legend: B = rows, L = prompt and shown canvas positions, G = shown canvas positions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tiny_training import layout
from tiny_training.puzzles import latin, sudokus
from tiny_training.questions import Questions, waiting_lines
from tiny_training.vocabulary import MASK, NEWLINE, WAITING_LINE

ROWS = 64
PUZZLE_SHARE = 0.2
"""Share of the batches that hold sudokus and Latin squares, half each, instead of waiting lines."""

TASK_WEIGHTS = {
    "copy": 0.5,
    "reverse": 0.5,
    "sort": 3.0,
    "shuffle": 1.5,
    "replace_index": 0.6,
    "replace_random": 1.5,
    "insert_index": 0.6,
    "insert_random": 1.5,
    "remove_index": 0.5,
    "remove_random": 1.2,
}
"""How often a task is drawn, relative to the others: what is hard to learn comes more often."""

TAIL = 3
"""Canvas positions beyond the longest answer that a row shows; which ones is drawn anew for each row."""

LOWEST_MASK_RATIO = 0.02
MARK_WEIGHT = 0.3
"""Weight in the loss of marks and EOS; a name, digit or letter has 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a step learns from.

    ``ids`` and ``positions`` int64 [B, L] with MASK where something is hidden; ``targets`` int64 [B, G] and
    ``weights`` float32 [B, G], 0 where nothing is hidden, belong to the last G positions.
    """

    ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor


def batch_of(seed: int, step: int) -> Batch:
    """Return the batch of *step*; every step has a random source of its own, so that a run can be resumed."""
    rng = np.random.default_rng((seed, step))
    if rng.random() < PUZZLE_SHARE:
        halves = latin(rng, ROWS // 2), sudokus(rng, ROWS // 2)
        joined = {
            name: np.concatenate([getattr(half, name) for half in halves])
            for name in (field.name for field in fields(Questions))
        }
        return mask(rng, Questions(**joined), layout.PUZZLE_ANSWER + 1)
    weights = np.array([TASK_WEIGHTS[task] for task in WAITING_LINE])
    tasks = rng.choice(len(WAITING_LINE), size=ROWS, p=weights / weights.sum())
    return mask(rng, waiting_lines(rng, tasks), layout.LIST_ANSWER)


def mask(rng: np.random.Generator, questions: Questions, shown: int) -> Batch:
    """Return *questions* with each canvas position masked with a ratio drawn for its row.

    The first *shown* positions of the canvas are there, and `TAIL` of the others, which all hold EOS: a row
    is shorter than in decoding, where every position is there, and learns the same.

    Source: the masked diffusion loss of LLaDA (arXiv:2502.09992) with equal weights for all ratios.
    """
    rows = len(questions.prompts)
    others = layout.CANVAS - shown
    tail = shown + np.sort(np.argpartition(rng.random((rows, others)), TAIL, axis=1)[:, :TAIL], axis=1)
    columns = np.concatenate([np.broadcast_to(np.arange(shown), (rows, shown)), tail], axis=1)
    targets = np.take_along_axis(questions.answers, columns, axis=1)
    ratio = rng.uniform(LOWEST_MASK_RATIO, 1.0, size=(rows, 1))
    hidden = rng.random(targets.shape) < ratio
    ids = np.concatenate([questions.prompts, np.where(hidden, MASK, targets)], axis=1)
    prompt = np.broadcast_to(np.arange(layout.PROMPT), (rows, layout.PROMPT))
    weights: NDArray[np.float32] = (np.where(targets <= NEWLINE, MARK_WEIGHT, 1.0) * hidden).astype(
        np.float32
    )
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(np.concatenate([prompt, layout.PROMPT + columns], axis=1)),
        targets=torch.from_numpy(targets),
        weights=torch.from_numpy(weights),
    )
