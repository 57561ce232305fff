"""In which order positions were committed: rank correlations of a record's commit steps, and their means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pb_plugin.records.record import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vectors = Sequence[tuple[int, ...]]

PAIRS_AT_ONCE = 2**20
"""Pairs of positions that are compared at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Means over the samples of a cell; a correlation is in [-1, 1], never NaN, and None where there is none.

    Args:
        kendall_position: Kendall's tau-b of the step of a position's final commit with the position, over the
            positions that a template did not fix; 1 is left to right, -1 right to left.
        spearman_position: Spearman's rho of the same.
        kendall_published: The published tau-b: of the vector of first commits with its own sorted copy, with
            0 for positions of a template.
        spearman_published: The published rho, of the same.
        remasks: How often a visible position was masked again.
    """

    kendall_position: float | None
    spearman_position: float | None
    kendall_published: float | None
    spearman_published: float | None
    remasks: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def mean_order(records: Sequence[Record]) -> Order | None:
    """Return the order statistics of the decoded *records* of one cell, None where there are none.

    A sample whose positions were all committed at one step has no order and is left out of the means of the
    correlations. These are None where a record does not know its steps; the published ones also where one
    masked again, because a record holds the final commit of a position and they ask for the first.

    Source: ParallelBench (arXiv:2510.04767), analysis of the decoding order; its code compares the order
    vector with its own sorted copy, which gives other numbers than positions where steps are shared.
    """
    if not records:
        return None
    known = [record.commit_step for record in records if record.commit_step is not None]
    first_known = len(known) == len(records) and not any(record.remasks for record in records)
    generated = [tuple(s for s in steps if s >= 0) if _has_fixed(steps) else steps for steps in known]
    published = [tuple(max(s, 0) for s in steps) if _has_fixed(steps) else steps for steps in known]
    if len(known) < len(records):
        generated = []
    if not first_known:
        published = []
    of_position, of_published = _means(generated, with_positions), _means(published, with_sorted)
    return Order(
        kendall_position=of_position[0],
        spearman_position=of_position[1],
        kendall_published=of_published[0],
        spearman_published=of_published[1],
        remasks=math.fsum(record.remasks for record in records) / len(records),
    )


def _has_fixed(steps: tuple[int, ...]) -> bool:
    """Whether a template fixed some position."""
    return min(steps, default=0) < 0


Partner = Callable[["NDArray[Any]"], "NDArray[Any]"]


def _means(vectors: Vectors, partner: Partner) -> tuple[float | None, float | None]:
    """Return the means of tau-b and rho over the *vectors* that have them; equal ones are looked at once."""
    import numpy as np

    by_length: dict[int, dict[tuple[int, ...], None]] = {}
    for vector in vectors:
        by_length.setdefault(len(vector), {})[vector] = None
    found: dict[tuple[int, ...], tuple[float | None, float | None]] = {}
    for length, members in by_length.items():
        unique, at_once = list(members), max(1, PAIRS_AT_ONCE // max(1, length) ** 2)
        for start in range(0, len(unique), at_once):
            part = unique[start : start + at_once]
            x = np.array(part, dtype=np.int32)
            y = partner(x)
            found.update(zip(part, zip(kendall(x, y), spearman(x, y), strict=True), strict=True))
    both = [found[vector] for vector in vectors]
    return _mean_known(tau for tau, _ in both), _mean_known(rho for _, rho in both)


def _mean_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def with_positions(x: NDArray[Any]) -> NDArray[Any]:
    """Return 0, 1, 2 ... for every row of *x*."""
    import numpy as np

    return np.broadcast_to(np.arange(x.shape[1]), x.shape)


def with_sorted(x: NDArray[Any]) -> NDArray[Any]:
    """Return the rows of *x* in ascending order, what the published statistics compare *x* with."""
    import numpy as np

    return np.sort(x, axis=1)


def kendall(x: NDArray[Any], y: NDArray[Any]) -> list[float | None]:
    """Return Kendall's tau-b of each row of *x* with the same row of *y*, whole numbers [S, N].

    Source: Kendall, The treatment of ties in ranking problems (Biometrika 1945): concordant minus discordant
    pairs, over the geometric mean of the pairs without a tie in either. None where a row is constant.
    """
    import numpy as np

    first, second = np.triu_indices(x.shape[1], k=1)
    columns = (np.ascontiguousarray(v.T) for v in (x, y))
    step, partner = (np.sign(v[second] - v[first]) for v in columns)
    balance = (step * partner).sum(axis=0)
    untied = [np.abs(sign).sum(axis=0) for sign in (step, partner)]
    return _quotients(balance, *untied)


def spearman(x: NDArray[Any], y: NDArray[Any]) -> list[float | None]:
    """Return Spearman's rho of each row of *x* with the same row of *y*, whole numbers [S, N].

    That is Pearson's correlation of the ranks, where ties share their mean rank. None where a row is
    constant.
    """
    a, b = (_centred_ranks(v) for v in (x, y))
    return _quotients((a * b).sum(axis=1), (a * a).sum(axis=1), (b * b).sum(axis=1))


def _centred_ranks(x: NDArray[Any]) -> NDArray[Any]:
    """Return twice the mean rank minus twice the middle rank, whole numbers: smaller minus larger values."""
    import numpy as np

    n_rows, length = x.shape
    apart = x + np.arange(n_rows)[:, None] * (x.max(initial=0) - x.min(initial=0) + 1)
    ordered = np.sort(apart, axis=None)
    smaller, not_larger = (np.searchsorted(ordered, apart, side=side) for side in ("left", "right"))
    first = np.arange(n_rows)[:, None] * length
    difference: NDArray[Any] = (smaller - first) + (not_larger - first) - length
    return difference


def _quotients(above: NDArray[Any], left: NDArray[Any], right: NDArray[Any]) -> list[float | None]:
    """Return above / sqrt(left * right) of every row, None where that is 0 / 0."""
    parts = zip(above.tolist(), left.tolist(), right.tolist(), strict=True)
    return [n / math.sqrt(a * b) if a and b else None for n, a, b in parts]
