"""What a run measured that no result depends on, in a file of its own: a run's file holds nothing such."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from decoders.traits import Numerics
from pb_plugin.measuring.throughput import Throughput
from pb_plugin.records.canonical import canonical_json
from pb_plugin.records.plain_files import write_whole

FOLDER = "measured"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What models computed with, by the name of each, and what ``--pb-timing`` found.

    Args:
        numerics: A model and what it computed with; several of one model where workers have unlike machines.
        throughput: Every cell at every batch size.
    """

    numerics: tuple[tuple[str, Numerics], ...] = ()
    throughput: tuple[Throughput, ...] = ()

    def __add__(self, other: Measured) -> Measured:
        """Return what two processes, or two parts of one, found together."""
        return Measured(
            numerics=tuple(dict.fromkeys([*self.numerics, *other.numerics])),
            throughput=(*self.throughput, *other.throughput),
        )

    def __bool__(self) -> bool:
        """Return whether anything is known."""
        return bool(self.numerics or self.throughput)


def to_plain(measured: Measured) -> dict[str, object]:
    """Return plain data, for `from_plain` in another process."""
    plain: dict[str, object] = msgspec.to_builtins(asdict(measured))
    return plain


def from_plain(plain: object) -> Measured:
    """Return what `to_plain` made."""
    return msgspec.convert(plain, Measured)


def save(measured: Measured, store: Path, run: Path) -> None:
    """Write what the run whose file is *run* measured into *store*."""
    if measured:
        path = store / FOLDER / run.name
        write_whole(path, canonical_json(to_plain(measured)) + "\n", what="what the run measured")


def load(store: Path, run: Path) -> Measured:
    """Return what was saved last for the run whose file is *run*; nothing where nothing was measured.

    Raises:
        ValueError: The file is damaged.
    """
    path = store / FOLDER / run.name
    if not path.is_file():
        return Measured()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Measured)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: not what a run measured ({error}); delete it: no record is lost"
        ) from error
