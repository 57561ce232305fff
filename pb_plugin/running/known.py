"""What one process knows of results: what the store held, what was decoded here, and what was lost of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from pb_plugin.records.record import Record
from pb_plugin.records.store import Store, StoreIndex, StoreLost


class Known:
    """The results of one process; everything is stored as soon as it is known.

    Args:
        store: Where records go and come from.
        fresh: Whether what is stored does not count, so that everything is decoded again.
        keep_failures: Whether a failure that is stored counts, so that it is not tried again.
    """

    def __init__(self, store: Store, *, fresh: bool, keep_failures: bool = False) -> None:
        self.store = store
        self.lost: list[str] = []
        self.answered_otherwise: dict[str, int] = {}
        """Questions that a server answered differently here than before, and how often."""
        self.on_kept: Callable[[Record], None] | None = None
        """Told of every record that was stored."""
        self._fresh = fresh
        self._keep_failures = keep_failures
        self._records: dict[str, Record] = {}
        self._decoded: set[str] = set()

    @cached_property
    def index(self) -> StoreIndex:
        """What was stored before this process started writing; read at the first use."""
        return self.store.index()

    def refresh(self) -> None:
        """Take in what others stored meanwhile, so that it is not decoded again."""
        if "index" in self.__dict__ and not self._fresh:
            self.index = self.store.index(self.index)

    def record(self, decode_key: str, score_key: str) -> Record | None:
        """Return the result of one sample that this run goes by, scored by *score_key* where there is one."""
        record = self._records.get(decode_key)
        if record is not None or self._fresh:
            return record
        found = self.index.get(decode_key, score_key)
        if found is None and self._keep_failures:
            found = self.index.failure(decode_key, score_key)
        return found or self.index.get(decode_key)

    def find(self, decode_key: str, score_key: str) -> Record | None:
        """Return what is shown of a result: decoded here, else stored; failures count too."""
        return self._records.get(decode_key) or self.index.find(decode_key, score_key)

    def conflict(self, decode_keys: Iterable[str]) -> str | None:
        """Return what is wrong with the first of *decode_keys* that is stored in two versions, or None."""
        if self._fresh:
            return None
        conflicts = self.index.conflicts
        return next((conflicts[key][0].message for key in decode_keys if key in conflicts), None)

    def note_decoded(self, decode_key: str) -> None:
        """Remember that the result was decoded by this process."""
        self._decoded.add(decode_key)

    def decoded_here(self, decode_keys: Iterable[str]) -> bool:
        """Return whether this process decoded any of them."""
        return any(key in self._decoded for key in decode_keys)

    def is_from_here(self, decode_key: str) -> bool:
        """Return whether this process has stored the result, decoded or scored anew."""
        return decode_key in self._records

    def keep(self, record: Record) -> None:
        """Store *record*, unless the store has it already."""
        key = record.decode_key, record.score_key
        if self._fresh or record not in (self.index.get(*key), self.index.failure(*key)):
            try:
                self.store.append(record)
            except StoreLost as error:
                self._write_again(error)
                self.store.append(record)
        self._records[record.decode_key] = self._first_answer(record)
        if self.on_kept is not None:
            self.on_kept(record)

    def _first_answer(self, record: Record) -> Record:
        """Return what counts of a result: of a server's answers that differ the one that was stored first."""
        if record.served is None or record.failed:
            return record
        first = self._records.get(record.decode_key) or self.index.get(record.decode_key)
        if first is None or first.failed or not first.differences(record):
            return record
        self.answered_otherwise[record.decode_key] = self.answered_otherwise.get(record.decode_key, 0) + 1
        return self.index.get(record.decode_key, record.score_key) or first

    def forget_failures(self, decode_keys: Iterable[str]) -> None:
        """Let those of *decode_keys* that failed in this process be decoded once more."""
        for key in decode_keys:
            if key in self._records and self._records[key].failed:
                del self._records[key]

    def check_store(self) -> None:
        """Look whether what this process has stored is still there; write it again where it is not."""
        try:
            self.store.check_there()
        except StoreLost as error:
            self._write_again(error)
        read = self.index.files if "index" in self.__dict__ else ()
        gone = [file for file in read if not file.exists()]
        if gone:
            self.lost.append(
                f"{gone[0]} must stay where it is while a run uses it, got {len(gone)} such files deleted or "
                "moved; run again: what they held is decoded anew"
            )

    def _write_again(self, error: StoreLost) -> None:
        for record in self._records.values():
            self.store.append(record)
        self.lost.append(f"{error} ({len(self._records)} records of this process were written again)")
