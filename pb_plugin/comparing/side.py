"""One side of a comparison: the cells of a run with their records, and how it is read from a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pb_plugin.records.record import Record
from pb_plugin.records.store import Store
from pb_plugin.results.cell_result import CellResult
from pb_plugin.results.run_file import Run, load, results_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """What was measured. *name* is how people know it, ``store`` where its texts are, if anywhere."""

    name: str
    cells: tuple[CellResult, ...]
    store: Path | None = None


def side_of(name: str, run: Run, find: Callable[[str, str], Record | None], store: Path) -> Side:
    """Return the side that *run* is, with the records that *find* has."""
    return Side(name=name, cells=tuple(results_of(run, find)), store=store)


def side_of_store(store: Path, run_name: str | None = None) -> Side:
    """Return the newest run of *store*, or the one called *run_name*.

    Raises:
        ValueError: There is no such run, or a file is damaged.
    """
    run, path = load(store, run_name)
    return side_of(f"{store}@{path.stem}", run, Store(store).index().find, store)
