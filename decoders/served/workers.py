"""Work in several threads, each result as soon as it is there; whoever stops listening stops the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Generic[Item, Result]):
    """Threads that end with the process: a request under way never keeps it from ending.

    Args:
        work: Does one item; an exception of it is raised where results are taken.
    """

    def __init__(self, work: Callable[[Item], Result]) -> None:
        self._work = work
        self.stopping = Event()

    def results(self, items: Sequence[Item], n_threads: int) -> Iterator[Result]:
        """Yield the result of each of *items*, in the order in which they are done."""
        waiting: SimpleQueue[Item] = SimpleQueue()
        for item in items:
            waiting.put(item)
        done: SimpleQueue[Result | Exception] = SimpleQueue()
        for _ in range(min(n_threads, len(items))):
            Thread(target=self._run, args=(waiting, done), daemon=True).start()
        try:
            for _ in items:
                result = done.get()
                if isinstance(result, Exception):
                    raise result
                yield result
        finally:
            self.stopping.set()

    def _run(self, waiting: SimpleQueue[Item], done: SimpleQueue[Result | Exception]) -> None:
        while not self.stopping.is_set():
            try:
                item = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put(self._work(item))
            except Exception as error:
                done.put(error)
