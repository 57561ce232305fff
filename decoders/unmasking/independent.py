"""A set of positions no two of which are in conflict, by a scan from the best to the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def independent(rank: Tensor, candidates: Tensor, conflicts: Tensor) -> Tensor:
    """Return which *candidates* [R, G] a scan accepts: each one that is in no conflict with those before.

    Args:
        rank: int64 [R, G], the place of every position in the scan; those out of question come last.
        candidates: bool [R, G].
        conflicts: bool [R, G, G], whether the candidate in the second place may not follow the third.
    """
    order, length = rank.argsort(dim=1), candidates.shape[1]
    accepted = candidates & False
    for turn in range(length):
        at = order[:, turn : turn + 1]
        of_candidate = conflicts.gather(1, at.unsqueeze(2).expand(-1, 1, length)).squeeze(1)
        clashes = (of_candidate & accepted).any(dim=1, keepdim=True)
        accepted = accepted.scatter(1, at, candidates.gather(1, at) & ~clashes)
    return accepted
