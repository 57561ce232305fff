"""The runs of a comparison read together: their curves at one setting each, and that all asked the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pb_plugin.report.comparison.chosen import Asked, chosen_of
from pb_plugin.report.comparison.tables import Table, tables_of
from pb_plugin.report.comparison.thoughts import Thought, thoughts_of
from pb_plugin.report.stored import StoredReport, read_report

SHARED = ("data_source", "data_checksum", "spec_version")
"""Parts of records that have one value for a task over all runs of a comparison."""

EXPLANATION = (
    "percent with its 95 % interval; best and second best of a column are marked, ideal knows all answers "
    "and takes no part; tokens per step by canvas over the tasks of the table"
)
CHOICE = (
    "shown are curves over k at k=2 and every other one at its slowest setting, where --at does not choose "
    "another"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a comparison shows.

    Args:
        tables: The tables like those of the paper.
        thoughts: Chains of thought beside plain questions.
        notes: What was left out and why, a line each.
        runs: The runs by the names of their files.
    """

    tables: tuple[Table, ...]
    thoughts: tuple[Thought, ...]
    notes: tuple[str, ...]
    runs: tuple[str, ...]

    @property
    def lines_below(self) -> list[str]:
        """What stands below all tables: how to read them, what is not there and why."""
        reasons = dict.fromkeys(text for table in self.tables for text in table.reasons)
        return [EXPLANATION, CHOICE, *(f"no value: {text}" for text in reasons), *self.notes]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "tables": [table.to_json() for table in self.tables],
            "chain_of_thought": [thought.to_json() for thought in self.thoughts],
            "notes": list(self.notes),
            "runs": list(self.runs),
        }


def compare_models(reports: Sequence[StoredReport], asked: Asked, curves: Sequence[str] = ()) -> Comparison:
    """Return the comparison of all curves of *reports*, or of those whose labels are *curves*.

    Raises:
        LookupError: *asked* or *curves* name what there is not.
        ValueError: Two runs asked a task with other data, or have the same line; or there is nothing to show.
    """
    _check_same_questions(reports)
    chosen, notes = [], []
    for report in reports:
        labels = {curve.identity.label for curve in report.summary.curves}
        own = {label: setting for label, setting in asked.items() if label is None or label in labels}
        found, left_out = chosen_of(report.summary, own)
        chosen += [one for one in found if not curves or one.curve.identity.label in curves]
        notes += left_out
    known = dict.fromkeys(curve.identity.label for report in reports for curve in report.summary.curves)
    for label in (*curves, *(label for label in asked if label is not None)):
        if label not in known:
            raise LookupError(
                f"a curve must be one of the runs, got {label!r}; they have {', '.join(known) or 'none'}"
            )
    names = [one.label for one in chosen]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"a curve must come from one run, got {twice!r} from two; leave one of them out")
    tables = tables_of(chosen)
    thoughts = thoughts_of(chosen)
    if not tables and not thoughts:
        raise ValueError(
            "--layout comparison must have results of waiting lines, text writing or puzzles, got none; run "
            "pytest bench_tests --task waiting_line_n15"
        )
    return Comparison(
        tables=tuple(tables),
        thoughts=tuple(thoughts),
        notes=tuple(notes),
        runs=tuple(f"run {report.path.stem}" for report in reports),
    )


def read_runs(store: Path, name: str | None, others: Sequence[str]) -> list[StoredReport]:
    """Return the run of *store* called *name* (the newest), and those written ``STORE[@RUN]`` in *others*.

    Raises:
        ValueError: A run is not there, or damaged.
    """
    reports = [read_report(store, name)]
    for text in others:
        whole = Path(text).is_dir() or "@" not in text
        folder, _, run = (text, "", "") if whole else text.rpartition("@")
        reports.append(read_report(Path(folder), run or None))
    return reports


def _check_same_questions(reports: Sequence[StoredReport]) -> None:
    seen: dict[str, tuple[tuple[Any, ...], Path]] = {}
    for report in reports:
        for task, asked in _asked_of(report).items():
            first, where = seen.setdefault(task, (asked, report.path))
            if first != asked:
                names = (*SHARED, "samples")
                differs = next(name for name, a, b in zip(names, first, asked, strict=True) if a != b)
                raise ValueError(
                    f"runs of a comparison must ask the same, got another {differs} of {task} in {where} and "
                    f"{report.path}; run one of them again with the data of the other"
                )


def _asked_of(report: StoredReport) -> dict[str, tuple[Any, ...]]:
    """Return for each task with a record where its samples come from, and how many there are."""
    found: dict[str, tuple[Any, ...]] = {}
    for cell in report.run.cells:
        if cell.asked.task not in found:
            records = (
                record for key in cell.keys if (record := report.index.find(key, cell.score_key)) is not None
            )
            record = next(records, None)
            if record is not None:
                parts = tuple(record.parts[name] for name in SHARED)
                found[cell.asked.task] = (*parts, cell.n_planned)
    return found
