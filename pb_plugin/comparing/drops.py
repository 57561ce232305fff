"""Drops between two sides with their margins, and which of them the data show: a step-down max-T.

Legend: D = draws, J = drops that are judged together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pb_plugin.results.cell_numbers import NFE_BOUNDED
from pb_plugin.results.summary import SuiteCurve, SuitePoint, setting_label
from pb_plugin.statistics.curve_draws import AT_LEAST, PBxDraws
from pb_plugin.statistics.intervals import Interval
from pb_plugin.statistics.pbx import PBx
from pb_plugin.statistics.resample import Floats, percentile_interval

SURE = 0.95
"""How sure it is that no drop below its margin is called shown, over all that are judged together."""

PBX_MARGIN, TPS_MARGIN = 0.05, 0.02
"""Shares of the first side's PBx, and of its tokens per step under an adaptive method, that may be lost."""

ROUNDING = 1e-9

Status = Literal["green", "yellow", "red"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drop:
    """How much lower a number of the second side is.

    Args:
        what: ``score at k=8``, ``PB80 canvas``, ``tokens per step at gamma=0.9``.
        unit: ``points`` or ``tokens per step``.
        before: The first side's number.
        after: The second side's.
        value: The drop; negative where the second side is higher.
        margin: What may be lost.
        draws: The drop in every draw of the joint resample [D].
        bound: Lower bound of the drop that holds for all judged together; None before `judged`.
        status: red: shown to exceed the margin; yellow: exceeds it and is not shown; green.
        needed: How many times as many samples would show a yellow drop of this size, or None.
    """

    what: str
    unit: str
    before: float
    after: float
    value: float
    margin: float
    draws: Floats
    bound: float | None = None
    status: Status = "green"
    needed: float | None = None

    @property
    def interval(self) -> Interval:
        """The two-sided 95 % interval of the drop, for this number alone."""
        low, high = percentile_interval(self.draws, 0.95)
        return Interval(low=float(low), high=float(high), level=0.95)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "what": self.what,
            "unit": self.unit,
            "before": self.before,
            "after": self.after,
            "drop": self.value,
            "interval": self.interval.to_json(),
            "margin": self.margin,
            "bound": self.bound,
            "status": self.status,
            "needed_samples_factor": self.needed,
        }


def drops_of(before: SuiteCurve, after: SuiteCurve, *, x: float, count: str, margin: float) -> list[Drop]:
    """Return the drops of one curve: the score and the speed at every common setting, and PBx.

    Args:
        before: The first side.
        after: The second, drawn by the same resample.
        x: Of PBx, in percent.
        count: The token count of PBx and speed.
        margin: Points of the score that may be lost.

    Raises:
        ValueError: A side has no PBx, or they have no common setting.
    """
    for curve in (before, after):
        if curve.reason is not None or curve.is_bounded:
            raise ValueError(curve.reason or NFE_BOUNDED)
    columns = [_columns(curve) for curve in (before, after)]
    common = [label for label in columns[0] if label in columns[1]]
    if not common:
        raise ValueError("no setting was measured on both sides; run the settings of the first side")
    assert before.draws is not None
    assert after.draws is not None
    found = []
    for label in common:
        (i, one), (j, two) = columns[0][label], columns[1][label]
        lost_score = before.draws.scores[:, i] - after.draws.scores[:, j]
        found.append(_drop(f"score at {label}", (one.score, two.score), margin, lost_score, unit="points"))
        assert one.tps is not None
        assert two.tps is not None
        slower = before.draws.tps[count][:, i] - after.draws.tps[count][:, j]
        allowed = 0.0 if before.static else TPS_MARGIN * one.tps[count]
        rates = (one.tps[count], two.tps[count])
        found.append(_drop(f"tokens per step at {label}", rates, allowed, slower, unit="tokens per step"))
    found.append(_pbx_drop(before, after, x, count))
    return found


