"""Two numbers derived from a curve, beside PBx: the score at a given speed, and accuracy under parallelism.

Legend: D = draws (1 for the measured curve), S = settings.
"""

from __future__ import annotations

import numpy as np

from pb_plugin.statistics.resample import Floats

ALLOWED_LOSS = 5.0
"""How far, in percent, a point may lie below the slowest one and still count for AUP (d3LLM)."""

STEEPNESS = 3.0


def score_at(tps: Floats, scores: Floats, rate: float | Floats) -> Floats:
    """Return the score in percent at *rate* tokens per step, on the line between neighbours, [D].

    NaN where *rate* is outside of what was measured in that draw: nothing is extrapolated.

    Args:
        tps: Tokens per step [D, S].
        scores: Scores in percent [D, S].
        rate: Tokens per step, one for all draws or one each [D].
    """
    rate = np.broadcast_to(np.asarray(rate, dtype=np.float64), len(tps))
    order = np.lexsort((-scores, tps), axis=1)
    tps, scores = np.take_along_axis(tps, order, 1), np.take_along_axis(scores, order, 1)
    rows = np.arange(len(tps))
    above = np.minimum((tps < rate[:, None]).sum(axis=1), tps.shape[1] - 1)
    below = np.maximum(above - 1, 0)
    below = np.where(tps[rows, above] == rate, above, below)
    width = tps[rows, above] - tps[rows, below]
    share = np.where(width > 0.0, (rate - tps[rows, below]) / np.where(width > 0.0, width, 1.0), 0.0)
    found = scores[rows, below] + share * (scores[rows, above] - scores[rows, below])
    inside = (tps[:, 0] <= rate) & (rate <= tps[:, -1])
    return np.where(inside, found, np.nan)


def aup(tps: Floats, scores: Floats, highest: float) -> Floats:
    """Return accuracy under parallelism, [D].

    The points by rising tokens per step rho, those kept whose score y is at least y_1 - 5: rho_1 y_1 +
    1/2 sum over i > 1 of (rho_i - rho_(i-1)) (y_i W(y_i) + y_(i-1) W(y_(i-1))), with
    W(y) = min(exp(-3 (1 - y / *highest*)), 1).

    Source: d3LLM (AUP score).
    Differs: the score is the mean over the tasks of a suite, and *highest* the highest such mean among the
    curves that are shown together; both are one task's in the source.

    Args:
        tps: Tokens per step [D, S].
        scores: Scores in percent [D, S].
        highest: Score in percent.
    """
    order = np.lexsort((-scores, tps), axis=1)
    tps, scores = np.take_along_axis(tps, order, 1), np.take_along_axis(scores, order, 1)
    kept = scores >= scores[:, :1] - ALLOWED_LOSS
    weighted = scores * np.minimum(np.exp(-STEEPNESS * (1.0 - scores / highest)), 1.0)
    area = tps[:, 0] * scores[:, 0]
    last = np.zeros(len(tps), dtype=np.intp)
    rows = np.arange(len(tps))
    for place in range(1, tps.shape[1]):
        step = tps[:, place] - tps[rows, last]
        add = 0.5 * step * (weighted[:, place] + weighted[rows, last])
        area = area + np.where(kept[:, place], add, 0.0)
        last = np.where(kept[:, place], place, last)
    return area
