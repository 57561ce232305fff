"""The append-only store of records: one JSONL file per process, one write per record, read as a whole."""

from __future__ import annotations

import gc
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from decoders.text.json_file import one_line
from pb_plugin.records.conflict import Conflict, StoredRecord, decision_of, read_resolutions, result_digest
from pb_plugin.records.moments import moment_after
from pb_plugin.records.plain_files import plain_files
from pb_plugin.records.record import SCHEMA, Record, schema_of

LONGEST = 600
"""Characters that are shown of what is wrong with a line."""

_WORKER = re.compile(r"[A-Za-z0-9_.]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedLine:
    """A line that is no record for us: ``torn`` (cut off by a kill) or of another ``schema``."""

    file: Path
    line: int
    why: Literal["torn", "schema"]


class _Entry(msgspec.Struct, kw_only=True, gc=False):
    """The first result of a decode_key, its latest scores, these by score_key, and results that differ."""

    first: StoredRecord
    latest: Record
    by_score_key: dict[str, Record] = msgspec.field(default_factory=dict)
    others: dict[str, StoredRecord] = msgspec.field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class _Reading:
    """What was read of a store so far, and up to which byte and line of each file."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    failed: dict[str, Record] = field(default_factory=dict)
    unscorable: dict[tuple[str, str], Record] = field(default_factory=dict)
    in_doubt: set[str] = field(default_factory=set)
    answered_otherwise: dict[str, set[str]] = field(default_factory=dict)
    decided: frozenset[tuple[str, str, str]] = frozenset()
    n_lines: int = 0
    n_other_schema: int = 0
    torn: set[Path] = field(default_factory=set)
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def take(self, line: StoredRecord | SkippedLine) -> None:
        """Take in the next whole line."""
        if isinstance(line, SkippedLine):
            self.n_other_schema += 1
            return
        self.n_lines += 1
        record = line.record
        key = record.decode_key
        if record.failed:
            self.failed[key] = self.unscorable[key, record.score_key] = record
            return
        entry = self.entries.setdefault(key, _Entry(first=line, latest=record))
        if entry.first.record.differences(record):
            if record.served is not None:
                self.answered_otherwise.setdefault(key, set()).add(result_digest(record))
                return
            self.in_doubt.add(key)
            entry.others.setdefault(result_digest(record), line)
            return
        if entry.first is not line:
            entry.latest = _rescored(entry.first.record, record)
        entry.by_score_key[record.score_key] = entry.latest

    def open_conflicts(self) -> Iterator[Conflict]:
        """Yield every pair of the first result of a key and another that no resolution decides."""
        for key in sorted(self.in_doubt):
            entry = self.entries[key]
            for other in entry.others.values():
                conflict = Conflict(decode_key=key, first=entry.first, other=other)
                if decision_of(conflict) not in self.decided:
                    yield conflict

    def index(self) -> StoreIndex:
        """Return what was read as an index."""
        conflicts: dict[str, list[Conflict]] = {}
        for conflict in self.open_conflicts():
            conflicts.setdefault(conflict.decode_key, []).append(conflict)
        return StoreIndex(
            failed={key: record for key, record in self.failed.items() if key not in self.entries},
            conflicts={key: tuple(found) for key, found in conflicts.items()},
            disagreements={key: len(found) for key, found in self.answered_otherwise.items()},
            n_lines=self.n_lines,
            n_other_schema=self.n_other_schema,
            torn_files=tuple(sorted(self.torn)),
            _entries=self.entries,
            _unscorable=self.unscorable,
            _reading=self,
        )


@dataclass(frozen=True, kw_only=True)
class StoreIndex:
    """What a store holds, by ``decode_key``.

    A result is decoded once: of equal results the first counts, and scores (with the text they belong to)
    come from the latest line of the asked ``score_key``. A failed record is never a result; a success wins
    over it, whichever came first.

    Args:
        failed: The latest failure of every key that has no result.
        conflicts: What is not equal by key, and not resolved (`pb_plugin.records.conflict`); its cell must
            fail.
        disagreements: How many other answers a server gave to a question, by key: a server need not repeat
            itself, so the first one counts and nothing fails.
        n_lines: Records read.
        n_other_schema: Lines of other schemas, skipped.
        torn_files: Files whose last line was cut off by a kill, skipped.
    """

    failed: Mapping[str, Record]
    conflicts: Mapping[str, tuple[Conflict, ...]]
    disagreements: Mapping[str, int]
    n_lines: int
    n_other_schema: int
    torn_files: tuple[Path, ...]
    _entries: Mapping[str, _Entry] = field(repr=False)
    _unscorable: Mapping[tuple[str, str], Record] = field(repr=False)
    _reading: _Reading = field(repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of which anything was read."""
        return tuple(self._reading.marks)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, decode_key: str) -> bool:
        return decode_key in self._entries

    def get(self, decode_key: str, score_key: str | None = None) -> Record | None:
        """Return the stored result, or None.

        Args:
            decode_key: What was decoded.
            score_key: Which scores to take; None takes the latest. A result without scores of this key gives
                None: it is decoded and only has to be scored.
        """
        entry = self._entries.get(decode_key)
        if entry is None:
            return None
        return entry.latest if score_key is None else entry.by_score_key.get(score_key)

    def failure(self, decode_key: str, score_key: str) -> Record | None:
        """Return the latest failure to decode it, or to score it in this way."""
        return self._unscorable.get((decode_key, score_key)) or self.failed.get(decode_key)

    def find(self, decode_key: str, score_key: str) -> Record | None:
        """Return the result scored as asked, or why that failed, else as scored last, else its failure.

        Results in conflict are no result.
        """
        if decode_key in self.conflicts:
            return None
        found = self.get(decode_key, score_key) or self._unscorable.get((decode_key, score_key))
        return found or self.get(decode_key) or self.failed.get(decode_key)

    def records(self) -> Iterator[Record]:
        """Yield every result once, with its latest scores, sorted by ``decode_key``."""
        return (self._entries[key].latest for key in sorted(self._entries))


