"""What a store holds of the run that is going on: read again and again, each line once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pb_plugin.measuring.measured import Measured
from pb_plugin.records.begun import BegunRun, begun_runs
from pb_plugin.records.store import Store, StoreIndex
from pb_plugin.report.html.numbers import numbers_of
from pb_plugin.report.html.page import page
from pb_plugin.report.stored import StoredReport, read_report
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.run_file import Run, load_begun, results_of
from pb_plugin.running.progress import Pace

MOST_BYTES = 4_000_000
"""Of compressed samples in the page of a run that is going on."""


def run_going_on(store: Path) -> tuple[BegunRun, Run] | None:
    """Return the newest run that is going on in *store* and has told what it does, or None."""
    for begun in reversed(begun_runs(store)):
        run = load_begun(begun) if begun.alive else None
        if run is not None:
            return begun, run
    return None


class Live:
    """A run that is going on.

    Args:
        store: Where it keeps its records.
        begun: The run.
        run: What it is about to do.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, store: Path, begun: BegunRun, run: Run, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._begun = begun
        self._run = run
        self._keys = {key for cell in run.cells for key in cell.keys}
        self._index = Store(store).index()
        self._before = self._n_done()
        self._forwards_before = self._n_forwards()
        self._pace = Pace(len(self._keys) - self._before, clock)

    @property
    def ended(self) -> bool:
        """Whether the run holds its mark no more."""
        return not any(run.alive and run.path == self._begun.path for run in begun_runs(self._store))

    def report(self) -> StoredReport:
        """Return what is stored by now, without intervals."""
        self._index = Store(self._store).index(self._index)
        return StoredReport(
            store=self._store,
            path=self._begun.path,
            run=self._run,
            index=self._index,
            summary=aggregate(results_of(self._run, self._index.find)),
            batch_check=None,
            measured=Measured(),
            unfinished=(self._begun.line,),
        )

    def page(self) -> str:
        """Return the page as it is now; it asks for `json` from then on."""
        text, _ = page(
            self.report(), verdicts=None, folders={}, before=None, most_bytes=MOST_BYTES, live=True
        )
        return text

    def json(self) -> dict[str, Any]:
        """Return how far the run is, and its numbers; after its end those of its report."""
        ended = self.ended
        report = read_report(self._store, None) if ended else self.report()
        self._index = report.index
        self._pace.done = self._n_done() - self._before
        return {
            "ended": ended,
            "state": "The run has ended." if ended else self._state(),
            "done": self._n_done(),
            "total": len(self._keys),
            "numbers": numbers_of(report),
        }

    def _state(self) -> str:
        rate = (self._n_forwards() - self._forwards_before) / self._pace.seconds
        return f"{self._n_done()}/{len(self._keys)} samples, {rate:.1f} forwards/s{self._pace.left}"

    def _n_done(self) -> int:
        return sum(key in self._index or key in self._index.failed for key in self._keys)

    def _n_forwards(self) -> int:
        return sum(_nfe(self._index, key) for key in self._keys)


def _nfe(index: StoreIndex, key: str) -> int:
    record = index.get(key)
    return 0 if record is None else record.nfe or 0
