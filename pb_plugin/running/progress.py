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


def watch_of(config: pytest.Config) -> Watch:
    """Return the watch of this process: progress on its terminal, silence in a worker of pytest-xdist."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if terminal is None or hasattr(config, "workerinput"):
        return Watch()

    def unhidden(write: Callable[[], None]) -> None:
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            write()

    live = terminal.isatty and not os.environ.get("CI")
    return Progress(config.get_terminal_writer(), live=live, unhidden=unhidden).watch()


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

    begin: Callable[[str, int], None] = field(default=lambda label, n_rows: None)
    forward: Callable[[int], None] = field(default=lambda n_rows: None)
    finished: Callable[[], None] = field(default=lambda: None)
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
        self._live = live
        self._unhidden = unhidden
        self._clock = clock
        self._printed = clock()
        self._width = 0

    def begin(self) -> None:
        """Wait a full interval before the first print."""
        self._printed = self._clock()

    def tell(self, text: Callable[[], str]) -> None:
        """Print *text*, if the last print was long enough ago."""
        now = self._clock()
        if now - self._printed < (LIVE_EVERY_S if self._live else PLAIN_EVERY_S):
            return
        self._printed = now
        shown = text()
        if self._live:
            padded = shown.ljust(self._width)
            self._width = len(shown)
            self._unhidden(lambda: self._write("\r" + padded))
        else:
            self._unhidden(lambda: self._write(shown + "\n"))

    def end(self) -> None:
        """Clear the live line."""
        if self._live and self._width:
            self._unhidden(lambda: self._write("\r" + " " * self._width + "\r"))
            self._width = 0

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class Progress:
    """Counts rows and forwards and prints them.

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
        self._line = Line(out, live=live, unhidden=unhidden, clock=clock)
        self._clock = clock
        self._label = ""
        self._n_rows = self._n_done = self._n_forwards = 0
        self._started = 0.0

    def watch(self) -> Watch:
        """Return the callbacks for a `Bench`."""
        return Watch(begin=self.begin, forward=self.forward, finished=self.finished, end=self.end)

    def begin(self, label: str, n_rows: int) -> None:
        """Start a sweep of *n_rows* rows."""
        self._label, self._n_rows, self._n_done, self._n_forwards = label, n_rows, 0, 0
        self._started = self._clock()
        self._line.begin()

    def forward(self, n_rows: int) -> None:
        """Count a forward."""
        self._n_forwards += 1
        self._line.tell(self.line)

    def finished(self) -> None:
        """Count a finished row."""
        self._n_done += 1

    def end(self) -> None:
        """Clear the live line."""
        self._line.end()

    def line(self) -> str:
        """Return what is printed: rows done, forwards per second, time left."""
        seconds = max(self._clock() - self._started, 1e-9)
        left = (
            ""
            if not self._n_done
            else f", {seconds / self._n_done * (self._n_rows - self._n_done):.0f} s left"
        )
        rate = self._n_forwards / seconds
        return f"{self._label}: {self._n_done}/{self._n_rows} rows, {rate:.1f} forwards/s{left}"
