"""Ends a call of the main thread that takes too long, by an exception or, in C code, with the process.

Three watches, each for what the one before cannot see. A thread of Python sends a signal when the time is
over; it also wakes what sleeps or waits for a socket. A timer of the process does where a call that
computes never lets another thread run. Where no handler runs at all, because the call is stuck in C code, a
thread of the C library (faulthandler) writes every stack and ends the process with exit code 1.

``SIGALRM`` is left to pytest-timeout, ``SIGUSR1`` and ``SIGUSR2`` to whoever asks a batch system for a
warning.
"""

from __future__ import annotations

import faulthandler
import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from decoders.rows import TimedOut

if TYPE_CHECKING:
    import pytest

SIGNAL = signal.SIGVTALRM
RENEW = 0.1
"""The watch for C code is wound up again after this share of the limit, so that quick steps pay nothing."""

LOOK_EVERY_S = 5.0


def grace_s(limit_s: float) -> float:
    """Return how long a call may stay in C code behind its limit: it may only be slow to come back."""
    return min(10.0, max(1.0, limit_s))


class Alarm:
    """Watches the calls of the main thread, one at a time; in any other thread it does nothing.

    Args:
        stacks: Gives the descriptor that stacks are written to when the process hangs in C code, or None
            where nothing is to end the process.
    """

    def __init__(self, stacks: Callable[[], int | None]) -> None:
        self._stacks = stacks
        self._limit_s = math.inf
        self._deadline = math.inf
        self._wound_for = math.inf
        self._wound_up = -math.inf
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._before: Any = signal.SIG_DFL

    def limit(self, limit_s: float) -> AbstractContextManager[object]:
        """Return a context that may take *limit_s* seconds; `TimedOut` ends a longer one."""
        if math.isinf(limit_s) or threading.current_thread() is not threading.main_thread():
            return nullcontext()
        if self._thread is None:
            self._start(limit_s)
        self._limit_s = limit_s
        return self

    def __enter__(self) -> Alarm:
        now = time.monotonic()
        if self._limit_s != self._wound_for or now - self._wound_up >= RENEW * self._limit_s:
            self._wind_up(now)
        self._deadline = now + self._limit_s
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadline = math.inf

    def rest(self) -> None:
        """Put the watch for C code away: what follows may take any time."""
        if self._wound_for < math.inf:
            self._wound_for = math.inf
            faulthandler.cancel_dump_traceback_later()
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)

    def close(self) -> None:
        """Stop watching for good."""
        self.rest()
        if self._thread is not None:
            self._closed.set()
            self._thread.join()
            self._thread = None
            signal.signal(SIGNAL, self._before)

    def _start(self, limit_s: float) -> None:
        self._before = signal.signal(SIGNAL, self._ring)
        look = min(LOOK_EVERY_S, limit_s / 20)
        main = threading.get_ident()
        self._closed.clear()
        self._thread = threading.Thread(target=self._watch, args=(main, look), name="pb-alarm", daemon=True)
        self._thread.start()

    def _wind_up(self, now: float) -> None:
        limit_s = self._limit_s
        self._wound_for, self._wound_up = limit_s, now
        at_last = (1.0 + RENEW) * limit_s
        signal.setitimer(signal.ITIMER_VIRTUAL, at_last, at_last)
        stacks = self._stacks()
        if stacks is not None:
            faulthandler.dump_traceback_later(at_last + grace_s(limit_s), exit=True, file=stacks)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        """Raise in the main thread, where the time is over: several threads make the process's timer early.

        Once for a call: where that is swallowed, the watch for C code ends the process.
        """
        if time.monotonic() >= self._deadline:
            self._deadline = math.inf
            raise TimedOut(self._limit_s)

    def _watch(self, main: int, look: float) -> None:
        while not self._closed.wait(look):
            if time.monotonic() >= self._deadline:
                signal.pthread_kill(main, SIGNAL)


def watches_hangs(config: pytest.Config) -> bool:
    """Return whether pytest's own watch is set: there is one for a process."""
    return config.pluginmanager.hasplugin("faulthandler") and bool(
        float(config.getini("faulthandler_timeout") or 0)
    )
