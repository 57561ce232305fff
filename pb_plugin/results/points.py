"""PBx of somebody else's measurements: a CSV of (task, tps, accuracy) for ``pb points``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from decoders.text.json_file import shortened
from pb_plugin.statistics.pbx import PBx, Point, Rule, pbx

if TYPE_CHECKING:
    from pb_plugin.statistics.curve_draws import PBxInterval

COLUMNS = ("task", "tps", "accuracy")
OPTIONAL_COLUMNS = ("setting",)
AVERAGE = "avg"
"""The task name of rows that are already means over tasks; when there are any, only they count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    line: int
    task: str
    setting: str | None
    tps: Decimal
    accuracy: Decimal


def points_pbx(path: str | Path, rule: Rule, x: float, static: bool) -> PBx:
    """Return the PBx of the points in the CSV file *path*; see `read_points` and `pbx`."""
    return pbx(read_points(path), x, rule, static)


def read_points(path: str | Path) -> list[Point]:
    """Return the points of a CSV file with the columns task, tps, accuracy (in percent) and perhaps setting.

    Rows of task ``avg`` are points as they are. Without them a point is the mean over tasks: of the rows with
    equal ``setting``, without that column of the i-th row of every task. Every task must have each setting.

    Raises:
        ValueError: The file is not like that; the message names file, line, column, value and what to do.
    """
    path = Path(path)
    rows = _read_rows(path)
    averages = [row for row in rows if row.task == AVERAGE]
    settings = _settings(path, averages or rows)
    return [
        Point(_mean([row.tps for row in group]), _mean([row.accuracy for row in group])) for group in settings
    ]


def points_interval(path: str | Path, rule: Rule, x: float, static: bool, n: int) -> PBxInterval:
    """Return the 95 % interval of PBx over the points of the file, from the doubt about its rows of tasks.

    Each accuracy of a task is a proportion of *n* samples. Rows of ``avg`` stay the points, as published
    files sort the rows of a task by its own tokens per step.

    Raises:
        ValueError: See `read_points`; or the file has means over tasks only, or more settings of one than of
            the other.
    """
    from pb_plugin.statistics.parametric import binomial_curve

    path = Path(path)
    rows = [row for row in _read_rows(path) if row.task != AVERAGE]
    if not rows:
        raise ValueError(
            f"{path}: file must have rows of tasks for intervals, got rows of {AVERAGE} only; "
            "add them, or leave --intervals out"
        )
    points, settings = read_points(path), _settings(path, rows)
    if len(points) != len(settings):
        raise ValueError(
            f"{path}: {AVERAGE} must have as many rows as every task for intervals, got {len(points)} and "
            f"{len(settings)}; remove the rows of {AVERAGE}"
        )
    accuracy = [[float(row.accuracy) for row in task] for task in zip(*settings, strict=True)]
    return binomial_curve(points, accuracy, n).pbx(x, "canvas", rule, static).interval()


def _read_rows(path: Path) -> list[_Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: file must be UTF-8 text, got byte {error.start}: {error.reason}; save it as CSV"
        ) from error
    except OSError as error:
        raise ValueError(f"{path}: file must be readable, got {error.strerror}; correct the path") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        rows = [
            _row(path, reader.line_num, header, fields) for fields in reader if any(map(str.strip, fields))
        ]
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: must be CSV, got {error}; close every quote"
        ) from error
    if not rows:
        raise ValueError(
            f"{path}: file must have at least one row below its header, got none; add the measurements"
        )
    return rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    allowed = {*COLUMNS, *OPTIONAL_COLUMNS}
    if not set(COLUMNS) <= set(header) <= allowed or len(set(header)) != len(header):
        raise ValueError(
            f"{path}, line 1: columns must be {', '.join(COLUMNS)} and perhaps "
            f"{', '.join(OPTIONAL_COLUMNS)}, got {shortened(','.join(header))}; "
            "one file holds one curve, rename or remove columns"
        )


def _row(path: Path, line: int, header: Sequence[str], fields: Sequence[str]) -> _Row:
    if len(fields) != len(header):
        raise ValueError(
            f"{path}, line {line}: a row must have {len(header)} fields, got {len(fields)} "
            f"({shortened(','.join(fields))}); quote a field that holds a comma"
        )
    values = {name: value.strip() for name, value in zip(header, fields, strict=True)}
    for name in ("task", *(name for name in OPTIONAL_COLUMNS if name in values)):
        if not values[name]:
            raise ValueError(f"{path}, line {line}, column {name}: must not be empty, got ''; fill it in")
    tps = _number(path, line, "tps", values)
    accuracy = _number(path, line, "accuracy", values)
    if tps <= 0:
        raise ValueError(
            f"{path}, line {line}, column tps: must be above 0, got {shortened(values['tps'])}; it is "
            "generated tokens divided by forwards"
        )
    if not 0 <= accuracy <= 100:
        raise ValueError(
            f"{path}, line {line}, column accuracy: must be in percent, 0 to 100, got "
            f"{shortened(values['accuracy'])}; scale it"
        )
    return _Row(line=line, task=values["task"], setting=values.get("setting"), tps=tps, accuracy=accuracy)


def _number(path: Path, line: int, column: str, values: Mapping[str, str]) -> Decimal:
    try:
        number = Decimal(values[column])
    except InvalidOperation:
        number = Decimal("nan")
    if not (number.is_finite() and number.adjusted() < 15):
        raise ValueError(
            f"{path}, line {line}, column {column}: must be a finite number, got {shortened(values[column])}"
            "; write it with a decimal point"
        )
    return number


def _settings(path: Path, rows: Sequence[_Row]) -> list[list[_Row]]:
    """Return the rows of every setting, one for each task."""
    by_task: dict[str, dict[str | int, _Row]] = {}
    for row in rows:
        settings = by_task.setdefault(row.task, {})
        key = len(settings) if row.setting is None else row.setting
        if key in settings:
            raise ValueError(
                f"{path}, line {row.line}, column setting: must occur once for task {shortened(row.task)}, "
                f"got {shortened(key)} again (first in line {settings[key].line}); remove one row"
            )
        settings[key] = row
    first_task, expected = next(iter(by_task.items()))
    for task, settings in by_task.items():
        if set(settings) != set(expected):
            line = max(row.line for row in settings.values())
            named = isinstance(next(iter(settings)), str)
            difference = sorted(str(key) for key in set(settings) ^ set(expected)) if named else ""
            detail = f" (not in both: {shortened(', '.join(difference))})" if named else ""
            raise ValueError(
                f"{path}, line {line}, column task: every task must have the same settings, got "
                f"{len(settings)} for {shortened(task)} and {len(expected)} for {shortened(first_task)}"
                f"{detail}; add or remove rows"
            )
    return [[settings[key] for settings in by_task.values()] for key in expected]


def _mean(values: Sequence[Decimal]) -> float:
    """Return the mean, from the decimals as written, so that 70.1, 70.3 and 99.6 reach 80."""
    return float(sum(values, Decimal(0)) / len(values))
