"""One joint resample of the samples of every task, so that all curves move together.

Legend: D = draws, n = samples of a task, C = columns, one for each number that a sample carries.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pb_plugin.statistics.intervals import Interval

Floats = NDArray[np.float64]

DRAWS = 2000


class Resample:
    """A stratified bootstrap: in every draw the samples of a task have random weights.

    The weights of n samples are Dirichlet with n equal parameters of 1 - 2/n (1/n where n is below 3), so
    that a drawn mean has the unbiased variance s^2 / n. What is drawn of a task depends on seed, task and the
    number of its samples, and on no other task.

    Source: Rubin, The Bayesian bootstrap, Ann. Statist. 9 (1981); Efron and Tibshirani, An Introduction to
    the Bootstrap (1993), chapter 8 (strata).
    Differs: parameters of 1 make a drawn mean vary too little, by n - 1 in n + 1; whole counts instead of
    weights make the mean of few samples jump, and its interval hold the truth too rarely
    (``bench_tests/coverage_study.py``). Where all samples of a task have one score, weights know no doubt;
    see `Doubt`.

    Args:
        seed: Of all draws.
        draws: How many, D.
    """

    def __init__(self, *, seed: int = 0, draws: int = DRAWS) -> None:
        self.draws = draws
        self.seed = seed

    def means(self, task: str, values: Floats) -> Floats:
        """Return the means of the columns of *values* [n, C] in every draw, [D, C]."""
        first = values[0]  # equal values have exactly their value as the mean
        means: Floats = first + _weights(self.seed, self.draws, task, len(values)) @ (values - first)
        return means

    def mean_scores(self, by_task: Mapping[str, Floats]) -> Floats:
        """Return the mean over tasks of their mean scores in every draw, [D, C].

        Args:
            by_task: Scores in [0, 1] of every task, [n, C] each; n may differ, C may not.
        """
        total = sum(self.means(task, values) for task, values in by_task.items())
        doubt = Doubt(seed=self.seed, draws=self.draws)
        for values in by_task.values():
            doubt.add(np.where((values == values[0]).all(axis=0), values[0], np.nan), len(values))
        found: Floats = (total + doubt.shifts()) / len(by_task)
        return found

    def interval(self, task: str, scores: Sequence[float], level: float = 0.95) -> Interval:
        """Return the interval of the mean of *scores* of one task, in [0, 1]."""
        low, high = percentile_interval(self.mean_scores({task: np.array(scores)[:, None]}), level)
        found = Interval(low=float(low[0]), high=float(high[0]), level=level)
        return found.holding(math.fsum(scores) / len(scores))


class Doubt:
    """What is not known of tasks whose samples all have one score.

    Of the N samples of all such tasks at one setting, none had another score. The share of samples that
    would have is drawn from Jeffreys' posterior Beta(1/2, N + 1/2), one share for all of them: a draw for
    each task would add half a failure to each, and move the mean of many tasks. These have the other end of
    [0, 1]: 0 where the score is 1, 1 where it is 0, and either, by a coin, where it lies between. Settings
    share the luck of a draw.
    """

    def __init__(self, *, seed: int, draws: int) -> None:
        self._seed = seed
        self._draws = draws
        self._sums: dict[str, Floats] = {}
        self._sizes: dict[str, Floats] = {}
        self._tasks: dict[str, Floats] = {}

    def add(self, score: Floats, n: int) -> None:
        """Take in a task of *n* samples: its common score by column [C], NaN where scores differ."""
        with_kind = {"ones": score == 1.0, "zeros": score == 0.0, "between": (score > 0.0) & (score < 1.0)}
        for kind, chosen in with_kind.items():
            for sums, values in (
                (self._sums, np.where(chosen, score, 0.0)),
                (self._sizes, np.where(chosen, float(n), 0.0)),
                (self._tasks, chosen.astype(np.float64)),
            ):
                sums[kind] = sums.get(kind, 0.0) + values

    def shifts(self) -> Floats:
        """Return by how much the sum over tasks of their mean scores is moved in every draw, [D, C]."""
        found: Floats = np.sum([self._shift(kind) for kind in self._sums], axis=0)
        return found

    def _shift(self, kind: str) -> Floats:
        generator = _generator(self._seed, kind, 0, "doubt")
        luck = generator.gamma(0.5, size=self._draws)
        coin = generator.integers(0, 2, size=self._draws).astype(np.float64)
        other = {"ones": np.zeros(self._draws), "zeros": np.ones(self._draws), "between": coin}[kind]
        sizes = self._sizes[kind]
        rest = {n: generator.gamma(n + 0.5, size=self._draws) for n in np.unique(sizes)}
        share = np.stack([luck / (luck + rest[n]) for n in sizes], axis=1)
        shift: Floats = share * (other[:, None] * self._tasks[kind] - self._sums[kind])
        return shift


def _generator(seed: int, task: str, n: int, what: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}|{task}|{n}|{what}".encode()).digest()
    return np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "little")))


@lru_cache(maxsize=32)
def _weights(seed: int, draws: int, task: str, n: int) -> Floats:
    """Return the share of every sample in every draw, [D, n]."""
    return _generator(seed, task, n, "weights").dirichlet(np.full(n, max(n - 2, 1) / n), size=draws)


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
