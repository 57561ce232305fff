"""How far workers are, in a log: the controlling process decodes nothing itself."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from pb_plugin.running.progress import Line, Pace, line_of

if TYPE_CHECKING:
    import pytest

    from pb_plugin.session.session import BenchSession

EVERY_S = 1.0
"""How often the store is looked at; the line itself says how often it is printed."""


@contextmanager
def heartbeat(config: pytest.Config, session: BenchSession) -> Generator[None]:
    """Print every now and then how many records the workers have added to the store, until this ends."""
    elsewhere = config.getoption("numprocesses", None) or session.options.engine != "local"
    line = line_of(config) if elsewhere else None
    try:
        watched = line is not None and not line.live and not config.option.collectonly and session.bench
    except ValueError:
        watched = False  # the store cannot be written: its items say so
    if not watched or line is None:
        yield
        return
    ended = Event()
    thread = Thread(target=_beat, args=(session, line, ended), name="pb-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(session: BenchSession, line: Line, ended: Event) -> None:
    """Look at the store again and again; the rows of the run are counted when its cells are known."""
    records = RecordCount(session.options.store)
    before, pace = records.count(), None

    def told() -> str:
        assert pace is not None
        pace.done = records.count() - before
        return f"parallelbench: {pace.text} of all workers{pace.left}"

    while not ended.wait(EVERY_S):
        if pace is None and session.selected:
            pace = Pace(session.n_left_for_workers())
        if pace is not None:
            line.tell(told)


class RecordCount:
    """Counts the records of a store again and again, each byte once.

    Args:
        store: The folder.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._read: dict[Path, int] = {}
        self._n = 0

    def count(self) -> int:
        """Return how many records there are now; a file that went away counts as it did."""
        for path in self._store.glob("*.jsonl"):
            with suppress(OSError), path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                found = file.read()
                self._read[path] = self._read.get(path, 0) + len(found)
                self._n += found.count(b"\n")
        return self._n
