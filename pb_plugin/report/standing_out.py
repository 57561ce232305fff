"""What stands out of a suite: where each curve falls below 80 %, and which tasks are lowest there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pb_plugin.asking.samples import TaskData
from pb_plugin.planning.plan import specs_of
from pb_plugin.report.screen import fitted
from pb_plugin.report.terminal import HEADLINE, SHOWN_COUNTS, table
from pb_plugin.results.run_file import ChosenTasks
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import CellSummary, Curve, SuitePoint, Summary, setting_label

MOST_TASKS = 3
"""Tasks that are named for a curve."""

EXPLANATION = "C = 0: mean over tasks with one right answer to each question, C > 0: over those with several"


def standing_out_lines(summary: Summary, chosen: ChosenTasks, *, width: int) -> list[str]:
    """Return a line for every curve of the largest suite that has a PBx; none where no suite has.

    A curve is shown at its slowest setting below 80 %, or at its fastest one where it never falls below.

    Args:
        summary: The run.
        chosen: How it named its tasks.
        width: Columns that a line may have.
    """
    suite = next((name for name in SUITES if any(_is_measured(c, name) for c in summary.curves)), None)
    if suite is None:
        return []
    determined = determined_tasks(chosen, SUITES[suite])
    curves = [curve for curve in summary.curves if _is_measured(curve, suite)]
    shown = [(curve, _turning_point(curve.suites[suite].points)) for curve in curves]
    found = [(curve, point, _cells(curve, point, suite)) for curve, point in shown if point is not None]
    header = [f"{suite}: where it falls below {HEADLINE} %", "at", "score", "C = 0", "C > 0"]
    rows = [_row(curve, point, cells, determined) for curve, point, cells in found]
    texts = ["lowest tasks", *(_lowest(cells) for _, _, cells in found)]
    lines = [fitted(f"{line}  {text}", width) for line, text in zip(table(header, rows), texts, strict=True)]
    return [*lines, EXPLANATION, ""] if rows else []


def determined_tasks(chosen: ChosenTasks, tasks: Sequence[str]) -> Mapping[str, bool]:
    """Return for each of *tasks* whether all its questions have one right answer, C(Y|X) = 0.

    A task whose data cannot be read here is left out.
    """
    directory = None if chosen.data is None else Path(chosen.data)
    found = {}
    for text in chosen.task:
        try:
            for spec in specs_of((text,)):
                if spec.id in tasks:
                    data = TaskData(planned=spec, data=directory, n_samples=chosen.samples)
                    found[spec.id] = data.is_determined
        except (ValueError, LookupError, OSError):
            continue
    return found


def _is_measured(curve: Curve, suite: str) -> bool:
    return suite in curve.suites and curve.suites[suite].reason is None


def _turning_point(points: Sequence[SuitePoint]) -> SuitePoint | None:
    """Return the slowest whole point below 80 %, else the fastest; None without a whole point."""
    count = SHOWN_COUNTS[0]
    whole = sorted((point for point in points if point.is_whole), key=lambda point: point.ends(count))
    below = [point for point in whole if point.score is not None and point.score < HEADLINE]
    return below[0] if below else whole[-1] if whole else None


def _cells(curve: Curve, point: SuitePoint, suite: str) -> list[CellSummary]:
    wanted = setting_label(point.setting)
    return [
        cell for cell in curve.cells if cell.task in SUITES[suite] and setting_label(cell.setting) == wanted
    ]


def _row(
    curve: Curve, point: SuitePoint, cells: Sequence[CellSummary], determined: Mapping[str, bool]
) -> list[str]:
    means = [_mean([cell for cell in cells if determined.get(cell.task) is known]) for known in (True, False)]
    falls = point.score is not None and point.score < HEADLINE
    at = setting_label(point.setting) if falls else "nowhere"
    return [curve.identity.label, at, f"{point.score:.1f}", *means]


def _mean(cells: Sequence[CellSummary]) -> str:
    values = [cell.percent for cell in cells if cell.percent is not None]
    return f"{sum(values) / len(values):.1f}" if values else "-"


def _lowest(cells: Sequence[CellSummary]) -> str:
    """Return the tasks with the lowest scores; none that has all of them right."""
    known = [(cell.percent, cell.task) for cell in cells if cell.percent is not None and cell.percent < 100]
    return ", ".join(f"{task} {percent:.0f}" for percent, task in sorted(known)[:MOST_TASKS]) or "none"
