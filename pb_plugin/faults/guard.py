"""Watches every step of a sweep: how long it takes, and which rows are in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from decoders.rows import DeviceLost, Row, TimedOut
from pb_plugin.faults.alarm import Alarm
from pb_plugin.faults.at_work import AtWork, Ended, Rows, row_text
from pb_plugin.planning.limits import Limits


class Guard:
    """Knows the rows that are decoded in this moment.

    Args:
        limits: How long things may take.
        at_work: Where the rows are written down.
        ends_process: Whether a hang in C code ends the process.
    """

    def __init__(self, limits: Limits, at_work: AtWork, *, ends_process: bool = True) -> None:
        self.limits = limits
        self.at_work = at_work
        self._alarm = Alarm(lambda: at_work.stacks if ends_process else None)
        self._model = ""
        self._keys: Rows = ()
        self._texts: Sequence[str] = ()
        self._rows: Sequence[Row] = ()
        self._since: dict[int, float] = {}
        self._oldest = 0.0

    @contextmanager
    def sweeping(self, model: str, keys: Rows) -> Iterator[None]:
        """Watch a sweep of *model* over the rows *keys*, whose ``Row.key`` is their index."""
        self._model, self._keys = model, keys
        self._texts = [row_text(key, method) for key, method in keys]
        self._rows, self._since = (), {}
        try:
            yield
        except DeviceLost as error:
            self.at_work.say_lost(str(error))
            raise
        finally:
            self._alarm.rest()
            self.at_work.rest()

    def step(self, rows: Sequence[Row]) -> AbstractContextManager[object]:
        """Watch one step of *rows*.

        Raises:
            TimedOut: A row has taken longer than a sample may.
        """
        if rows is not self._rows:
            self._take(rows)
        now = time.monotonic()
        if now - self._oldest > self.limits.sample:
            late = [row.key for row in rows if now - self._since[row.key] > self.limits.sample]
            raise TimedOut(self.limits.sample, tuple(late))
        return self._alarm.limit(self.limits.forward)

    def whole(self, rows: Sequence[Row]) -> AbstractContextManager[object]:
        """Watch a batch of a model that owns its loop: it has the time of a sample."""
        self._take(rows)
        return self._alarm.limit(self.limits.sample)

    def call(self) -> AbstractContextManager[object]:
        """Watch one call of a scorer, or the wait for a tool: it has the time of a forward."""
        return self._alarm.limit(self.limits.forward)

    def rest(self) -> None:
        """Let what follows take any time."""
        self._alarm.rest()

    def ended(self, kind: str, why: str, blamed: Sequence[int] = ()) -> Ended:
        """Return what was in work when a step ended by a fault; *blamed* are its rows, where known."""
        keys = list(blamed) or [row.key for row in self._rows]
        return Ended(
            kind=kind,
            why=why,
            stage="decoding",
            model=self._model,
            rows=tuple(self._keys[key] for key in keys),
            decoded=dict(self.at_work.counts(self._model)),
        )

    def close(self) -> None:
        """Stop watching; nothing was in work."""
        self._alarm.close()
        self.at_work.close()

    def _take(self, rows: Sequence[Row]) -> None:
        now = time.monotonic()
        self._rows = rows
        self._oldest = min((self._since.setdefault(row.key, now) for row in rows), default=now)
        self.at_work.decoding(self._model, [self._texts[row.key] for row in rows])
