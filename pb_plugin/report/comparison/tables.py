"""The tables of a comparison as plain data: a value with its interval in every place, the best marked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pb_plugin.report.comparison.chosen import Chosen, ends_of
from pb_plugin.report.comparison.columns import Column, plans_of
from pb_plugin.results.cell_numbers import kinds_of
from pb_plugin.results.summary import CellSummary
from pb_plugin.statistics.intervals import Interval

BEST, SECOND = "best", "second"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One place of a table.

    Args:
        value: In percent, or None.
        interval: 95 % interval in percent, or None.
        reason: Why there is no value, or None.
        rank: ``best`` or ``second`` of its column (ties share it), or "".
    """

    value: float | None = None
    interval: Interval | None = None
    reason: str | None = None
    rank: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        interval = None if self.interval is None else self.interval.to_json()
        return {"value": self.value, "interval": interval, "reason": self.reason, "rank": self.rank or None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a table: a curve at a setting.

    Args:
        label: What it is called.
        entries: One for each column.
        tps: Mean tokens per step by canvas over the tasks that it has, both ends; None where unknown.
        nfe_kinds: How its forwards are known.
        is_reference: Whether its model is the exact one, which knows all answers: it stands last and takes no
            part in who is best.
    """

    label: str
    entries: tuple[Entry, ...]
    tps: tuple[float, float] | None
    nfe_kinds: tuple[str, ...]
    is_reference: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "label": self.label,
            "entries": [entry.to_json() for entry in self.entries],
            "tps": None if self.tps is None else list(self.tps),
            "nfe_kinds": list(self.nfe_kinds),
            "is_reference": self.is_reference,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of the comparison, and why places of it are empty."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def reasons(self) -> list[str]:
        """Why places are empty, each reason once with where."""
        found: dict[str, list[str]] = {}
        for line in self.lines:
            for column, entry in zip(self.columns, line.entries, strict=True):
                if entry.reason is not None:
                    found.setdefault(f"{line.label}: {entry.reason}", []).append(column.task)
        return [f"{text} ({', '.join(dict.fromkeys(tasks))})" for text, tasks in found.items()]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        columns = [
            {"group": c.group, "title": c.title, "task": c.task, "score": c.score} for c in self.columns
        ]
        return {"title": self.title, "columns": columns, "lines": [line.to_json() for line in self.lines]}


def tables_of(chosen: Sequence[Chosen]) -> list[Table]:
    """Return the tables that *chosen* have anything for; a curve with nothing in one is no line of it."""
    tasks = {task for one in chosen for task in one.cells}
    tables = []
    for plan in plans_of(tasks):
        lines = [
            _line(one, plan.columns)
            for one in sorted(chosen, key=_is_reference)
            if any(column.task in one.cells for column in plan.columns)
        ]
        tables.append(Table(title=plan.title, columns=plan.columns, lines=_ranked(lines)))
    return tables


def _is_reference(one: Chosen) -> bool:
    return any(cell.exact for cell in one.cells.values())


def _line(one: Chosen, columns: Sequence[Column]) -> Line:
    cells = [one.cells[task] for task in dict.fromkeys(c.task for c in columns) if task in one.cells]
    return Line(
        label=one.label,
        entries=tuple(_entry(one.cells.get(column.task), column.score) for column in columns),
        tps=_mean_ends(cells),
        nfe_kinds=kinds_of(kind for cell in cells for kind in cell.nfe_kinds),
        is_reference=_is_reference(one),
    )


def _entry(cell: CellSummary | None, score: str | None) -> Entry:
    if cell is None:
        return Entry(reason="not measured")
    found = cell.scores.get(score or cell.score)
    if cell.incomplete is not None or found is None or found.mean is None:
        reason = cell.incomplete or (found.reason if found is not None else cell.unscored)
        return Entry(reason=reason or f"no score {score or cell.score}")
    interval = found.interval
    if interval is not None:
        interval = Interval(low=100 * interval.low, high=100 * interval.high, level=interval.level)
    value = cell.percent if score in (None, cell.score) else 100 * found.mean
    return Entry(value=value, interval=interval)


def _mean_ends(cells: Iterable[CellSummary]) -> tuple[float, float] | None:
    ends = [ends_of(cell) for cell in cells]
    known = [found for found in ends if found is not None]
    if not known or len(known) < len(ends):
        return None
    low, high = (math.fsum(found[at] for found in known) / len(known) for at in (0, 1))
    return (low, high)


def _ranked(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return *lines* with the best and the second best value of every column ranked."""
    contest = [line for line in lines if not line.is_reference]
    n_columns = len(lines[0].entries) if lines else 0
    columns = [
        sorted({e.value for line in contest if (e := line.entries[at]).value is not None}, reverse=True)
        for at in range(n_columns)
    ]
    ranks = [dict(zip(values, (BEST, SECOND), strict=False)) for values in columns]
    return tuple(
        line
        if line.is_reference
        else replace(
            line,
            entries=tuple(
                replace(entry, rank=ranks[at].get(entry.value, "") if entry.value is not None else "")
                for at, entry in enumerate(line.entries)
            ),
        )
        for line in lines
    )
