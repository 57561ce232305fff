"""Intervals of measured proportions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A two-sided interval that covers the true value with probability *level*."""

    low: float
    high: float
    level: float

    def holding(self, value: float) -> Interval:
        """Return the interval, widened where it does not hold the measured *value*.

        Where all samples have one score, draws of the doubt about it lie on one side of what was measured,
        and so would both ends (Brown, Cai and DasGupta, Statist. Sci. 16 (2001), end Jeffreys' interval at
        the measured proportion there too).
        """
        return Interval(low=min(self.low, value), high=max(self.high, value), level=self.level)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"low": self.low, "high": self.high, "level": self.level}


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return the score interval of a proportion.

    Source: Wilson, Probable inference, the law of succession, and statistical inference (JASA 1927): the p
    that solve ``(successes / n - p)^2 = z^2 p (1 - p) / n``.

    Args:
        successes: Samples that scored 1.
        n: Samples.
        level: Coverage in (0, 1).

    Raises:
        ValueError: An argument is out of its range.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n!r}; without samples there is no interval")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n={n}, got {successes!r}; count 0/1 scores only")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be in (0, 1), got {level!r}; use 0.95 for 95 %")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(
        low=0.0 if successes == 0 else centre - half,  # both ends are exact there: the root is 0 or 1
        high=1.0 if successes == n else centre + half,
        level=level,
    )
