"""The mean of every score of a cell, beside the one that PBx uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pb_plugin.records.record import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreMean:
    """One score over the decoded samples of a cell.

    Args:
        mean: In [0, 1]; None where a sample has no such score.
        n: Samples that have it.
        reason: Why some have not; None where all have.
    """

    mean: float | None
    n: int
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"mean": self.mean, "n": self.n, "reason": self.reason}


def score_means(decoded: Sequence[Record]) -> Mapping[str, ScoreMean]:
    """Return the mean of every score that a record of *decoded* names, by name in alphabetical order."""
    names = sorted({name for record in decoded for name in record.scores})
    return {name: _mean(name, decoded) for name in names}


def _mean(name: str, decoded: Sequence[Record]) -> ScoreMean:
    known, reasons = [], set()
    for record in decoded:
        value = record.scores.get(name)
        if value is None:
            reasons.add(record.score_reasons.get(name, f"score {name!r} is not stored"))
        else:
            known.append(value)
    if reasons:
        return ScoreMean(mean=None, n=len(known), reason="; ".join(sorted(reasons)))
    return ScoreMean(mean=math.fsum(known) / len(known), n=len(known))
