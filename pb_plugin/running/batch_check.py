"""Does batching change results? A few rows of a network model, decoded once more alone and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from decoders.traits import model_traits
from pb_plugin.asking.models import ModelHandle
from pb_plugin.asking.planned import Planned
from pb_plugin.planning.cell import Cell
from pb_plugin.records.canonical import canonical_json, digest
from pb_plugin.records.plain_files import write_whole
from pb_plugin.records.record import Record

N_ROWS = 8
"""Rows of a run that are decoded again, for each model; workers share them."""

FOLDER = "batch_checks"
COMPARED = frozenset({"ids", "nfe"})

Sweep = Callable[[Sequence[tuple[Cell, Planned]]], Iterator[Record]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOutcome:
    """How many rows were decoded again alone, and how many of them had other ids or another nfe."""

    checked: int = 0
    differ: int = 0

    def __add__(self, other: BatchOutcome) -> BatchOutcome:
        """Return the sum, as of two processes."""
        return BatchOutcome(checked=self.checked + other.checked, differ=self.differ + other.differ)

    @property
    def line(self) -> str:
        """The outcome for people."""
        rows = f"{self.checked} rows"
        return f"batch check: {self.differ} of {rows} differ when decoded alone"


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    """What the file of an outcome holds."""

    checked: Annotated[int, msgspec.Meta(ge=1)]
    differ: Annotated[int, msgspec.Meta(ge=0)]


class BatchCheck:
    """Chooses rows while a run decodes, and decodes them again.

    The choice depends on the rows alone and not on their order: those with the lowest hash of seed and key.

    Args:
        seed: The run's seed.
        n_rows: How many rows of each model, 0 for none.
    """

    def __init__(self, *, seed: int, n_rows: int) -> None:
        self._seed = seed
        self._n_rows = n_rows
        self._chosen: dict[str, list[tuple[str, Cell, Planned, Record]]] = {}
        self.outcome = BatchOutcome()

    def note(self, handle: ModelHandle, cell: Cell, planned: Planned, record: Record) -> None:
        """Take a row that was decoded just now into the draw, where a batch may matter.

        An exact model has no rounding, and a model that owns its loop forms its batches itself.
        """
        if handle.is_exact or model_traits(handle.get()).owns_loop:
            return
        lot = digest(["batch check", self._seed, planned.decode_key])
        rows = [*self._chosen.get(cell.model.text, ()), (lot, cell, planned, record)]
        self._chosen[cell.model.text] = sorted(rows, key=lambda row: row[0])[: self._n_rows]

    def run(self, handle: ModelHandle, sweep: Sweep) -> None:
        """Decode the chosen rows of a model in memory one by one with *sweep*, and count what differs."""
        for _, cell, planned, record in self._chosen.pop(handle.choice.text, ()) if handle.loaded else ():
            (again,) = sweep([(cell, planned)])
            differs = again.failed or bool(COMPARED & set(record.differences(again)))
            self.outcome += BatchOutcome(checked=1, differ=int(differs))


def save(outcome: BatchOutcome, store: Path, run: Path) -> None:
    """Write *outcome* of the run whose file is *run* into *store*, where anything was checked."""
    if outcome.checked:
        path = store / FOLDER / run.name
        text = canonical_json({"checked": outcome.checked, "differ": outcome.differ})
        write_whole(path, text + "\n", what="the batch check")


def load(store: Path, run: Path) -> BatchOutcome | None:
    """Return what was saved last for the run whose file is *run*, None where nothing was checked.

    Raises:
        ValueError: The file is damaged.
    """
    path = store / FOLDER / run.name
    if not path.is_file():
        return None
    try:
        written = msgspec.json.decode(path.read_bytes(), type=_Written)
        return BatchOutcome(checked=written.checked, differ=written.differ)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a batch check ({error}); delete it: no record is lost") from error
