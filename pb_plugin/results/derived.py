"""Numbers derived from a curve beside PBx, which stays the headline: the score at a speed, and AUP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pb_plugin.results.cell_numbers import NFE_BOUNDED
from pb_plugin.results.summary import SuiteCurve, Summary
from pb_plugin.statistics.intervals import Interval

RATES = (2.0, 4.0, 8.0)
"""Tokens per step at which JSON has the score of every curve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """A derived number, or None with the reason; its interval by the joint resample, where one was drawn."""

    value: float | None
    interval: Interval | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        interval = None if self.interval is None else self.interval.to_json()
        return {"value": self.value, "interval": interval, "reason": self.reason}


def score_at(curve: SuiteCurve, rate: float, count: str = "canvas") -> Derived:
    """Return the score in percent at *rate* tokens per step, interpolated between measured settings."""
    import numpy as np

    from pb_plugin.statistics.derived import score_at as score_at_

    if curve.reason is not None or curve.is_bounded:
        return Derived(value=None, reason=curve.reason or NFE_BOUNDED)
    tps, scores = _points(curve, count)
    value = float(score_at_(np.array([tps]), np.array([scores]), rate)[0])
    if np.isnan(value):
        reason = f"measured from {min(tps):g} to {max(tps):g} tokens per step only"
        return Derived(value=None, reason=reason)
    if curve.draws is None:
        return Derived(value=value)
    drawn = score_at_(curve.draws.tps[count], curve.draws.scores, rate)
    inside = drawn[~np.isnan(drawn)]
    return Derived(value=value, interval=_interval(inside) if len(inside) == len(drawn) else None)


def aup(curve: SuiteCurve, highest: float, count: str = "canvas") -> Derived:
    """Return accuracy under parallelism; *highest* is the highest score in percent of what is compared."""
    import numpy as np

    from pb_plugin.statistics.derived import aup as aup_

    if curve.reason is not None or curve.is_bounded:
        return Derived(value=None, reason=curve.reason or NFE_BOUNDED)
    if highest == 0.0:
        return Derived(value=0.0)
    tps, scores = _points(curve, count)
    value = float(aup_(np.array([tps]), np.array([scores]), highest)[0])
    if curve.draws is None:
        return Derived(value=value)
    return Derived(value=value, interval=_interval(aup_(curve.draws.tps[count], curve.draws.scores, highest)))


def derived_json(summary: Summary) -> list[dict[str, Any]]:
    """Return AUP and the score at `RATES` of every curve and suite that has points."""
    found = []
    for suite in dict.fromkeys(name for curve in summary.curves for name in curve.suites):
        curves = [(c, c.suites[suite]) for c in summary.curves if c.suites[suite].reason is None]
        scores = [point.score for _, curve in curves for point in curve.points if point.score is not None]
        for owner, curve in curves:
            found.append(
                {
                    "curve": owner.identity.label,
                    "suite": suite,
                    "highest": max(scores),
                    "aup": aup(curve, max(scores)).to_json(),
                    "score_at_tps": {f"{rate:g}": score_at(curve, rate).to_json() for rate in RATES},
                }
            )
    return found


def _points(curve: SuiteCurve, count: str) -> tuple[list[float], list[float]]:
    whole = [(p.tps[count], p.score) for p in curve.points if p.tps is not None and p.score is not None]
    return [tps for tps, _ in whole], [score for _, score in whole]


def _interval(drawn: Any, level: float = 0.95) -> Interval:
    from pb_plugin.statistics.resample import percentile_interval

    low, high = percentile_interval(drawn, level)
    return Interval(low=float(low), high=float(high), level=level)
