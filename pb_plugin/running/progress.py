"""Progress of a sweep or a training: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pytest

LIVE_EVERY_S = 0.2
PLAIN_EVERY_S = 30.0


def watch_of(config: pytest.Config, left: Callable[[], tuple[int, int]]) -> Watch:
    """Return the watch of this process: progress on its terminal, silence in a worker of pytest-xdist.

    Args:
        config: The configuration of pytest's session.
        left: Counts the rows, and their forwards, that the whole run still has to decode; called once.
    """
    if hasattr(config, "workerinput"):
        return Watch()
    line = line_of(config)
    return Watch() if line is None else Progress(line, left=left).watch()


def line_of(config: pytest.Config) -> Line | None:
    """Return a line on the terminal of this process, or None where it has none.

    It is written over on a terminal that can do so, and not in a CI.
    """
    terminal = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if terminal is None:
        return None

    def unhidden(write: Callable[[], None]) -> None:
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            write()

    live = terminal.isatty and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    return Line(config.get_terminal_writer(), live=live, unhidden=unhidden)


class Out(Protocol):
    """What can be printed to."""

    def write(self, text: str, /) -> object:
        """Print *text*."""
        ...

    def flush(self) -> None:
        """Show it."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What a run tells while it decodes; each call is cheap and may print."""

    begin: Callable[[str, int, int], None] = field(default=lambda label, n_rows, n_forwards: None)
    forward: Callable[[int], None] = field(default=lambda n_rows: None)
    finished: Callable[[int], None] = field(default=lambda n_forwards: None)
    end: Callable[[], None] = field(default=lambda: None)


class Line:
    """Where something stands, in a line: written over on a terminal, a new one now and then elsewhere.

    Args:
        out: Where to print.
        live: Whether *out* is a terminal whose line can be written over.
        unhidden: Called around every print, to step out of pytest's capture and off its line.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        out: Out,
        *,
        live: bool,
        unhidden: Callable[[Callable[[], None]], None] = lambda write: write(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self.live = live
        self._unhidden = unhidden
        self._clock = clock
        self._printed = clock()
        self._width = 0

    def tell(self, text: Callable[[], str]) -> None:
        """Print *text*, if the last print was long enough ago."""
        now = self._clock()
        if now - self._printed < (LIVE_EVERY_S if self.live else PLAIN_EVERY_S):
            return
        self._printed = now
        shown = text()
        if self.live:
            padded = shown.ljust(self._width)
            self._width = len(shown)
            self._unhidden(lambda: self._write("\r" + padded))
        else:
            self._unhidden(lambda: self._write(shown + "\n"))

    def end(self) -> None:
        """Clear the live line."""
        if self.live and self._width:
            self._unhidden(lambda: self._write("\r" + " " * self._width + "\r"))
            self._width = 0

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class Pace:
    """How far something is and when it will be done, if it goes on as it did.

    Args:
        total: How many rows there are to do.
        clock: Seconds, monotonic.
        n_forwards: What all of them cost, as far as it is known before; None where each counts alike.
    """

    def __init__(
        self, total: int, clock: Callable[[], float] = time.monotonic, n_forwards: int | None = None
    ) -> None:
        self.total = total
        self.n_forwards = n_forwards
        self.done = 0
        self.forwards_done = 0
        self._clock = clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return max(self._clock() - self._started, 1e-9)

    @property
    def text(self) -> str:
        """``10/40 rows``."""
        return f"{self.done}/{self.total} rows"

    @property
    def left(self) -> str:
        """``, 12 s left``, or nothing as long as nothing is done."""
        is_alike = self.n_forwards is None
        total, done = (self.total, self.done) if is_alike else (self.n_forwards or 0, self.forwards_done)
        return f", {duration(self.seconds / done * max(0, total - done))} left" if done else ""

    def add(self, n_forwards: int) -> None:
        """Count a row that is done, with the forwards that were known of it before."""
        self.done += 1
        self.forwards_done += n_forwards


def duration(seconds: float) -> str:
    """Return ``12 s``, ``4 min`` or ``2 h 5 min``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """Counts rows and forwards and prints them.

    Args:
        line: Where to print.
        left: Counts the rows of the whole run, and their forwards; called once. None: there is only this
            sweep.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        line: Line,
        *,
        left: Callable[[], tuple[int, int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line = line
        self._left = left
        self._clock = clock
        self._label = ""
        self._n_forwards = 0
        self._sweep = Pace(0, clock)
        self._run: Pace | None = None

    def watch(self) -> Watch:
        """Return the callbacks for a `Bench`."""
        return Watch(begin=self.begin, forward=self.forward, finished=self.finished, end=self.end)

    def begin(self, label: str, n_rows: int, n_forwards: int) -> None:
        """Start a sweep of *n_rows* rows, whose forwards are known as far as the plan says."""
        if self._run is None and self._left is not None:
            rows, forwards = self._left()
            self._run = Pace(rows, self._clock, forwards)
        self._label, self._n_forwards = label, 0
        self._sweep = Pace(n_rows, self._clock, n_forwards)

    def forward(self, n_rows: int) -> None:
        """Count a forward."""
        self._n_forwards += 1
        self._line.tell(self.line)

    def finished(self, n_forwards: int) -> None:
        """Count a finished row, with the forwards that were known of it before."""
        self._sweep.add(n_forwards)
        if self._run is not None:
            self._run.add(n_forwards)

    def end(self) -> None:
        """Clear the live line."""
        self._line.end()

    def line(self) -> str:
        """Return what is printed: rows done, forwards per second, time left, and the same of the run."""
        rate = self._n_forwards / self._sweep.seconds
        sweep = f"{self._label}: {self._sweep.text}, {rate:.1f} forwards/s{self._sweep.left}"
        return sweep if self._run is None else f"{sweep}; run: {self._run.text}{self._run.left}"
