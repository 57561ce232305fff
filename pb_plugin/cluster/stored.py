"""Records of a run whose workers see another disk: they come back into its store, and go out where needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pb_plugin.asking.models import ModelUnavailable
from pb_plugin.faults.at_work import FOLDER
from pb_plugin.faults.ends import ENDED
from pb_plugin.portions.groups import cell_id_of
from pb_plugin.records.plain_files import write_whole
from pb_plugin.records.record import Record
from pb_plugin.records.store import Store, StoreIndex

if TYPE_CHECKING:
    from pb_plugin.session.session import BenchSession


class Kept:
    """The store of the controlling process, for its workers.

    Args:
        session: The session.
    """

    def __init__(self, session: BenchSession) -> None:
        self._session = session
        self._store = Store(session.options.store, worker="ray")
        self._new: dict[str, Record] = {}

    @cached_property
    def _before(self) -> StoreIndex:
        return self._store.index()

    def keep(self, line: str) -> None:
        """Store the record in *line*, which a worker has stored on its machine."""
        record = Record.from_json(line)
        self._store.append(record)
        self._new[record.decode_key] = record

    def known(self, nodeids: Sequence[str]) -> list[str]:
        """Return the lines of what is known of the items, so that a worker need not decode it.

        Of a model or task that cannot be asked for nothing is: the items say why.
        """
        fresh, resources = self._session.options.fresh, self._session.bench.resources
        found: list[Record] = []
        for nodeid in nodeids:
            cell = self._session.cells.get(cell_id_of(nodeid))
            if cell is None:
                continue
            try:
                keys, score_key = resources.keys(cell), resources.score_key(cell)
            except (ModelUnavailable, ValueError, LookupError, OSError):
                continue
            for key in keys:
                stored = None if fresh else self._before.get(key, score_key) or self._before.get(key)
                record = self._new.get(key) or stored
                if record is not None and not record.failed:
                    found.append(record)
        return [record.to_json() for record in found]

    def keep_end(self, name: str, text: str) -> None:
        """Store how a session has ended, where a process of this machine would have written it."""
        write_whole(self._session.options.store / FOLDER / name, text, what="the end of a process")
        self._session.ends.learn()

    def ends(self) -> list[tuple[str, str]]:
        """Return how processes have ended, as far as it counts: file names and what they say."""
        folder = self._session.options.store / FOLDER
        return [(path.name, path.read_text("ascii")) for path in sorted(folder.glob(f"*{ENDED}"))]

    def close(self) -> None:
        """Close the file."""
        self._store.close()
