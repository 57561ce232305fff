"""One curve over one suite as points: which curve is meant, and its rows as `pb points` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pb_plugin.results.points import COLUMNS, OPTIONAL_COLUMNS
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import CellSummary, Curve, SuitePoint, Summary, setting_label

POINT_COLUMNS = (COLUMNS[0], *OPTIONAL_COLUMNS, *COLUMNS[1:])


def curve_of(summary: Summary, label: str) -> Curve:
    """Return the curve called *label*.

    Raises:
        ValueError: There is none.
    """
    found = {curve.identity.label: curve for curve in summary.curves}
    if label not in found:
        raise ValueError(
            f"--curve must be one of the run, got {label!r}; it has {', '.join(found) or 'none'}"
        )
    return found[label]


def check_suite(suite: str) -> None:
    """Refuse a name that is no suite.

    Raises:
        ValueError: It is none.
    """
    if suite not in SUITES:
        raise ValueError(f"--suite must be one of {', '.join(SUITES)}, got {suite!r}; choose one")


def whole_curves(summary: Summary, suite: str) -> list[Curve]:
    """Return the curves that have a full result for every task of *suite*.

    Raises:
        ValueError: There is none; gives the first reason and the suites that have one.
    """
    found = [curve for curve in summary.curves if curve.suites[suite].reason is None]
    if not found:
        others = [name for name in SUITES if any(c.suites[name].reason is None for c in summary.curves)]
        reason = next((curve.suites[suite].reason for curve in summary.curves), "the run has no curve")
        raise ValueError(
            f"--suite must have a full result for every task of it, got {suite!r} ({reason}); "
            f"the run has {', '.join(others) or 'no such suite'}"
        )
    return found


def check_exact(curves: Sequence[Curve], suite: str, option: str) -> None:
    """Refuse curves whose forwards are known as bounds, where the layout has one number.

    Raises:
        ValueError: There is one.
    """
    for curve in curves:
        if curve.suites[suite].is_bounded:
            raise ValueError(
                f"{option} must have counted or commanded forwards, as its layout has one number where "
                f"bounds need two, got {curve.identity.label}; write --latex or --csv without --curve"
            )


def slowest_first(curve: Curve, suite: str) -> list[SuitePoint]:
    """Return the whole points of the curve by their tokens per step."""
    return sorted(
        (p for p in curve.suites[suite].points if p.is_whole), key=lambda p: (p.tps or {})["canvas"]
    )


def cells_at(curve: Curve, point: SuitePoint, tasks: Sequence[str]) -> dict[str, CellSummary]:
    """Return the cells of *tasks* at the setting of *point*, by task in the order of *tasks*."""
    setting = setting_label(point.setting)
    found = {cell.task: cell for cell in curve.cells if setting_label(cell.setting) == setting}
    return {task: found[task] for task in tasks}


def point_rows(curve: Curve, suite: str) -> list[dict[str, Any]]:
    """Return a row of `POINT_COLUMNS` for every task and setting, tasks one after another."""
    tasks = SUITES[suite]
    settings = [(point, cells_at(curve, point, tasks)) for point in slowest_first(curve, suite)]
    return [
        {
            "task": task,
            "setting": setting_label(point.setting),
            "tps": (cells[task].tps or {})["canvas"],
            "accuracy": cells[task].percent,
        }
        for task in tasks
        for point, cells in settings
    ]
