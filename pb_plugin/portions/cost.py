"""What a cell costs, as far as its plan says: forwards and positions over its samples, and no seconds."""

from __future__ import annotations

from collections.abc import Sequence

from pb_plugin.planning.cell import Cell

TOKENS_PER_STEP_UNKNOWN = 4
"""What a method without k is taken to commit in a forward: its plan does not say.

The default thresholds do so on `tiny` (``bench_tests/cost_model.py``); on another model they do what they do.
"""

LONG = 20_000
"""Forwards of a run from which on the plan tells how many there will be."""


def forwards_of(cell: Cell) -> int:
    """Return samples x forwards of *cell*; equal in every process."""
    return min(cell.samples or cell.spec.n_samples, cell.spec.n_samples) * forwards_of_sample(cell)


def forwards_of_sample(cell: Cell) -> int:
    """Return the forwards of a sample of *cell*.

    With k tokens per step a block takes its length over k forwards: that is known in advance, but for
    positions that a template of an infilling task fills. Methods without k may take more or fewer.
    """
    asked = cell.asked
    per_step = asked.k or TOKENS_PER_STEP_UNKNOWN
    return asked.canvas // asked.block * -(-asked.block // per_step)


def cost_of(cell: Cell) -> int:
    """Return forwards x positions of the canvas of *cell*; equal in every process.

    Prompts are left out, as reading them needs the task's data: costs of cells of one task compare well,
    those of tasks roughly.
    """
    return forwards_of(cell) * cell.asked.canvas


def estimate(cells: Sequence[Cell]) -> str | None:
    """Return how many forwards *cells* will need, in a line; None for a short run.

    What is stored already is counted too: whether it is used shows when the model is looked at.
    """
    known = sum(forwards_of(cell) for cell in cells if cell.asked.k)
    guessed = sum(forwards_of(cell) for cell in cells if not cell.asked.k)
    if known + guessed < LONG:
        return None
    adaptive = f", {guessed:,} of them at {TOKENS_PER_STEP_UNKNOWN} tokens per step, as k does not fix them"
    return f"about {known + guessed:,} forwards of single canvases{adaptive if guessed else ''}"
