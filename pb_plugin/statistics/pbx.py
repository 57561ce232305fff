"""PBx: the most tokens per step at which a curve still reaches a score of x %."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

Rule = Literal["published", "uniform"]
Censored = Literal["none", "never", "at_least"]

RULES: tuple[Rule, ...] = get_args(Rule)


class Point(NamedTuple):
    """One setting of a curve: mean tokens per step and mean score in percent over the tasks of a suite."""

    tps: float
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PBx:
    """A PBx and how far it can be read.

    Args:
        value: Tokens per step; 0 when censored ``never``; None when it could not be computed.
        censored: ``never``: no setting reaches x. ``at_least``: the fastest measured setting still reaches x,
            so the true value is *value* or more. ``none``: neither.
        reason: Why *value* is None; None otherwise.
        between: Its least and its largest possible value, where the number of forwards is known as bounds
            only and these do not settle it; *value* is then None without a reason.
    """

    value: float | None
    censored: Censored = "none"
    reason: str | None = None
    between: tuple[PBx, PBx] | None = None

    @property
    def ends(self) -> tuple[PBx, PBx]:
        """Return its least and its largest possible value; both are itself where it is settled."""
        return (self, self) if self.between is None else self.between

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON; ``censored`` is null, "never" or "at_least"."""
        plain: dict[str, Any] = {
            "value": self.value,
            "censored": None if self.censored == "none" else self.censored,
        }
        if self.between is not None:
            plain["between"] = [end.to_json() for end in self.between]
        return plain if self.reason is None else {**plain, "reason": self.reason}


def pbx(points: Sequence[tuple[float, float]], x: float, rule: Rule, static: bool) -> PBx:
    """Return the largest tokens per step at which *points* still have a score of *x*.

    ``published``: a static method counts measured settings only and gets the largest TPS whose score is at
    least *x*; every other method is interpolated. ``uniform``: every method is interpolated, that is, the
    points are sorted by TPS (ties: higher score first) and the right-most crossing of *x* is taken on the
    line between neighbours.

    Source: ParallelBench (arXiv 2510.04767), README "PBx", and its table of published values.
    Differs: a curve that never reaches *x*, or still does so at its fastest setting, says so.

    Args:
        points: ``(tps, score in percent)`` of each setting, in any order.
        x: Score in percent.
        rule: ``published`` or ``uniform``.
        static: Whether the method unmasks a fixed number of positions per step.

    Raises:
        ValueError: *rule* is unknown, or a number is not finite.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}; choose one")
    if not math.isfinite(x):
        raise ValueError(f"x must be a finite score in percent, got {x!r}; PB80 has x=80")
    for point in points:
        if not (math.isfinite(point[0]) and math.isfinite(point[1])):
            raise ValueError(f"a point must have a finite tps and score, got {tuple(point)!r}; leave it out")
    if not points:
        return PBx(value=None, reason="no setting was measured")
    reached = [tps for tps, score in points if score >= x]
    if not reached:
        return PBx(value=0.0, censored="never")
    if max(reached) == max(tps for tps, _ in points):
        return PBx(value=float(max(reached)), censored="at_least")
    if rule == "published" and static:
        return PBx(value=float(max(reached)))
    return PBx(value=_last_crossing(sorted(points, key=lambda point: (point[0], -point[1])), x))


def _last_crossing(ordered: Sequence[tuple[float, float]], x: float) -> float:
    """Return the TPS at which the line through *ordered* falls below *x* for good.

    Exact arithmetic, rounded once: the result stays between its two settings and never grows with x.
    """
    last = max(index for index, (_, score) in enumerate(ordered) if score >= x)
    (tps, score), (next_tps, next_score) = ordered[last], ordered[last + 1]
    share = (Fraction(score) - Fraction(x)) / (Fraction(score) - Fraction(next_score))
    return float(Fraction(tps) + share * (Fraction(next_tps) - Fraction(tps)))
