"""One joint resample of the samples of every task, so that all curves move together.

Legend: D = draws, n = samples of a task, C = columns, one for each number that a sample carries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pb_plugin.statistics.intervals import Interval

Floats = NDArray[np.float64]

DRAWS = 2000


class Resample:
    """A stratified bootstrap: within each task the samples are drawn again with replacement.

    What is drawn of a task depends on seed, task and the number of its samples, and on no other task.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 8 (strata).
    Differs: where all samples of a task have one score, drawing them again knows no doubt. There a draw of
    the share of samples that are so is Jeffreys' posterior Beta(n + 1/2, 1/2); the rest has the other extreme
    of [0, 1], or either for a score between. All settings of a task share the luck of a draw.

    Args:
        seed: Of all draws.
        draws: How many, D.
    """

    def __init__(self, *, seed: int = 0, draws: int = DRAWS) -> None:
        self.draws = draws
        self._seed = seed

    def means(self, task: str, values: Floats) -> Floats:
        """Return the means of the columns of *values* [n, C] in every draw, [D, C]."""
        means: Floats = _weights(self._seed, self.draws, task, len(values)) @ values
        return means

    def scores(self, task: str, values: Floats) -> Floats:
        """Return the same for scores in [0, 1], where equal scores are no certainty."""
        means = self.means(task, values)
        equal = np.flatnonzero((values == values[0]).all(axis=0))
        if len(equal):
            share, coin = _doubt(self._seed, self.draws, task, len(values))
            found = values[0, equal]
            other = np.where(found > 0.0, np.where(found < 1.0, coin[:, None], 0.0), 1.0)
            means[:, equal] = share[:, None] * found + (1.0 - share[:, None]) * other
        return means

    def interval(self, task: str, scores: Sequence[float], level: float = 0.95) -> Interval:
        """Return the interval of the mean of *scores*, in [0, 1]."""
        low, high = percentile_interval(self.scores(task, np.array(scores)[:, None]), level)
        return Interval(low=float(low[0]), high=float(high[0]), level=level)


def _generator(seed: int, task: str, n: int, what: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}|{task}|{n}|{what}".encode()).digest()
    return np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "little")))


@lru_cache(maxsize=32)
def _weights(seed: int, draws: int, task: str, n: int) -> Floats:
    """Return the share of every sample in every draw, [D, n]."""
    counts = _generator(seed, task, n, "weights").multinomial(n, np.full(n, 1.0 / n), size=draws)
    return counts / n


@lru_cache(maxsize=32)
def _doubt(seed: int, draws: int, task: str, n: int) -> tuple[Floats, Floats]:
    """Return for every draw the share of samples with the common score, and a coin of 0 or 1, [D] each."""
    generator = _generator(seed, task, n, "doubt")
    return generator.beta(n + 0.5, 0.5, size=draws), generator.integers(0, 2, size=draws).astype(np.float64)


def percentile_interval(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the two order statistics of *draws* [D, ...] between which the share *level* of them lies."""
    ordered = np.sort(draws, axis=0)
    low, high = places(len(draws), level)
    return ordered[low], ordered[high]


def places(draws: int, level: float) -> tuple[int, int]:
    """Return the 0-based places of both ends of an interval among sorted *draws*."""
    tail = (1.0 - level) / 2
    low = max(int(tail * draws + 1e-9) - 1, 0)  # 0.025 * 2000 is 50.00000000000004
    return low, draws - 1 - low
