"""Forwards that rows share: rows of one sample that come to one canvas need one forward between them.

Greedy decoding is a walk over canvases. Settings of one sample start on the same canvas and meet again: what
k=2 sees after one step is often what k=1 sees after two. What a step reads of a forward (proposals, their
odds, the scores that order positions) is therefore remembered while rows of the sample are unfinished.
Logits are not kept, so rows whose methods read whole distributions, shadows or attention go alone, as do
rows with a cache and rows that sample their tokens. A row counts the forwards that it would have needed
alone.
Legend: B = rows in the batch, G = generated length, S = places of the memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from decoders.devices import placed
from decoders.loop.forwards import interpret, listen
from decoders.loop.needs import Needs
from decoders.loop.slots import Slots, keep, longest_prompt, widened
from decoders.loop.view import SCORES, Proposals, score_of
from decoders.protocols import Denoiser
from decoders.rows import Row
from decoders.state import UnmaskingMethod

MEMORY_BYTES = 256 * 2**20
"""What is remembered may take this much; when it is full, all but the current canvases are forgotten."""

Key = tuple[int, int]
"""A sample, and the 64-bit hash of a canvas with what is asked there.

A sample comes to a few hundred canvases; that two of them have one hash has a probability of 1e-14.
"""

PROPOSED = ("tokens", "log_odds", "usable")
"""What is kept of every forward's `Proposals`; scores beside them as methods read them."""

NO_SCORES: frozenset[str] = frozenset()


class ScoreMissing(Exception):
    """A method read a score for the first time, and it is not known for all its canvases: step again."""


@dataclass(frozen=True, slots=True)
class _Place:
    index: int
    scores: frozenset[str]


def may_share(needs: Needs, rows: Sequence[Row]) -> bool:
    """Return whether two of *rows*, which have these *needs*, can meet on a canvas."""
    return needs == Needs() and len({_origin(row) for row in rows}) < len(rows)


def _origin(row: Row) -> Hashable:
    """Return what a forward and its ties depend on beside the generated region, which holds the template."""
    return row.prompt_ids, row.seed, row.sample_id, id(row.context)


