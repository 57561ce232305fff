"""Whose turn it is: which worker takes which of the groups that are left, longest first, few models each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

W = TypeVar("W", bound=Hashable)


class Turn(NamedTuple):
    """The group at *place* among those of *model* that are left."""

    model: str
    place: int


def model_for(own: str | None, left: Mapping[str, Sequence[int]], others: Sequence[str | None]) -> str:
    """Return the model of which a worker takes its next group: its own while it can.

    Else the model that the fewest workers have, of those the one with the most left to do.

    Args:
        own: The model that the worker has.
        left: Costs of the groups that nobody has taken, by model; none is empty.
        others: The models of the other workers.
    """
    if own in left:
        return str(own)
    return min(left, key=lambda model: (others.count(model), -sum(left[model])))


def next_turn(
    worker: W, left: Mapping[str, Sequence[int]], loads: Mapping[W, int], models: Mapping[W, str | None]
) -> Turn | None:
    """Return the group that *worker* will take when all take the next group as soon as they are idle.

    None where the others will be through before it is idle.

    Args:
        worker: One of the workers.
        left: Costs of the groups that nobody has taken, by model, in the order in which they are taken.
        loads: What is left to do of what each worker has taken.
        models: The model that each worker has.
    """
    remaining, busy, having = {model: list(costs) for model, costs in left.items()}, dict(loads), dict(models)
    while remaining:
        soonest = min(busy, key=lambda one: busy[one])
        others = [model for one, model in having.items() if one != soonest]
        model = model_for(having[soonest], remaining, others)
        if soonest == worker:
            return Turn(model, len(left[model]) - len(remaining[model]))
        busy[soonest] += remaining[model].pop(0)
        having[soonest] = model
        if not remaining[model]:
            del remaining[model]
    return None
