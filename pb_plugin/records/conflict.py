"""Two results of one key, and the files that say which of them counts: nothing stored is changed or lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from decoders.text.json_file import one_line
from pb_plugin.records.canonical import canonical_json, digest, read_json
from pb_plugin.records.moments import moment_after
from pb_plugin.records.plain_files import plain_files, write_whole
from pb_plugin.records.record import RESULT, Record

SUFFIX = ".resolved"


def result_digest(record: Record) -> str:
    """Return the hash of what equal keys must have equal."""
    return digest({name: getattr(record, name) for name in RESULT})


class StoredRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record and where it stands."""

    file: Path
    line: int
    record: Record

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Results of one ``decode_key`` that are not equal: the first, and another; all stay in the store."""

    decode_key: str
    first: StoredRecord
    other: StoredRecord

    @property
    def differs(self) -> tuple[str, ...]:
        """What is different."""
        return self.first.record.differences(self.other.record)

    @property
    def message(self) -> str:
        """One line that names both files and what to do."""
        return (
            f"{self.first.file} and {self.other.file} hold different {', '.join(self.differs)} for "
            f"decode_key {self.decode_key}; something that is no part of the key changed the result: "
            f"pb resolve {self.first.file.parent} lets the first count (--dry-run shows it), or "
            "decode again with --pb-fresh in an empty store"
        )


class Resolution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a file of resolutions: of two results of a key the one that counts, by `result_digest`.

    ``kept`` and ``dropped`` say where they stood, for people.
    """

    decode_key: str
    keeps: str
    drops: str
    kept: str
    dropped: str

    @property
    def decision(self) -> tuple[str, str, str]:
        """What a reader asks for."""
        return self.decode_key, self.keeps, self.drops


def decision_of(conflict: Conflict) -> tuple[str, str, str]:
    """Return what a `Resolution` of *conflict* in favour of the first decides."""
    return conflict.decode_key, result_digest(conflict.first.record), result_digest(conflict.other.record)


_LINE = msgspec.json.Decoder(Resolution)


def read_resolutions(store: Path) -> frozenset[tuple[str, str, str]]:
    """Return every decision in *store*.

    Raises:
        ValueError: A line is no resolution, or a file is none; names file, line, problem and cure.
    """
    found = set()
    for file in plain_files(store, f"*{SUFFIX}"):
        for number, line in enumerate(file.read_bytes().splitlines(), start=1):
            try:
                found.add(read_json(line, _LINE).decision)
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"{file}, line {number}: not a resolution ({one_line(error)}); delete this file and run "
                    f"pb resolve {store} again: no record is lost"
                ) from error
    return frozenset(found)


def write_resolutions(conflicts: Iterable[Conflict], store: Path) -> Path:
    """Write a file by which the first result of each of *conflicts* counts; return its path.

    Raises:
        OSError: It cannot be written.
    """
    lines = [
        canonical_json(
            msgspec.to_builtins(
                Resolution(
                    *decision_of(conflict),
                    kept=f"{conflict.first.file.name}:{conflict.first.line}",
                    dropped=f"{conflict.other.file.name}:{conflict.other.line}",
                )
            )
        )
        for conflict in conflicts
    ]
    path = store / f"{moment_after()}-{os.getpid()}{SUFFIX}"
    write_whole(path, "".join(f"{line}\n" for line in lines), what="what was decided")
    return path
