"""Draws of measurements whose samples are not at hand: every accuracy is a binomial proportion of its own.

Legend: D = draws, T = tasks, S = settings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pb_plugin.statistics.curve_draws import CurveDraws
from pb_plugin.statistics.resample import DRAWS, Doubt, Floats


def binomial_curve(
    points: Sequence[tuple[float, float]],
    accuracy: Sequence[Sequence[float]],
    n: int,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> CurveDraws:
    """Return *points* with the doubt about their scores in every draw; tokens per step are certain.

    Each accuracy is drawn on its own: what two settings share of their samples is not known, so a
    difference between settings looks less sure than it is. Accuracies of 0 and 1 are in doubt as in
    `pb_plugin.statistics.resample.Doubt`.

    Args:
        points: Tokens per step and score in percent of every setting, S.
        accuracy: In percent, of every task at every setting [T, S]; their doubt moves the points.
        n: Samples behind each accuracy.
        seed: Of all draws.
        draws: How many.
    """
    generator = np.random.default_rng(seed)
    p: Floats = np.array(accuracy, dtype=np.float64) / 100.0
    doubt = Doubt(seed=seed, draws=draws)
    for of_task in p:
        doubt.add(np.where((of_task == 0.0) | (of_task == 1.0), of_task, np.nan), n)
    drawn = generator.binomial(n, p, size=(draws, *p.shape)) / n
    moved = 100.0 * ((drawn - p).sum(axis=1) + doubt.shifts()) / len(p)
    tps, scores = (np.array(values, dtype=np.float64) for values in zip(*points, strict=True))
    return CurveDraws(scores=scores + moved, tps={"canvas": np.broadcast_to(tps, moved.shape)})
