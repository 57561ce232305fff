"""Scores records: pure scorers at once, those that need tools in the background while decoding goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from threading import Event
from types import TracebackType
from typing import Any

from decoders.rows import TimedOut
from pb_plugin.asking.samples import ScorerFailed, TaskData
from pb_plugin.faults.background import Background
from pb_plugin.records.record import Record
from pb_plugin.records.score_key import ScoreKey
from pb_plugin.running.tools import Tools
from task_specs.sample import Sample

THREAD = "pb-scoring"
"""Name of the thread in which tools are asked."""

CHUNK = 64
"""Texts handed to the tools together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unscored:
    """A record that is to be scored, and the sample it answers."""

    record: Record
    sample: Sample


Watched = Callable[[], AbstractContextManager[object]]
"""Gives a context that ends, by `TimedOut`, what takes too long inside of it."""


def scored_record(
    data: TaskData,
    decoded: Unscored,
    measured: Mapping[str, Any],
    score_key: str,
    watched: Watched = nullcontext,
) -> Record:
    """Return the record with its scores; a scorer that raises or hangs makes it a failed one."""
    record = decoded.record
    try:
        with watched():
            scored = data.scored(record.text, decoded.sample, measured)
    except (ScorerFailed, TimedOut) as error:
        failure = {"class": "scorer_error", "message": str(error)}
        if isinstance(error, TimedOut):
            failure = {
                "class": "timeout",
                "message": f"scorer {data.spec.scorer} was {error}; see --pb-timeout",
            }
        return Record(decode_key=record.decode_key, parts=record.parts, error=failure, score_key=score_key)
    return record.with_result(scores=scored.values, score_reasons=scored.reasons, score_key=score_key)


class Scoring:
    """Scores the records of one task, in the order they come back from the tools.

    Give it records with `begin` or `add`, take what is ready with `ready` and the rest with `rest`. The tools
    work in another thread, so that decoding never waits for them; what they raise comes out of `ready` or
    `rest`. Ended by an error, as by leaving the ``with`` block with one, it asks no further text, and a
    server that stopped answering is not asked again.

    Args:
        data: The task.
        tools: What its scorer needs to know.
        watched: Put around every call of the scorer and every wait for the tools.
        thread: Where the tools are asked; None: in a thread of its own. Scorings that share one ask one
            after the other, so that a text that two of them have is asked once.
    """

    def __init__(
        self,
        data: TaskData,
        tools: Tools,
        watched: Watched = nullcontext,
        thread: Background | None = None,
    ) -> None:
        self._data = data
        self._tools = tools
        self._needs = data.spec.needs
        self._score_key = str(score_key(data, tools))
        self._buffer: list[Unscored] = []
        self._asked: list[tuple[Sequence[Unscored], Future[list[dict[str, Any]]]]] = []
        self._watched = watched
        self._is_own = thread is None
        self._thread = thread or Background(THREAD)
        self._silent: str | None = None
        self._stop = Event()

    def __enter__(self) -> Scoring:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Ask no further text where *error* ended the work; let the thread end, if it is this one's own."""
        if error is not None:
            self._stop.set()
            for _, future in self._asked:
                future.cancel()
        if self._is_own:
            self._thread.close(wait=self._silent is None and not isinstance(error, KeyboardInterrupt))

    def begin(self, decoded: Unscored) -> tuple[Record, ...]:
        """Return what of a fresh result is stored now: it with its scores, or without where tools give them.

        Where a scorer fails the result comes before the failure, so that it need not be decoded again.
        """
        if self._needs:
            self.add(decoded)
            return (decoded.record,)
        scored = scored_record(self._data, decoded, {}, self._score_key, self._watched)
        return (decoded.record, scored) if scored.failed else (scored,)

    def add(self, decoded: Unscored) -> None:
        """Take in a record to be scored in the background."""
        self._buffer.append(decoded)
        if len(self._buffer) >= CHUNK:
            self.send()

    def ready(self) -> Iterator[Record]:
        """Yield the scored records that need no more waiting."""
        while self._asked and self._asked[0][1].done():
            yield from self._take()

    def rest(self) -> Iterator[Record]:
        """Yield every other scored record, waiting for the tools."""
        self.send()
        while self._asked:
            yield from self._take()

    def send(self) -> None:
        """Ask the tools for what waits here to be asked together."""
        if not self._buffer:
            return
        chunk, self._buffer = self._buffer, []
        asked = [(self._data.judged(decoded.record.text), decoded.sample) for decoded in chunk]
        self._asked.append((chunk, self._thread.submit(self._tools.measure, self._needs, asked, self._stop)))

    def _take(self) -> Iterator[Record]:
        chunk, future = self._asked.pop(0)
        for decoded, measured in zip(chunk, self._answers(len(chunk), future), strict=True):
            yield scored_record(self._data, decoded, measured, self._score_key, self._watched)

    def _answers(self, number: int, future: Future[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Return what the tools say; once they took too long, they are not waited for again."""
        if self._silent is None:
            try:
                with self._watched():
                    return future.result()
            except TimedOut as late:
                self._stop.set()
                self._silent = f"the answer was {late}; see --pb-timeout"
                self._thread.leave_behind()
        if future.done() and not future.cancelled():
            return future.result()
        return [{need: {"reason": f"{need}: {self._silent}"} for need in self._needs}] * number


def score_key(data: TaskData, tools: Tools) -> ScoreKey:
    """Return what a score of the task depends on: scorer, version, text rule and the tools it needs.

    Raises:
        LookupError: The scorer's module cannot be found.
        ValueError: A tool that was named does not start.
    """
    return replace(data.score_key, tools=tools.key(data.spec.needs))
