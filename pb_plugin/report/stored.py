"""The report of a run that is already on disk: its summary again, with what the store holds of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pb_plugin.measuring import measured
from pb_plugin.measuring.measured import Measured, to_plain
from pb_plugin.pages import PAGES
from pb_plugin.records.begun import begun_runs
from pb_plugin.records.moments import moment_of
from pb_plugin.records.store import Store, StoreIndex
from pb_plugin.report.screen import disagreement_lines, screen_width
from pb_plugin.report.sections import Shown, section_lines
from pb_plugin.report.terminal import measured_lines
from pb_plugin.results.derived import derived_json
from pb_plugin.results.differences import comparisons
from pb_plugin.results.run_file import Run, load, summarise
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import Summary
from pb_plugin.running import batch_check
from pb_plugin.running.batch_check import BatchOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredReport:
    """A run of a store, the records it finds there, and their summary."""

    store: Path
    path: Path
    run: Run
    index: StoreIndex
    summary: Summary
    batch_check: BatchOutcome | None
    measured: Measured
    unfinished: tuple[str, ...]

    @property
    def created(self) -> str | None:
        """When the run's file was written, from its name; None where somebody renamed it."""
        moment = moment_of(self.path)
        return None if moment is None else moment.isoformat()

    @property
    def unavailable(self) -> dict[str, int]:
        """Why cells could not ask for records, with the number of cells."""
        return dict(Counter(cell.unavailable for cell in self.run.cells if cell.unavailable is not None))

    @property
    def conflicts(self) -> list[str]:
        """A line for every result of this run that the store holds in two versions."""
        asked = {key for cell in self.run.cells for key in cell.keys}
        return [found[0].message for key, found in sorted(self.index.conflicts.items()) if key in asked]

    @property
    def disagreements(self) -> int:
        """How many questions of this run a server answered again, and differently."""
        asked = {key for cell in self.run.cells for key in cell.keys}
        return len(asked & self.index.disagreements.keys())

    def to_json(self) -> dict[str, Any]:
        """Return plain data; everything but ``run`` is equal for equal records, wherever they are stored."""
        return {
            "run": {
                "file": self.path.name,
                "created": self.created,
                "store": str(self.store),
                "n_cells": len(self.run.cells),
                "n_planned": sum(len(cell.keys) for cell in self.run.cells),
                "n_records": self.index.n_lines,
                "n_results": len(self.index),
                "skipped_lines": {
                    "other_schema": self.index.n_other_schema,
                    "torn": len(self.index.torn_files),
                },
                "unavailable": self.unavailable,
                "conflicts": self.conflicts,
                "disagreements": self.disagreements,
                "unfinished": list(self.unfinished),
                "batch_check": None if self.batch_check is None else asdict(self.batch_check),
                "measured": to_plain(self.measured),
                "remote_code": [{"code": code, "model": model} for code, model in self.run.remote_code],
            },
            "summary": self.summary.to_json(),
            "differences": [
                found.to_json() for suite in SUITES for found in comparisons(self.summary, suite)
            ],
            "derived": derived_json(self.summary),
            "missing_tasks": list(self.run.missing_tasks),
            "notes": list(self.run.notes),
        }

    def lines(self) -> list[str]:
        """Return the report for people: the tables of a session's end, then what the store says of them."""
        run = self.to_json()["run"]
        lines = [
            *self.unfinished,
            f"run {run['file']}, {run['n_cells']} items, made {run['created'] or 'at an unknown time'}",
            "",
        ]
        lines += section_lines(Shown(run=self.run, summary=self.summary, width=screen_width()))[0]
        lines += [f"not run, {n} item{'s' * (n > 1)}: {reason}" for reason, n in self.unavailable.items()]
        lines += [f"conflict: {message}" for message in self.conflicts]
        lines += disagreement_lines(self.disagreements)
        lines += self.run.remote_code_lines
        lines += [] if self.batch_check is None else [self.batch_check.line]
        lines += measured_lines(self.measured)
        lines += self.run.notes
        if self.run.missing_tasks:
            lines.append(f"no spec in this version: {', '.join(self.run.missing_tasks)}")
        skipped = run["skipped_lines"]
        if any(skipped.values()):
            torn, other = skipped["torn"], skipped["other_schema"]
            lines.append(
                f"skipped lines: {torn} cut off by a kill, {other} of another version; see {PAGES['records']}"
            )
        return [*lines, f"{run['n_records']} records in {self.store}"]


def read_report(store: Path, name: str | None) -> StoredReport:
    """Return the newest run of *store*, or the one called *name*, with its summary.

    Raises:
        ValueError: There is no such run, a file is damaged, or unlike records came together.
    """
    run, path = load(store, name)
    index = Store(store).index()
    return StoredReport(
        store=store,
        path=path,
        run=run,
        index=index,
        summary=summarise(run, index.find),
        batch_check=batch_check.load(store, path),
        measured=measured.load(store, path),
        unfinished=tuple(run.line for run in begun_runs(store)),
    )
