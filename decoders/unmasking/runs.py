"""Runs of neighbouring positions, and the best position of each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView


def best_of_runs(view: StepView, where: Tensor) -> Tensor:
    """Return bool [R, G]: the position of highest confidence in every run of neighbours that are in *where*.

    Ties go as they do in `StepView.rank`.
    """
    starts = where.clone()
    starts[:, 1:] &= ~where[:, :-1]
    run = starts.cumsum(dim=1)
    rank = replace(view, eligible=where).rank(view.log_odds)
    best = rank.new_full((len(rank), rank.shape[1] + 1), rank.shape[1])
    best = best.scatter_reduce(1, run, rank, reduce="amin")
    return where & (rank == best.gather(1, run))
