"""What a generator is asked for, and how samples spread over list lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Record = dict[str, Any]
"""One line of a sample file: id, fields, facts, shots, example, length and, for infilling, template."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One sample to draw: its own random source, its id, the list length, and the task's parameters."""

    rng: Random
    id: str
    length: int
    shots: int
    parameters: Mapping[str, Any]


def stratum(lengths: Sequence[int], n_samples: int) -> Iterator[tuple[int, int]]:
    """Yield (length, number within it) for *n_samples* spread evenly; the first lengths take the rest."""
    share, left = divmod(n_samples, len(lengths))
    for place, length in enumerate(lengths):
        for number in range(share + (place < left)):
            yield length, number
