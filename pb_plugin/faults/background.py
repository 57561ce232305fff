"""Runs calls one after the other in a thread that nobody has to wait for at the end of the process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Background:
    """A thread of its own for calls that may hang; unlike an executor's it is left behind when it does.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    def submit(self, call: Callable[..., Any], *given: Any) -> Future[Any]:
        """Have ``call(*given)`` called after those before it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        future: Future[Any] = Future()
        self._calls.put((future, call, given))
        return future

    def close(self, *, wait: bool) -> None:
        """Let the thread end behind the calls that are left; *wait* for that."""
        if self._thread is not None:
            self._calls.put(None)
            if wait:
                self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (asked := self._calls.get()) is not None:
            future, call, given = asked
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call(*given))
            except BaseException as error:
                future.set_exception(error)
