"""Several stores become one: their files are copied beside each other, and nothing there is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pb_plugin.records.conflict import SUFFIX, Conflict
from pb_plugin.records.plain_files import plain_files, write_whole
from pb_plugin.records.store import Store

APPENDED = ("*.jsonl", f"*{SUFFIX}")
"""Files that only ever grow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """What merging did.

    Args:
        into: The store that has everything now.
        stores: Where it came from.
        results: Results of the store before and after.
        copied: Files that were copied, or had grown since they were.
        conflicts: Unequal results of one key in the joined store.
    """

    into: Path
    stores: tuple[Path, ...]
    results: tuple[int, int]
    copied: int
    conflicts: tuple[Conflict, ...]


def merge(stores: Sequence[Path], into: Path) -> Merged:
    """Copy the records, run files and resolutions of *stores* into the store *into*, which may exist.

    It may be done again, also while runs go on that write to *stores*: a file that is there already is copied
    anew only if it has grown. Every store is read before anything is written.

    Raises:
        ValueError: A store is none, is *into* itself, or cannot be read.
        OSError: A file cannot be written; the others are whole, and merging again goes on.
    """
    for store in stores:
        if not store.is_dir():
            raise ValueError(
                f"STORE must be a directory, got {str(store)!r}; name one that a run has written (--pb-store)"
            )
        if into.exists() and store.samefile(into):
            raise ValueError(
                f"STORE must be another than that of --into, got {str(store)!r} for both; leave it out: what "
                "it holds stays there"
            )
        Store(store).index()
    target = Store(into)
    before = len(target.index())
    target.prepare()
    copied = sum(_copy(path, into, store) for store in stores for path in _files(store))
    index = target.index()
    return Merged(
        into=into,
        stores=tuple(stores),
        results=(before, len(index)),
        copied=copied,
        conflicts=tuple(conflict for found in index.conflicts.values() for conflict in found),
    )


def _files(store: Path) -> Iterator[Path]:
    for pattern in APPENDED:
        yield from plain_files(store, pattern)
    yield from plain_files(store / "runs", "*.json")


def _copy(path: Path, into: Path, store: Path) -> bool:
    """Copy *path* to its place in *into*; return whether there was anything to do.

    Another file that has its place gets to keep it: the copy has the hash of its content in its name.
    """
    content = path.read_bytes()
    place = into / path.relative_to(store)
    if place.exists():
        there = place.read_bytes()
        if there.startswith(content):
            return False
        if not content.startswith(there):
            place = place.with_name(f"{place.stem}.{sha256(content).hexdigest()[:12]}{place.suffix}")
            if place.exists():
                return False
    write_whole(place, content, what=f"the copy of {path}")
    return True
