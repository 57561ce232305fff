"""What the decoded samples of one cell say in numbers: its scores and its tokens per step."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pb_plugin.records.record import NFE_KINDS, Record
from pb_plugin.statistics.intervals import Interval, wilson

if TYPE_CHECKING:
    from pb_plugin.statistics.resample import Resample

COUNTS = ("canvas", "to_eos", "content", "per_canvas")
"""The token counts; each has its own tokens per step and its own PBx.

Three divide by the forwards, as published; ``per_canvas`` divides all positions by the canvases that were
evaluated, which are more where a method compares several in one forward.
"""

NFE_UNKNOWN = (
    "nfe unknown (nfe_kind unknown never enters PBx; take a model, engine or setting that tells its forwards "
    "or bounds of them, or read the score alone)"
)
"""Why there are no tokens per step, with the way out."""

NFE_BOUNDED = (
    "the forwards are known as bounds only (nfe_kind bounds), and they do not settle it; take a model, "
    "engine or setting that tells its forwards"
)
"""Why a number that needs exact tokens per step is not there, with the way out."""

Ends = tuple[float, float]
"""The least and the largest value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreMean:
    """One score over the decoded samples of a cell.

    Args:
        mean: In [0, 1]; None where a sample has no such score.
        n: Samples that have it.
        reason: Why some have not; None where all have.
        interval: 95 % interval of the mean: Wilson's for 0/1 scores, else from the joint resample; None
            where there is neither.
    """

    mean: float | None
    n: int
    reason: str | None = None
    interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        interval = None if self.interval is None else self.interval.to_json()
        return {"mean": self.mean, "n": self.n, "reason": self.reason, "interval": interval}


def score_means(decoded: Sequence[Record], task: str, resample: Resample | None) -> Mapping[str, ScoreMean]:
    """Return the mean of every score that a record of *decoded* names, by name in alphabetical order.

    Args:
        decoded: The decoded samples of a cell.
        task: Its task.
        resample: What intervals of scores between 0 and 1 are drawn from; None leaves them out.
    """
    names = sorted({name for record in decoded for name in record.scores})
    return {name: _with_interval(_mean(name, decoded), name, decoded, task, resample) for name in names}


def _with_interval(
    found: ScoreMean, name: str, decoded: Sequence[Record], task: str, resample: Resample | None
) -> ScoreMean:
    if found.mean is None:
        return found
    values = _over_seeds(_by_id(decoded), lambda record: record.scores[name] or 0.0)
    if len(values) == len(decoded) and all(value in (0, 1) for value in values):
        return replace(found, interval=wilson(int(sum(values)), len(values)))
    return found if resample is None else replace(found, interval=resample.interval(task, values))


