"""The numbers of a page as plain data: curves with their points, PBx and groups, and every cell once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pb_plugin.analyses.found import Found
from pb_plugin.analyses.oracle import DEFAULT as SWEEP
from pb_plugin.analyses.oracle import oracle
from pb_plugin.analyses.order import order_benefit, parallelizability
from pb_plugin.analyses.reference import against_ideal
from pb_plugin.report.stored import StoredReport
from pb_plugin.results.cell_numbers import COUNTS, Ends
from pb_plugin.results.differences import comparisons
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import XS, CellSummary, Curve, SuiteCurve, SuitePoint, Summary, setting_label
from pb_plugin.statistics.intervals import Interval
from pb_plugin.statistics.pbx import PBx
from task_specs.catalogue import BENCHMARK_IDS

DIGITS = 6
"""Significant digits of a number in the page; more are never shown."""


def numbers_of(report: StoredReport) -> dict[str, Any]:
    """Return what the plots and tables of a page show, a few letters per name to keep it small.

    A point has ``s`` (setting), ``y`` (percent), ``i`` (its interval), ``t`` (by token count the tokens per
    step with both ends of their interval, None where there is none), ``b`` (by token count both ends of the
    tokens per step where forwards are known as bounds) and ``r`` (why something is missing). A PBx has ``v``
    (value), ``c`` (how it is censored) and, where bounds do not settle it, ``b`` (both ends).
    """
    summary = report.summary
    planned = list(dict.fromkeys(cell.asked.task for cell in report.run.cells))
    ranks = {task: rank for rank, task in enumerate(task for ids in BENCHMARK_IDS.values() for task in ids)}
    return {
        "counts": list(COUNTS),
        "xs": list(XS),
        "suites": list(SUITES),
        "tasks": sorted(planned, key=lambda task: ranks.get(task, len(ranks))),
        "groups": {suite: _letters(report, suite) for suite in SUITES},
        "curves": [_curve(curve) for curve in summary.curves],
        "analyses": analyses_of(summary),
    }


def analyses_of(summary: Summary) -> dict[str, Any]:
    """Return the paper's analyses as far as the run has what they need, and a line for what is missing."""
    sweeps = {curve.identity.method for curve in summary.curves}
    no_sweep = Found(rows=(), missing=(f"oracle: no curve of {SWEEP}; run pytest with --unmasking {SWEEP}",))
    found = {
        "oracle": oracle(summary) if SWEEP in sweeps else no_sweep,
        "parallelizability": parallelizability(summary),
        "order_benefit": order_benefit(summary),
        "against_ideal": against_ideal(summary),
    }
    return {name: _shortened(analysis.to_json()) for name, analysis in found.items()}


def _shortened(data: Any) -> Any:
    """Return plain *data* with `DIGITS` in every fraction."""
    if isinstance(data, Mapping):
        return {name: _shortened(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_shortened(value) for value in data]
    return _short(data) if isinstance(data, float) else data


def _letters(report: StoredReport, suite: str) -> list[dict[str, Any]]:
    return [{"what": c.what, "letters": dict(c.letters)} for c in comparisons(report.summary, suite)]


def _curve(curve: Curve) -> dict[str, Any]:
    identity = curve.identity
    return {
        "label": identity.label,
        "model": identity.model,
        "method": identity.label.removeprefix(f"{identity.model}-"),
        "family": curve.family,
        "reference": any(cell.exact for cell in curve.cells),
        "nfe": list(curve.nfe_kinds),
        "suites": {name: _suite(suite) for name, suite in curve.suites.items()},
        "cells": [_cell(cell) for cell in curve.cells],
    }


def _suite(suite: SuiteCurve) -> dict[str, Any]:
    pbx = {count: {str(x): _pbx(suite, x, count) for x in XS} for count in COUNTS}
    return {"reason": suite.reason, "points": [_point(point) for point in suite.points], "pbx": pbx}


def _pbx(suite: SuiteCurve, x: float, count: str) -> dict[str, Any]:
    found, interval = suite.pbx(x, count), suite.pbx_interval(x, count)
    ends = None if interval is None else [_end(interval.low), _end(interval.high)]
    return {**_end(found), "ends": ends}


def _end(found: PBx) -> dict[str, Any]:
    end = {"v": _short(found.value), "c": None if found.censored == "none" else found.censored}
    return end if found.between is None else {**end, "b": [_end(one) for one in found.between]}


def _point(point: SuitePoint) -> dict[str, Any]:
    return {
        "s": setting_label(point.setting),
        "y": _short(point.score),
        "i": _ends(point.interval),
        "t": _rates(point.tps, point.tps_intervals or {}),
        "b": _bounds(point.tps_bounds),
        "r": point.reason,
    }


def _cell(cell: CellSummary) -> dict[str, Any]:
    return {
        "task": cell.task,
        "s": setting_label(cell.setting),
        "y": _short(cell.percent),
        "i": _ends(cell.interval, scale=100.0),
        "t": _rates(cell.tps, {}),
        "b": _bounds(cell.tps_bounds),
        "r": cell.reason,
        "n": cell.n,
        "failed": cell.n_failed,
        "score": cell.score,
    }


def _rates(tps: Mapping[str, float] | None, intervals: Mapping[str, Interval]) -> list[Any] | None:
    if tps is None:
        return None
    return [[_short(tps[count]), *(_ends(intervals.get(count)) or ())] for count in COUNTS]


def _bounds(bounds: Mapping[str, Ends] | None) -> list[list[float | None]] | None:
    return None if bounds is None else [[_short(end) for end in bounds[count]] for count in COUNTS]


def _ends(interval: Interval | None, scale: float = 1.0) -> list[float | None] | None:
    return None if interval is None else [_short(scale * interval.low), _short(scale * interval.high)]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def gate_rows(verdicts: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the verdicts on gates as plain rows."""
    return [
        {"gate": v.gate, "subject": v.subject, "passed": v.passed, "message": v.message} for v in verdicts
    ]
