"""The spacing post-filter: of the positions a method chose, keep only ones that are far enough apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView


def keep_apart(view: StepView, chosen: Tensor, rank: Tensor, start_gap: int) -> Tensor:
    """Return the positions of *chosen* that survive a scan, best first, which keeps a minimum gap.

    A position is kept when it is at least ``max(2, masks * start_gap // block length)`` away from every
    position kept before it, masks counting those left in the block; the best one is always kept.

    Source: Dilated Unmasking Scheduler (arXiv:2506.19037, section 4.4), omerlux/DUS generate.py, the spaced
    variants of the samplers. Differs: the rank breaks ties by position.

    Args:
        view: What the method sees.
        chosen: bool [R, G], a subset of ``view.eligible``.
        rank: int64 [R, G], 0 for the best.
        start_gap: The gap asked for in a block that is all masks, 0 or more; 8 is published.
    """
    n_positions = chosen.shape[1]
    gap = (view.remaining * start_gap // (view.block_end - view.block_start)).clamp(min=2).unsqueeze(1)
    position = chosen.new_ones(chosen.shape).cumsum(dim=1)
    kept, open_to_choice = chosen.new_zeros(chosen.shape), chosen
    for _ in range((n_positions + 1) // 2):
        best = rank.masked_fill(~open_to_choice, n_positions).argmin(dim=1, keepdim=True)
        distance = (position - position.gather(1, best)).abs()
        kept = kept | ((distance == 0) & open_to_choice)
        open_to_choice = open_to_choice & (distance >= gap)
    return kept


def check_start_gap(start_gap: int) -> None:
    """Raise ValueError unless *start_gap* is 0 (no filter) or more."""
    if start_gap < 0:
        raise ValueError(f"start_gap must be 0 or more, got {start_gap!r}; 0 leaves the spacing filter out")
