"""What asks a run to end: SIGTERM and SIGHUP end it as Ctrl-C does, and a second Ctrl-C at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

ASKED = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
AT_ONCE = 2
"""The exit code of an interrupted run."""

SAID_AT_ONCE = "\nparallelbench: interrupted again, ended at once; what was decoded is stored\n"


class Signals:
    """The handlers of a run, from `take` to `give_back`; signals that are ignored stay so (nohup)."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def take(self) -> None:
        """Let SIGTERM and SIGHUP end the run as Ctrl-C does; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ASKED:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self._before[number] = signal.signal(number, _interrupt)

    def end_at_once_next(self) -> None:
        """Let the next Ctrl-C end the process without a summary, and ignore what asks once more."""
        if self._before:
            for number in self._before:
                signal.signal(number, signal.SIG_IGN)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._before[signal.SIGINT] = signal.signal(signal.SIGINT, _end_at_once)

    def give_back(self) -> None:
        """Put back what was there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()


def _interrupt(number: int, frame: FrameType | None) -> None:
    if number == getattr(signal, "SIGHUP", None):
        _leave_terminal()
    raise KeyboardInterrupt(signal.Signals(number).name)


def _leave_terminal() -> None:
    """Write nowhere what would go to a terminal that is gone: writing to it is an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        with suppress(OSError):
            if os.isatty(stream):
                os.dup2(nowhere, stream)
    os.close(nowhere)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    with suppress(OSError, ValueError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, SAID_AT_ONCE.encode("ascii"))
    os._exit(AT_ONCE)