class StoreLost(OSError):
    """The file that this process writes to is gone: deleted, or moved away with its folder."""


class Store:
    """A directory of record files; this process appends to a file of its own, made at its first write.

    Args:
        directory: Where the files are; need not exist.
        worker: Name of the writing process in its file's name (``main``, ``gw3``).
        now: Seconds since the epoch, for the file's name.

    Raises:
        ValueError: *directory* is a file, or *worker* does not fit into a file name.
    """

    def __init__(
        self, directory: str | Path, *, worker: str = "main", now: Callable[[], float] = time.time
    ) -> None:
        self.directory = Path(directory)
        if self.directory.exists() and not self.directory.is_dir():
            raise ValueError(
                f"store must be a directory, got the file {str(directory)!r}; "
                "name a directory with --pb-store"
            )
        if not _WORKER.fullmatch(worker):
            raise ValueError(f"worker must be letters, digits, _ and ., got {worker!r}; use main or gw0")
        self._worker = worker
        self._now = now
        self._descriptor: int | None = None
        self._path: Path | None = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def prepare(self) -> None:
        """Make the directory, ignored by git, and check that it can be written; call it before decoding.

        Raises:
            ValueError: It can not be made or written.
        """
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            made = not self.directory.exists()
            self.directory.mkdir(exist_ok=True)
            if made:
                (self.directory / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise self._not_writable(error.strerror) from error
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise self._not_writable("no permission")

    def append(self, record: Record) -> None:
        """Write *record* with one system call, so that a kill costs at most this line.

        Raises:
            ValueError: The directory can not be written.
            StoreLost: This process's file was deleted meanwhile; the next record starts a new one.
            OSError: The disk did not take the whole line; the next record starts a new file.
        """
        self.check_there()
        if self._descriptor is None:
            self._descriptor = self._open()
        line = record.to_json().encode("ascii") + b"\n"
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            self.close()
            raise self._disk_error(error.strerror) from error
        if written != len(line):
            self.close()
            raise self._disk_error(f"{written} of {len(line)} bytes were taken")

    def check_there(self) -> None:
        """Check that this process's file is where it was made, if there is one.

        Raises:
            StoreLost: It is not; it is closed, and a later `append` starts another.
        """
        if self._descriptor is None or self._path is None:
            return
        try:
            same = os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            same = False
        if not same:
            self.close()
            raise StoreLost(
                f"{self._path} must stay where it is while a run writes to it, got it deleted or moved; "
                "leave the store alone until the run has ended"
            )

    def close(self) -> None:
        """Close this process's file; a later `append` starts another."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self) -> Iterator[StoredRecord]:
        """Yield every record of this schema, by file name, then line.

        Raises:
            ValueError: A line other than a torn last one is no record, or what has the name of a file of
                records is none; names file, line, problem and cure.
        """
        return (line for line in self.scan() if isinstance(line, StoredRecord))

    def scan(self) -> Iterator[StoredRecord | SkippedLine]:
        """Yield what `read` yields and, in their place, the lines it skips."""
        for file in plain_files(self.directory, "*.jsonl"):
            with file.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    yield self._parse(file, number, line)

    def index(self, known: StoreIndex | None = None) -> StoreIndex:
        """Return everything stored, by ``decode_key``.

        Args:
            known: What was read before, which is used up: only what other processes appended since is read.

        Raises:
            ValueError: See `read`; or a file of resolutions is damaged.
        """
        reading = _Reading(decided=read_resolutions(self.directory)) if known is None else known._reading
        with _no_collector():
            for file in plain_files(self.directory, "*.jsonl"):
                if known is None or file != self._path:
                    self._read_on(file, reading)
        return reading.index()

    def _read_on(self, file: Path, reading: _Reading) -> None:
        """Read what *file* has behind the place up to which it was read."""
        offset, number = reading.marks.get(file, (0, 0))
        reading.torn.discard(file)
        with file.open("rb") as lines:
            lines.seek(offset)
            for line in lines:
                found = self._parse(file, number + 1, line)
                if isinstance(found, SkippedLine) and found.why == "torn":
                    reading.torn.add(file)
                    return
                reading.take(found)
                offset, number = offset + len(line), number + 1
                reading.marks[file] = (offset, number)

    def _open(self) -> int:
        self.prepare()
        moment = moment_after(plain_files(self.directory, "*.jsonl"), now=self._now())
        self._path = self.directory / f"{moment}-{self._worker}-{os.getpid()}.jsonl"
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o666)
        except OSError as error:
            raise self._not_writable(error.strerror) from error

    def _parse(self, file: Path, number: int, line: bytes) -> StoredRecord | SkippedLine:
        try:
            return StoredRecord(file=file, line=number, record=Record.from_json(line))
        except (ValueError, TypeError, RecursionError) as error:
            if _is_other_schema(line):
                return SkippedLine(file=file, line=number, why="schema")
            if not line.endswith(b"\n"):
                return SkippedLine(file=file, line=number, why="torn")
            raise ValueError(
                f"{file}, line {number}: not a record ({one_line(error, LONGEST)}); delete this line or "
                f"move the file out of {self.directory}: nothing else was lost"
            ) from error

    def _disk_error(self, why: str | None) -> OSError:
        return OSError(
            f"{self._path}: a record could not be written ({why}); free some space and run again: "
            "every record before it is stored"
        )

    def _not_writable(self, why: str | None) -> ValueError:
        return ValueError(
            f"store must be a directory that can be written, got {str(self.directory)!r} ({why}); "
            "name another with --pb-store"
        )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Leave out the search for cycles: records have none, and it would walk over all of them again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _is_other_schema(line: bytes) -> bool:
    try:
        return bool(schema_of(line) != SCHEMA)
    except (ValueError, RecursionError):
        return False


def _rescored(first: Record, later: Record) -> Record:
    """Return the result *first* with the scores of *later*, and the text they were computed on.

    A trace is taken from whichever has one.
    """
    return first.with_result(
        text=later.text,
        scores=later.scores,
        score_reasons=later.score_reasons,
        score_key=later.score_key,
        trace=later.trace if first.trace is None else first.trace,
    )
