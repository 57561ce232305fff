"""``pb resolve``: of unequal results of one key the first counts from now on, and nothing is lost."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.records.conflict import Conflict, write_resolutions
from pb_plugin.records.store import Store

WHY = "what runs before the second was written have reported"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What ``pb resolve`` found and did; ``file`` is None where it wrote nothing."""

    store: Path
    conflicts: tuple[Conflict, ...]
    file: Path | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "store": str(self.store),
            "file": None if self.file is None else self.file.name,
            "conflicts": [
                {
                    "decode_key": conflict.decode_key,
                    "task": conflict.first.record.parts["task"],
                    "sample": conflict.first.record.parts["sample_id"],
                    "model": conflict.first.record.parts["model"],
                    "method": conflict.first.record.parts["method"],
                    "k": conflict.first.record.parts["k"],
                    "differs": list(conflict.differs),
                    "kept": {"file": conflict.first.file.name, "line": conflict.first.line},
                    "dropped": {"file": conflict.other.file.name, "line": conflict.other.line},
                }
                for conflict in self.conflicts
            ],
        }

    def lines(self) -> list[str]:
        """Return the same for people."""
        if not self.conflicts:
            return [f"no two results of one key differ in {self.store}"]
        found = [_line(conflict) for conflict in self.conflicts]
        if self.file is None:
            return [*found, "nothing was written (--dry-run)"]
        return [
            *found,
            f"the first of each counts from now on, {WHY}; {self.file} says so and can be deleted to undo "
            "it: no record was changed",
        ]


def _line(conflict: Conflict) -> str:
    parts = conflict.first.record.parts
    setting = "" if parts["k"] is None else f" k={parts['k']}"
    return (
        f"{parts['task']} {parts['sample_id']}, {parts['model']}-{parts['method']}{setting}: "
        f"{conflict.first} stays, stored first; {conflict.other} is left out, another "
        f"{', '.join(conflict.differs)}"
    )


def resolve(store: Path, *, dry_run: bool = False) -> Resolved:
    """Let the first of unequal results count, in a file of its own beside the records.

    Raises:
        ValueError: There is no such store, or it cannot be read.
        OSError: It cannot be written.
    """
    if not store.is_dir():
        raise ValueError(
            f"STORE must be a directory, got {str(store)!r}; name one that a run has written (--pb-store)"
        )
    conflicts = tuple(chain.from_iterable(Store(store).index().conflicts.values()))
    file = write_resolutions(conflicts, store) if conflicts and not dry_run else None
    return Resolved(store=store, conflicts=conflicts, file=file)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", type=Path, help="the folder of records (--pb-store)")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be left out")


def _run(arguments: argparse.Namespace) -> Outcome:
    found = resolve(arguments.store, dry_run=arguments.dry_run)
    return shown(arguments, found.to_json(), lambda _: found.lines()), 0


VERB = Verb(
    what="let the first of unequal results of one key count",
    example="resolve .pb --dry-run",
    arguments=_arguments,
    run=_run,
)
