"""Which groups are decoded before their turn: those whose scores need tools, which then answer meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pb_plugin.planning.cell import Cell


def ahead_of(cell: Cell, groups: Iterable[Sequence[Cell]]) -> list[Sequence[Cell]]:
    """Return what is decoded before the scores of *cell* are waited for, of the groups of its model.

    First those whose scores need tools; where *cell* is one of them, then all others, which are decoded while
    its tools answer. Groups of other models wait for their model, of which one at a time is in memory. Only a
    process that decodes all *groups* itself can do so: a worker does not know which will be its own.
    """
    of_model = [group for group in groups if group[0].model == cell.model]
    asking = [group for group in of_model if group[0].spec.needs]
    return asking + [group for group in of_model if cell.spec.needs and not group[0].spec.needs]