def _by_id(decoded: Sequence[Record]) -> list[Record]:
    return sorted(decoded, key=lambda record: str(record.parts["sample_id"]))


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
            an nfe that was neither counted nor commanded.
        tps_bounds: Both ends of the same, where an nfe is known as bounds and none is unknown; else None.
        nfe_kinds: How the forwards of the samples are known, in the order of `NFE_KINDS`.
        content_tokens: Mean over samples of the tokens before the first end of text; None without samples or
            where one was not counted.
        seconds: Mean seconds that a client waited for an answer; None but where servers answered.
        tokens_per_second: Content tokens of all samples over the seconds of all; None as *seconds*, and where
            nobody counted the tokens.
    """

    n: int
    score_sum: float | None
    interval: Interval | None
    unscored: str | None
    tps: Mapping[str, float] | None
    tps_bounds: Mapping[str, Ends] | None
    nfe_kinds: tuple[str, ...]
    content_tokens: float | None
    seconds: float | None
    tokens_per_second: float | None

    @property
    def score(self) -> float | None:
        """Mean score, in [0, 1]."""
        return None if self.score_sum is None else self.score_sum / self.n


@dataclass(frozen=True, kw_only=True, slots=True)
class CellSamples:
    """What every sample of a whole cell carries, in the order of their ids.

    Args:
        scores: The score that PBx uses, in [0, 1].
        tps: Tokens per step by token count; the least possible where forwards are known as bounds, and empty
            where one is unknown.
        most_tps: The largest possible there; None where all forwards were counted or commanded.
    """

    scores: tuple[float, ...]
    tps: Mapping[str, tuple[float, ...]]
    most_tps: Mapping[str, tuple[float, ...]] | None = None


def samples_of(decoded: Sequence[Record], score: str) -> CellSamples | None:
    """Return the samples of a cell; None where one has no score, or there is none.

    A sample that was decoded under several seeds has its means over them: it is one question, and what is not
    known of it does not shrink with the number of seeds.
    """
    ordered = _by_id(decoded)
    if not ordered or any(r.scores.get(score) is None for r in ordered):
        return None
    scores = tuple(_over_seeds(ordered, lambda r: r.scores[score] or 0.0))
    kinds = {record.nfe_kind for record in ordered}
    if "unknown" in kinds:
        return CellSamples(scores=scores, tps={})
    least, *most = (
        {count: tuple(_over_seeds(ordered, partial(_rate, count, end))) for count in COUNTS}
        for end in _ends(kinds)
    )
    return CellSamples(scores=scores, tps=least, most_tps=most[0] if most else None)


def _ends(kinds: Collection[str]) -> range:
    """Return which ends of tokens per step differ where forwards are known as *kinds* say, see `rates_of`."""
    return range(2 if "bounds" in kinds else 1)


def rates_of(decoded: Sequence[Record], end: int = 0) -> dict[str, tuple[float, ...]]:
    """Return the tokens per step of every record, by token count; none may have an unknown nfe.

    Where an nfe is known as bounds it is the least possible (*end* 0) or the largest (*end* 1).
    """
    return {count: tuple(_rate(count, end, record) for record in decoded) for count in COUNTS}


def _rate(count: str, end: int, record: Record) -> float:
    nfe = record.nfe if record.nfe is not None else (record.nfe_high, record.nfe_low)[end]
    assert nfe is not None
    per_canvas = count == "per_canvas"
    tokens: int = getattr(record, "canvas_tokens" if per_canvas else f"{count}_tokens")
    return tokens / (record.evaluated_canvases or nfe if per_canvas else nfe)


def _over_seeds(ordered: Sequence[Record], value: Callable[[Record], float]) -> list[float]:
    """Return the mean of *value* over the records of each sample, in the order of *ordered*."""
    by_sample: dict[Any, list[float]] = {}
    for record in ordered:
        by_sample.setdefault(record.parts["sample_id"], []).append(value(record))
    return [
        values[0] if len(values) == 1 else math.fsum(values) / len(values) for values in by_sample.values()
    ]


def numbers_of(decoded: Sequence[Record], score: str) -> CellNumbers:
    """Return the numbers of the *decoded* samples of a cell, none failed; *score* is what PBx uses."""
    found = _mean(score, decoded) if decoded else None
    scores = [value for record in decoded if (value := record.scores.get(score)) is not None]
    scored = found is not None and found.reason is None
    n_samples = len({record.parts["sample_id"] for record in decoded})
    binary = scored and n_samples == len(decoded) and all(value in (0, 1) for value in scores)
    return CellNumbers(
        n=len(decoded),
        score_sum=math.fsum(scores) if scored else None,
        interval=wilson(int(sum(scores)), len(scores)) if binary else None,
        unscored=None if found is None else found.reason,
        **_mean_tps(decoded),
        nfe_kinds=kinds_of(record.nfe_kind for record in decoded),
        content_tokens=_mean_tokens(decoded),
        **_times(decoded),
    )


def kinds_of(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return each of *kinds* once, in the order of `NFE_KINDS`."""
    found = set(kinds)
    return tuple(kind for kind in NFE_KINDS if kind in found)


def _mean_tps(decoded: Sequence[Record]) -> dict[str, Any]:
    kinds = {record.nfe_kind for record in decoded}
    if not decoded or "unknown" in kinds:
        return {"tps": None, "tps_bounds": None}
    least, *most = (
        {count: math.fsum(rates) / len(decoded) for count, rates in rates_of(decoded, end).items()}
        for end in _ends(kinds)
    )
    if not most:
        return {"tps": least, "tps_bounds": None}
    return {"tps": None, "tps_bounds": {count: (least[count], most[0][count]) for count in COUNTS}}


def _times(decoded: Sequence[Record]) -> dict[str, Any]:
    told = [(record.served or {}).get("seconds") for record in decoded]
    waits = [wait for wait in told if isinstance(wait, int | float)]
    tokens = [record.content_tokens for record in decoded if record.content_tokens is not None]
    if not decoded or len(waits) < len(decoded):
        return {"seconds": None, "tokens_per_second": None}
    whole = math.fsum(waits)
    is_known = len(tokens) == len(decoded) and whole > 0
    return {
        "seconds": whole / len(decoded),
        "tokens_per_second": math.fsum(tokens) / whole if is_known else None,
    }


def _mean_tokens(decoded: Sequence[Record]) -> float | None:
    tokens = [record.content_tokens for record in decoded if record.content_tokens is not None]
    return math.fsum(tokens) / len(tokens) if decoded and len(tokens) == len(decoded) else None
