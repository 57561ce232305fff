"""The least and the largest PBx in every draw, where the forwards of a curve are known as bounds only.

The same as `pb_plugin.statistics.pbx_bounds.lowest` and `highest` for boxes whose score is known, for all
draws at once. Legend: D = draws, S = settings of the curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pb_plugin.statistics.resample import Floats

Bools = NDArray[np.bool_]
INF = np.inf


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PBxEnds:
    """A curve in every draw: the ends of its tokens per step and its scores, [D, S].

    Args:
        low: The least tokens per step.
        high: The largest.
        scores: In percent.
        reached: Where the score reaches x.
        x: Score in percent.
        static: Whether only measured settings count.
    """

    low: Floats
    high: Floats
    scores: Floats
    reached: Bools
    x: float
    static: bool

    def fastest_reaches(self) -> tuple[Bools, Bools]:
        """Return in which draws the fastest setting reaches x on every curve, and where on some, [D] each."""
        surely = _most(self.low, self.reached) >= np.maximum(_most(self.high, ~self.reached), 0.0)
        may = _most(self.high, self.reached) >= self.low.max(axis=1)
        return surely, may

    def lowest(self) -> Floats:
        """Return the least PBx, [D]; any number where no setting reaches x."""
        last = np.where(self.reached.any(axis=1), _most(self.low, self.reached), 0.0)
        if self.static:
            return last
        at_last = (self.low <= last[:, None]) & (last[:, None] <= self.high)
        score = np.where(self.reached & at_last, self.scores, 100.0).min(axis=1)
        right = ~self.reached & (self.low > last[:, None])
        nearest = np.full(len(last), INF)
        for place in range(self.low.shape[1]):
            tps, below = self.low[:, [place]], self.scores[:, [place]]
            stays_behind = (self.high > tps) | ((self.high == tps) & (self.scores <= below)) | ~right
            stays_behind[:, place] = True
            crossing = self._crossing(last, score, tps[:, 0], below[:, 0])
            allowed = right[:, place] & stays_behind.all(axis=1)
            nearest = np.where(allowed, np.minimum(nearest, crossing), nearest)
        falls_at_once = (~self.reached & at_last).any(axis=1) | np.isinf(nearest)
        return np.where(falls_at_once, last, nearest)

    def highest(self) -> Floats:
        """Return the largest PBx, [D]; any number where no setting reaches x."""
        if self.static:
            return _most(self.high, self.reached)
        first = _most(self.low, self.reached)
        best = np.full(len(first), -INF)
        for place in range(self.low.shape[1]):
            last = self.high[:, place]
            at_last = self.reached & (self.low == last[:, None])
            at_last[:, place] = True
            score = np.where(at_last, self.scores, INF).min(axis=1)
            is_last = self.reached[:, place] & (last >= first)
            best = np.where(is_last, np.maximum(best, self._behind(last, score)), best)
        return best

    def _behind(self, last: Floats, score: Floats) -> Floats:
        """Return the largest crossing where the last setting that reaches x is at *last* [D]."""
        found = last
        behind = ~self.reached & (self.low >= last[:, None])
        for place in range(self.low.shape[1]):
            others = behind.copy()
            others[:, place] = False
            nearest = np.where(others, self.high, INF).min(axis=1)
            tps = np.minimum(self.high[:, place], nearest)
            allowed = ~self.reached[:, place] & (tps >= np.maximum(self.low[:, place], last))
            crossing = self._crossing(last, score, np.where(allowed, tps, last), self.scores[:, place])
            found = np.where(allowed, np.maximum(found, crossing), found)
        return found

    def _crossing(self, tps: Floats, score: Floats, next_tps: Floats, next_score: Floats) -> Floats:
        """Return where the line to the next setting falls to x, [D]; any number where it does not fall."""
        fall = score - next_score
        share = np.clip((score - self.x) / np.where(fall > 0.0, fall, 1.0), 0.0, 1.0)
        found: Floats = tps + share * (next_tps - tps)
        return found


def _most(values: Floats, chosen: Bools) -> Floats:
    """Return the largest of the *chosen* values in every draw, [D]; -inf where there is none."""
    found: Floats = np.where(chosen, values, -INF).max(axis=1)
    return found
