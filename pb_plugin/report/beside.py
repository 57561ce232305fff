"""What stands beside the score of PBx: the other scores of text tasks, and the choices of random tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from pb_plugin.report.terminal import MOST_SETTINGS, digits_of, table
from pb_plugin.results.cell_numbers import ScoreMean
from pb_plugin.results.summary import CellSummary, Summary, setting_label

TEXT_SCORES = ("grammar", "inclusion", "combined", "rougeL", "one_minus_bleu", "bertscore")
"""The shown scores, in this order; a task that has one of them is a text task. JSON has all scores."""

CHOICE_EXPLANATION = (
    "right: right answers; entropy: of the choices among them, over its maximum (0: always the same); even:",
    "the entropy that an even choice is expected to show with so few; p: its chance to be as uneven.",
)


def text_lines(summary: Summary) -> list[str]:
    """Return a table per text task and curve: its scores down, settings across, in percent.

    A score that no cell of the table has is no row; its reason stands below the tables, once.
    """
    lines: list[str] = []
    reasons: dict[str, None] = {}
    for curve in summary.curves:
        cells = [cell for cell in curve.cells if not cell.scores.keys().isdisjoint(TEXT_SCORES)]
        for task in dict.fromkeys(cell.task for cell in cells):
            of_task = [cell for cell in cells if cell.task == task]
            found = [(name, score) for cell in of_task for name, score in cell.scores.items()]
            reasons |= {f"{name}: {score.reason}": None for name, score in found if score.reason}
            shown = [name for name in TEXT_SCORES if any(n == name and s.mean is not None for n, s in found)]
            for start in range(0, len(of_task) if shown else 0, MOST_SETTINGS):
                part = of_task[start : start + MOST_SETTINGS]
                header = [f"{task} {curve.identity.label}", *(setting_label(cell.setting) for cell in part)]
                rows = [[name, *(_percent(cell.scores.get(name)) for cell in part)] for name in shown]
                lines += [*table(header, rows), ""]
    missing = [f"no mean of {reason}" for reason in reasons]
    return [*lines, *missing, ""] if missing else lines


def _percent(score: ScoreMean | None) -> str:
    if score is None or score.mean is None:
        return "-"
    return f"{100 * score.mean:.{digits_of(score.interval)}f}"


def served_lines(summary: Summary) -> list[str]:
    """Return a table of the curves that servers answered: score, seconds and tokens per second by setting.

    Means over the tasks with all their samples; a number that one of them lacks is none.
    """
    rows = []
    for curve in summary.curves:
        for setting in dict.fromkeys(setting_label(cell.setting) for cell in curve.cells):
            cells = [cell for cell in curve.cells if setting_label(cell.setting) == setting]
            whole = [cell for cell in cells if cell.reason is None and cell.seconds is not None]
            if whole:
                row = [f"{curve.identity.label}[{setting}]", str(len(whole)), "+".join(curve.nfe_kinds)]
                rows.append([*row, *(_mean_text(whole, of) for of in SERVED_COLUMNS.values())])
    if not rows:
        return []
    header = ["answered by servers", "tasks", "nfe", *SERVED_COLUMNS]
    return [*table(header, rows), SERVED_EXPLANATION, ""]


SERVED_COLUMNS: Mapping[str, Callable[[CellSummary], float | None]] = MappingProxyType(
    {
        "score": lambda cell: cell.percent,
        "seconds": lambda cell: cell.seconds,
        "tokens/s": lambda cell: cell.tokens_per_second,
    }
)
SERVED_EXPLANATION = (
    "means over tasks: score in percent, seconds that one client of several waits, content tokens per second"
)


def _mean_text(cells: Sequence[CellSummary], of: Callable[[CellSummary], float | None]) -> str:
    found = [value for cell in cells if (value := of(cell)) is not None]
    return f"{sum(found) / len(found):.2f}" if len(found) == len(cells) else "-"


def choice_lines(summary: Summary) -> list[str]:
    """Return one table of the random tasks at one token per step: is the choice of an answer even?"""
    rows = [row for cell in summary.cells if is_one_by_one(cell) for row in _choice_row(cell)]
    if not rows:
        return []
    header = ["choices at one token per step", "right", "entropy", "even", "p"]
    return [*table(header, rows), *CHOICE_EXPLANATION, ""]


def is_one_by_one(cell: CellSummary) -> bool:
    """Return whether every sample of the cell took as many forwards as its canvas has positions."""
    return cell.tps is not None and cell.tps["canvas"] == 1.0


def _choice_row(cell: CellSummary) -> Iterable[Sequence[str]]:
    found = cell.choices
    if found is not None:
        numbers = (found.entropy_ratio, found.entropy_ratio_unbiased, found.p_value)
        yield [cell.label, str(found.n_right), *("-" if n is None else f"{n:.3f}" for n in numbers)]