def _columns(curve: SuiteCurve) -> dict[str, tuple[int, SuitePoint]]:
    """Return for every whole point, by its setting, its column in the draws."""
    whole = [point for point in curve.points if point.is_whole]
    return {setting_label(point.setting): (column, point) for column, point in enumerate(whole)}


def _drop(
    what: str, sides: tuple[float | None, float | None], margin: float, draws: Floats, *, unit: str
) -> Drop:
    before, after = sides
    assert before is not None
    assert after is not None
    return Drop(
        what=what,
        unit=unit,
        before=before,
        after=after,
        value=before - after,
        margin=margin,
        draws=draws,
    )


def _pbx_drop(before: SuiteCurve, after: SuiteCurve, x: float, count: str) -> Drop:
    one, two = before.pbx(x, count), after.pbx(x, count)
    drawn_before, drawn_after = before.pbx_draws(x, count), after.pbx_draws(x, count)
    assert drawn_before is not None
    assert drawn_after is not None
    measured = lost(_single(one), _single(two))
    return Drop(
        what=f"PB{x:g} {count}",
        unit="tokens per step",
        before=one.value or 0.0,
        after=two.value or 0.0,
        value=float(measured[0]),
        margin=PBX_MARGIN * (one.value or 0.0),
        draws=lost(drawn_before, drawn_after),
    )


def _single(found: PBx) -> PBxDraws:
    kind = {"never": -1, "none": 0, "at_least": AT_LEAST}[found.censored]
    return PBxDraws(values=np.array([found.value or 0.0]), kinds=np.array([kind], dtype=np.int8))


def lost(before: PBxDraws, after: PBxDraws) -> Floats:
    """Return the drop of PBx in every draw, as far as it is known.

    Never reached is 0. "v or more" against c below v is a drop of at least v - c, which counts; two "or more"
    are undecided, and so is b against "v or more" with v below b: they count as no drop.
    """
    difference = before.values - after.values
    undecided = (after.kinds == AT_LEAST) & (difference > 0.0)
    return np.where(undecided, 0.0, difference)


def judged(drops: Sequence[Drop]) -> list[Drop]:
    """Return *drops* with bounds and statuses that hold for all of them together.

    Every drop is studentised by the spread of its draws. Those that exceed their margin by more than the
    95 % quantile of the largest studentised deviation are shown and leave; that repeats with the rest.

    Source: Romano and Wolf, Econometrica 73 (2005), step-down max-T by the bootstrap.
    Differs: a drop whose draws do not spread is certain: shown where it exceeds its margin at all.
    """
    spread = np.array([drop.draws.std() for drop in drops])
    value = np.array([drop.value for drop in drops])
    margin = np.array([drop.margin for drop in drops])
    certain = spread <= ROUNDING
    shown = certain & (value > margin + ROUNDING)
    active = ~certain
    critical = 0.0
    if active.any():
        draws = np.stack([drop.draws for drop in drops], axis=1)
        deviation = (draws - value) / np.where(certain, 1.0, spread)
        while active.any():
            critical = float(np.quantile(deviation[:, active].max(axis=1), SURE, method="higher"))
            safe = np.where(certain, 1.0, spread)
            leaving = active & ((value - margin) / safe > critical)
            if not leaving.any():
                break
            shown |= leaving
            active &= ~leaving
    return [
        replace(
            drop,
            bound=float(drop.value - max(critical, 0.0) * spread[i]),
            status=_status(drop, bool(shown[i])),
            needed=_needed(drop, critical * spread[i]) if not shown[i] else None,
        )
        for i, drop in enumerate(drops)
    ]


def _status(drop: Drop, is_shown: bool) -> Status:
    if is_shown:
        return "red"
    return "yellow" if drop.value > drop.margin + ROUNDING else "green"


def _needed(drop: Drop, reach: float) -> float | None:
    """Return how many times as many samples bring *reach* below what exceeds the margin, or None."""
    over = drop.value - drop.margin
    return (reach / over) ** 2 if over > ROUNDING else None
