"""What the decoded samples of one cell say in numbers: its scores and its tokens per step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pb_plugin.records.record import Record
from pb_plugin.results.intervals import Interval, wilson

COUNTS = ("canvas", "to_eos", "content")
"""The three token counts; each has its own tokens per step and its own PBx."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class CellNumbers:
    """The numbers of one cell; everything that shows or judges a cell takes them from here.

    Args:
        n: Decoded samples.
        score_sum: Sum of their scores; None where one has none, or there is no sample.
        interval: Wilson 95 % interval of the mean for 0/1 scores, else None.
        unscored: Why there is no score, or None.
        tps: By token count the mean over samples of count / nfe, as published; None without samples or with
            an nfe that is not known.
    """

    n: int
    score_sum: float | None
    interval: Interval | None
    unscored: str | None
    tps: Mapping[str, float] | None

    @property
    def score(self) -> float | None:
        """Mean score, in [0, 1]."""
        return None if self.score_sum is None else self.score_sum / self.n


def numbers_of(decoded: Sequence[Record], score: str) -> CellNumbers:
    """Return the numbers of the *decoded* samples of a cell, none failed; *score* is what PBx uses."""
    found = _mean(score, decoded) if decoded else None
    scores = [value for record in decoded if (value := record.scores.get(score)) is not None]
    scored = found is not None and found.reason is None
    binary = scored and all(value in (0, 1) for value in scores)
    return CellNumbers(
        n=len(decoded),
        score_sum=math.fsum(scores) if scored else None,
        interval=wilson(int(sum(scores)), len(scores)) if binary else None,
        unscored=None if found is None else found.reason,
        tps=_mean_tps(decoded),
    )


def _mean_tps(decoded: Sequence[Record]) -> dict[str, float] | None:
    if not decoded or any(record.nfe is None for record in decoded):
        return None
    return {
        count: math.fsum(getattr(record, f"{count}_tokens") / record.nfe for record in decoded) / len(decoded)
        for count in COUNTS
    }
