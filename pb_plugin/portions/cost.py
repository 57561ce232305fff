"""What a cell costs, as far as its plan says: positions computed over its samples, no second of any clock."""

from __future__ import annotations

from pb_plugin.planning.cell import Cell

TOKENS_PER_STEP_UNKNOWN = 2
"""What a method without k is taken to commit in a forward: its plan does not say."""


def cost_of(cell: Cell) -> int:
    """Return samples x forwards x positions of the canvas of *cell*; equal in every process.

    With k tokens per step a block takes its length over k forwards. Prompts are left out, as reading them
    needs the task's data: costs of cells of one task compare well, those of tasks roughly.
    """
    asked = cell.asked
    per_step = asked.k or TOKENS_PER_STEP_UNKNOWN
    forwards = asked.canvas // asked.block * -(-asked.block // per_step)
    n_samples = min(cell.samples or cell.spec.n_samples, cell.spec.n_samples)
    return n_samples * forwards * asked.canvas
