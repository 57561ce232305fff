"""The points of a curve in every draw of the joint resample, and what PBx is there.

Legend: D = draws, S = settings of the curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pb_plugin.statistics.intervals import Interval
from pb_plugin.statistics.pbx import Censored, PBx, Rule
from pb_plugin.statistics.pbx_ends import PBxEnds
from pb_plugin.statistics.resample import Floats, percentile_interval, places

LEVEL = 0.95
ROUNDING = 1e-9
"""How far, in percent, a drawn mean may fall short of x by rounding alone."""

KINDS: tuple[Censored, ...] = ("never", "none", "at_least")
NEVER, EXACT, AT_LEAST = -1, 0, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class PBxInterval:
    """Where PBx lies in the share *level* of the draws.

    Args:
        low: Its lower end, which may be `never`.
        high: Its upper end, which may be "v or more".
        p_reached: Share of the draws in which some setting reaches x.
        level: Share of the draws between both ends.
    """

    low: PBx
    high: PBx
    p_reached: float
    level: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "low": self.low.to_json(),
            "high": self.high.to_json(),
            "p_reached": self.p_reached,
            "level": self.level,
        }


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PBxDraws:
    """PBx in every draw.

    ``values`` [D] are tokens per step, 0 where x is never reached; ``kinds`` [D] are -1 for that, 1 where the
    fastest setting still reaches x, so that the value is that or more, and 0 otherwise. Where the forwards
    are known as bounds only these are the least possible PBx, and ``most`` is the largest; else it is None.
    """

    values: Floats
    kinds: NDArray[np.int8]
    most: PBxDraws | None = None

    def interval(self, level: float = LEVEL) -> PBxInterval:
        """Return the interval; "v or more" comes directly behind v.

        With bounds it runs from the lower end of the least PBx to the upper end of the largest, so that it
        holds all that PBx can be in at least the share *level* of runs.

        Source: Horowitz and Manski, J. Am. Stat. Assoc. 95 (2000), section 2 (intervals of a whole set).
        """
        low, _ = self._ends(level)
        _, high = (self.most or self)._ends(level)
        reached = float((self.kinds != NEVER).mean())
        return PBxInterval(low=low, high=high, p_reached=reached, level=level)

    def _ends(self, level: float) -> tuple[PBx, PBx]:
        order = np.lexsort((self.kinds, self.values))
        low, high = (self._draw(order[place]) for place in places(len(order), level))
        return low, high

    def differences(self, other: PBxDraws) -> Floats:
        """Return in every draw by how much this one is higher, as far as it is known, [D].

        A value "v or more" is higher than all below v and undecided against the rest, which counts as 0; so
        is one between bounds against what lies between them.
        """
        return self._excess(other) - other._excess(self)

    def _excess(self, other: PBxDraws) -> Floats:
        most = other.most or other
        is_above = (self.values > most.values) & (most.kinds != AT_LEAST)
        return np.where(is_above, self.values - most.values, 0.0)

    def _draw(self, index: int) -> PBx:
        return PBx(value=float(self.values[index]), censored=KINDS[int(self.kinds[index]) + 1])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CurveDraws:
    """The points of a curve over a suite in every draw: ``scores`` [D, S] in percent, ``tps`` by count.

    Where the forwards of a setting are known as bounds only, ``tps`` has the least tokens per step and
    ``most_tps`` the largest, of every setting; else that is None.
    """

    scores: Floats
    tps: Mapping[str, Floats]
    most_tps: Mapping[str, Floats] | None = None

    def score_intervals(self, level: float = LEVEL) -> list[Interval]:
        """Return the interval of the score at every setting, in percent."""
        return _intervals(self.scores, level)

    def tps_intervals(self, count: str, level: float = LEVEL) -> list[Interval]:
        """Return the interval of the tokens per step at every setting; of all they can be, with bounds."""
        found = _intervals(self.tps[count], level)
        if self.most_tps is None:
            return found
        most = _intervals(self.most_tps[count], level)
        return [
            Interval(low=low.low, high=high.high, level=level) for low, high in zip(found, most, strict=True)
        ]

    def pbx(self, x: float, count: str, rule: Rule, static: bool) -> PBxDraws:
        """Return PBx in every draw, by the same rule as `pb_plugin.statistics.pbx.pbx`.

        With bounds it is that of `pb_plugin.statistics.pbx_bounds.pbx_between`.
        """
        tps, scores = self.tps[count], self.scores
        reached = scores >= x - ROUNDING
        if self.most_tps is not None:
            return _between(tps, self.most_tps[count], scores, reached, x, rule == "published" and static)
        best = np.where(reached, tps, 0.0).max(axis=1)
        kinds = np.where(reached.any(axis=1), EXACT, NEVER)
        kinds = np.where(reached.any(axis=1) & (best == tps.max(axis=1)), AT_LEAST, kinds).astype(np.int8)
        if rule == "published" and static:
            return PBxDraws(values=best, kinds=kinds)
        crossing = _last_crossings(tps, scores, reached, x)
        return PBxDraws(values=np.where(kinds == EXACT, crossing, best), kinds=kinds)


def _between(
    low: Floats, high: Floats, scores: Floats, reached: NDArray[np.bool_], x: float, static: bool
) -> PBxDraws:
    """Return the least PBx in every draw, with the largest as its `most`."""
    ends = PBxEnds(low=low, high=high, scores=scores, reached=reached, x=x, static=static)
    surely, may = ends.fastest_reaches()
    values = (ends.lowest(), ends.highest())
    none = ~reached.any(axis=1)
    kinds = [np.where(none, NEVER, np.where(is_end, AT_LEAST, EXACT)) for is_end in (surely, may)]
    least, most = (
        PBxDraws(values=np.where(none, 0.0, value), kinds=kind.astype(np.int8))
        for value, kind in zip(values, kinds, strict=True)
    )
    return replace(least, most=most)


def _last_crossings(tps: Floats, scores: Floats, reached: NDArray[np.bool_], x: float) -> Floats:
    """Return where each curve falls below *x* for good, [D]; any number where it does not."""
    order = np.lexsort((-scores, tps), axis=1)
    tps, scores = np.take_along_axis(tps, order, 1), np.take_along_axis(scores, order, 1)
    reached = np.take_along_axis(reached, order, 1)
    n_settings = tps.shape[1]
    last = n_settings - 1 - reached[:, ::-1].argmax(axis=1)
    following = np.minimum(last + 1, n_settings - 1)
    rows = np.arange(len(tps))
    fall = scores[rows, last] - scores[rows, following]
    share = np.clip((scores[rows, last] - x) / np.where(fall > 0.0, fall, 1.0), 0.0, 1.0)
    found: Floats = tps[rows, last] + share * (tps[rows, following] - tps[rows, last])
    return found


def _intervals(draws: Floats, level: float) -> list[Interval]:
    low, high = percentile_interval(draws, level)
    return [Interval(low=float(a), high=float(b), level=level) for a, b in zip(low, high, strict=True)]
