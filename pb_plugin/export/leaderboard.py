"""A run in the layout of the ParallelBench leaderboard (parallelbench.github.io): PBx as JSON, points as CSV.

A folder holds one model: ``MODEL.json`` with the PBx of every method, and a CSV per method with the columns
task, tps and accuracy, the rows of a task from the slowest setting to the fastest, and rows ``avg`` of the
means over the tasks at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pb_plugin.export.curve import cells_at, slowest_first
from pb_plugin.export.rows import csv_text
from pb_plugin.results.points import AVERAGE, COLUMNS
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import Curve

THRESHOLDS = (80, 75, 70)

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "confidence": "confidence-topk",
        "margin": "topk-margin",
        "entropy": "entropy-topk",
        "left_to_right": "l2r",
        "threshold": "confidence-threshold",
        "factor": "confidence-factor",
    }
)
"""Our name of a method -> that of the leaderboard, where they differ."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.=,()+-]+")


def method_name(curve: Curve) -> str:
    """Return what the leaderboard calls the method of *curve*, with what is not the default behind it."""
    identity = curve.identity
    rest = identity.label.removeprefix(f"{identity.model}-{identity.method}")
    return file_name(METHODS.get(identity.method, identity.method) + rest)


def file_name(text: str) -> str:
    """Return *text* with everything that is no part of a plain file name as ``_``."""
    return _NOT_IN_NAMES.sub("_", text).lstrip(".") or "_"


def task_name(task: str, category: str) -> str:
    """Return what the leaderboard calls *task*: ``waitingline-copy``."""
    return f"{category.replace('_', '')}-{task}"


def leaderboard(curves: Sequence[Curve], suite: str) -> dict[str, Any]:
    """Return the leaderboard's JSON of *curves*, which are of one model: 0 where x is never reached."""
    results = {
        method_name(curve): {str(x): curve.suites[suite].pbx(x).value for x in THRESHOLDS} for curve in curves
    }
    return {"thresholds": list(THRESHOLDS), "results": results}


def method_csv(curve: Curve, suite: str) -> str:
    """Return the CSV of one method."""
    points = slowest_first(curve, suite)
    settings = [cells_at(curve, point, SUITES[suite]) for point in points]
    named = (
        {task_name(cell.task, cell.category): task for task, cell in settings[0].items()} if settings else {}
    )
    rows = [
        {"task": name, "tps": (cells[task].tps or {})["canvas"], "accuracy": cells[task].percent}
        for name, task in sorted(named.items())
        for cells in settings
    ]
    rows += [
        {"task": AVERAGE, "tps": (point.tps or {})["canvas"], "accuracy": point.score} for point in points
    ]
    return csv_text(rows, COLUMNS)


def files_of(curves: Sequence[Curve], suite: str) -> dict[str, dict[str, Any]]:
    """Return for every model its files, content by name: JSON as plain data, CSV as text.

    Raises:
        ValueError: Two curves of a model would be one file.
    """
    found: dict[str, dict[str, Any]] = {}
    for curve in curves:
        files = found.setdefault(file_name(curve.identity.model), {})
        name = f"{method_name(curve)}.csv"
        if name in files:
            raise ValueError(
                f"curves must have names that differ as files, got {name!r} twice; export stores apart"
            )
        files[name] = method_csv(curve, suite)
    for model, files in found.items():
        of_model = [curve for curve in curves if file_name(curve.identity.model) == model]
        files[f"{model}.json"] = leaderboard(of_model, suite)
    return found