class Shared:
    """What is known of the canvases of rows that are still to be decoded.

    Args:
        rows: All of them, of one generated length and one padded prompt length.
        read: The scores that each method was seen to read; grows.
        on_forward: Told of every forward with the first row of each of its canvases.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        read: dict[UnmaskingMethod, frozenset[str]],
        on_forward: Callable[[Sequence[Row]], None],
    ) -> None:
        numbers: dict[Hashable, int] = {}
        self._rows = tuple(rows)  # kept, so that no later object has the identity of one of them
        self._sample = {id(row): numbers.setdefault(_origin(row), len(numbers)) for row in self._rows}
        self._unfinished = Counter(self._sample[id(row)] for row in self._rows)
        self._read = read
        self._on_forward = on_forward
        self._places: dict[Key, _Place] = {}
        self._free: list[int] = []
        self._tables: dict[str, Tensor] = {}
        self._most = MEMORY_BYTES // (8 * (2 + len(SCORES)) * self._rows[0].gen_length)

    def missing(self, slots: Slots) -> dict[Key, int]:
        """Return the canvases of *slots* that need a forward, each with its first row."""
        found: dict[Key, int] = {}
        for index, (row, key) in enumerate(zip(slots.rows, self._keys(slots), strict=True)):
            place = self._places.get(key)
            if place is None or not self._read.get(row.setting.method, NO_SCORES) <= place.scores:
                found.setdefault(key, index)
        return found

    def going(self, slots: Slots, at_once: int) -> list[int]:
        """Return which rows of *slots* take a step now; the others wait for a forward that has room for them.

        Those go whose canvas is known, and those whose canvases fill whole forwards of *at_once*: the ones
        with the most steps ahead, since rows that are left over at the end have nobody to share a forward
        with. Where the canvases do not fill one forward all rows go.
        """
        keys, ahead = self._keys(slots), dict.fromkeys(self.missing(slots), 0.0)
        if len(ahead) > at_once:
            for key, steps in zip(keys, _steps_ahead(slots), strict=True):
                if key in ahead:
                    ahead[key] = max(ahead[key], steps)
        longest_first = sorted(ahead, key=ahead.__getitem__, reverse=True)
        waiting = set(longest_first[max(len(ahead) // at_once, 1) * at_once :])
        return [index for index, key in enumerate(keys) if key not in waiting]

    def hear(self, slots: Slots, denoiser: Denoiser, at_once: int, *, unbiased: bool) -> Proposals:
        """Return what the denoiser says of every row, with forwards of at most *at_once* canvases.

        Raises:
            torch.OutOfMemoryError: A forward does not fit; what the forwards before it said is remembered.
        """
        keys, missing = self._keys(slots), self.missing(slots)
        if len(self._places) + len(missing) > self._most:
            self._forget(set(self._places) - set(keys))
        wanted: dict[Key, frozenset[str]] = {}
        for row, key in zip(slots.rows, keys, strict=True):
            if key in missing:
                read = self._read.get(row.setting.method, NO_SCORES)
                wanted[key] = wanted.get(key, NO_SCORES) | read
        leaders = sorted(missing.items(), key=lambda leader: len(slots.rows[leader[1]].prompt_ids))
        n_forwards = -(-len(missing) // at_once)
        size = -(-len(leaders) // max(n_forwards, 1))
        bare = replace(slots, memory={})
        for turn in range(n_forwards):
            part = sorted(leaders[turn * size : (turn + 1) * size], key=lambda leader: leader[1])
            rows = keep(bare, [index for _, index in part])
            rows = widened(rows, longest_prompt(rows.rows), denoiser.pad_id)
            found = interpret(rows, listen(rows, denoiser), unbiased=unbiased)
            self._on_forward(rows.rows)
            self._remember(rows, found, {key: wanted[key] for key, _ in part})
        index = _index(map(self._places.__getitem__, keys), slots)
        return Proposals(
            tokens=self._tables["tokens"][index],
            log_odds=self._tables["log_odds"][index],
            usable=self._tables["usable"][index],
            asked=slots.asked,
            recall=partial(self._recall, keys),
        )

    def let_go(self, before: Sequence[Row], after: Sequence[Row]) -> None:
        """Forget the canvases of samples none of whose rows is left, now that *before* has become *after*."""
        self._unfinished.subtract(Counter(self._sample[id(row)] for row in before))
        self._unfinished.update(Counter(self._sample[id(row)] for row in after))
        over = {
            sample
            for sample in map(self._sample.__getitem__, map(id, before))
            if not self._unfinished[sample]
        }
        if over:
            self._forget({key for key in self._places if key[0] in over})

    def _keys(self, slots: Slots) -> list[Key]:
        return [
            (self._sample[id(row)], asked) for row, asked in zip(slots.rows, slots.asked_hash, strict=True)
        ]

    def _recall(self, keys: Sequence[Key], name: str, slots: Slots, members: Sequence[int]) -> Tensor:
        method = slots.rows[members[0]].setting.method
        self._read[method] = self._read.get(method, NO_SCORES) | {name}
        places = [self._places[keys[index]] for index in members]
        if not all(name in place.scores for place in places):
            raise ScoreMissing(name)
        return self._tables[name][_index(places, slots)]

    def _remember(self, rows: Slots, found: Proposals, wanted: Mapping[Key, frozenset[str]]) -> None:
        """Keep what was *found* for *rows*, the canvases of *wanted*, with the scores wanted of each."""
        members = {
            name: [at for at, scores in enumerate(wanted.values()) if name in scores]
            for name in sorted(NO_SCORES.union(*wanted.values()))
        }
        scored = {name: score_of(rows, found, name, of) for name, of in members.items()}
        self._forget(wanted.keys() & self._places.keys())
        self._make_room(len(wanted), found, members.keys())
        places = {key: _Place(self._free.pop(), scores) for key, scores in wanted.items()}
        index = _index(places.values(), rows)
        for name in PROPOSED:
            self._tables[name][index] = getattr(found, name)
        for name, values in scored.items():
            self._tables[name][index[members[name]]] = values
        self._places |= places

    def _make_room(self, n_places: int, found: Proposals, scores: Set[str]) -> None:
        size = len(self._free) + len(self._places)
        grown = max(2 * size, size + n_places) if len(self._free) < n_places else size
        self._free += range(size, grown)
        for name in (*PROPOSED, *scores):
            like = getattr(found, name, found.log_odds)
            old = self._tables.get(name, like[:0])
            if len(old) < grown:
                extra = like.new_empty((grown - len(old), *like.shape[1:]))
                self._tables[name] = torch.cat([old, extra])

    def _forget(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._free.append(self._places.pop(key).index)


def _steps_ahead(slots: Slots) -> list[float]:
    """Return about how many steps each row still needs: its masks one by one, or k at a time."""
    return [
        (left + row.gen_length - end) / (row.setting.k or 1)
        for row, left, (_, end) in zip(slots.rows, slots.eligible_count, slots.block_bounds, strict=True)
    ]


def _index(places: Iterable[_Place], slots: Slots) -> Tensor:
    return placed([place.index for place in places], slots.canvas.device)
