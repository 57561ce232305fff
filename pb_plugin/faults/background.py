"""Runs calls one after the other in a thread that nobody has to wait for at the end of the process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

Call = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class Background:
    """A thread of its own for calls that may hang; unlike an executor's it is left behind when it does.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, call: Callable[..., Any], *given: Any) -> Future[Any]:
        """Have ``call(*given)`` called after those before it."""
        future: Future[Any] = Future()
        self._put((future, call, given))
        return future

    def leave_behind(self) -> None:
        """Leave the thread to the call that hangs in it, and give the calls behind that to a new one."""
        old, self._calls, self._thread = self._calls, queue.SimpleQueue(), None
        with suppress(queue.Empty):
            while True:
                left = old.get_nowait()
                if left is not None:
                    self._put(left)
        old.put(None)

    def close(self, *, wait: bool) -> None:
        """Let the thread end behind the calls that are left; *wait* for that."""
        if self._thread is not None:
            self._calls.put(None)
            if wait:
                self._thread.join()
            self._thread = None

    def _put(self, call: Call) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=_run, args=(self._calls,), name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(call)


def _run(calls: queue.SimpleQueue[Call | None]) -> None:
    while (asked := calls.get()) is not None:
        future, call, given = asked
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(call(*given))
        except BaseException as error:
            future.set_exception(error)
