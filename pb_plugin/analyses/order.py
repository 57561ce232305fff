"""How well each task can be decoded in parallel, and whether an order nearer to left to right helps it.

Source: ParallelBench (arXiv 2510.04767), appendix G.1 and Figure 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pb_plugin.analyses.found import Found
from pb_plugin.analyses.given import GivenPoint
from pb_plugin.records.asked import DEFAULTS
from pb_plugin.results.cell_numbers import CellSamples
from pb_plugin.results.summary import CellSummary, Summary
from pb_plugin.statistics.intervals import Interval

METHODS = ("random", "confidence", "margin", "entropy")
"""The methods that the paper averages over."""

KS = "1,2,4,8,16,32"
BLOCKS = "4,8,16,32"
K_OF_BLOCKS = 2

LEVEL = 0.95

Scores = Mapping[int, float]
"""Score in percent by k, or by block length."""

Number = Callable[[Scores], float | None]
"""What is computed of the scores of one method."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One score on an axis; ``samples`` is None where it came without those behind it."""

    place: int
    percent: float
    samples: CellSamples | None


def centre_of_mass(scores: Scores) -> float | None:
    """Return sum(k score) / sum(score); smaller is harder to parallelise. None where all scores are 0."""
    total = math.fsum(scores.values())
    return None if total == 0.0 else math.fsum(k * score for k, score in scores.items()) / total


def slope(scores: Scores) -> float:
    """Return by how many points the score rises with every halving of the block (least squares).

    Positive: blocks help; negative: any order is better. The paper says which sign means what and not what
    the axis is; here it is -log2 of the block length.
    """
    xs = [-math.log2(length) for length in scores]
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(scores.values()) / len(xs)
    above = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, scores.values(), strict=True))
    return above / math.fsum((x - mean_x) ** 2 for x in xs)


def parallelizability(summary: Summary, given: Sequence[GivenPoint] = ()) -> Found:
    """Return the centre of mass over k of every model and task, the mean over `METHODS`, in any order.

    *given* are points from elsewhere, beside those of the run.
    """
    return _by_task(
        summary,
        what="parallelizability",
        number=centre_of_mass,
        key=lambda cell: cell.asked.k if cell.asked.block == cell.asked.canvas else None,
        given=[(point, point.k) for point in given if point.block_length is None],
        option=f"--k {KS}",
    )


def order_benefit(summary: Summary, given: Sequence[GivenPoint] = ()) -> Found:
    """Return the slope over block lengths at k = 2 of every model and task, the mean over `METHODS`.

    *given* are points from elsewhere, beside those of the run; of these any order has no block length and
    is left out.
    """
    return _by_task(
        summary,
        what="benefit of order",
        number=slope,
        key=lambda cell: cell.asked.block if cell.asked.k == K_OF_BLOCKS else None,
        given=[
            (point, point.block_length)
            for point in given
            if point.k == K_OF_BLOCKS and point.block_length is not None
        ],
        option=f"--k {K_OF_BLOCKS} --block-length {BLOCKS}",
    )


def _by_task(
    summary: Summary,
    *,
    what: str,
    number: Number,
    key: Callable[[CellSummary], int | None],
    given: Sequence[tuple[GivenPoint, int]],
    option: str,
) -> Found:
    measured: dict[tuple[str, str], dict[str, dict[int, Measured]]] = {}
    for cell in filter(_counts, summary.cells):
        methods = measured.setdefault((cell.identity.model, cell.task), {})
        place = key(cell)
        if place is not None and cell.percent is not None and cell.incomplete is None:
            point = Measured(place=place, percent=cell.percent, samples=cell.samples)
            methods.setdefault(cell.identity.method, {})[place] = point
    of_run = set(measured)
    for one, place in given:
        if (one.model, one.task) in of_run:
            raise ValueError(
                f"--points must name models and tasks that the run lacks, got {one.task} of {one.model}; "
                "give the model another name"
            )
        methods = measured.setdefault((one.model, one.task), {})
        methods.setdefault(one.method, {})[place] = Measured(place=place, percent=one.score, samples=None)
    rows, missing = [], []
    for (model, task), methods in sorted(measured.items()):
        several = {name: dict(sorted(found.items())) for name, found in methods.items() if len(found) > 1}
        shared = _shared(several)
        of_methods = [[found[x] for x in shared] for found in several.values()] if shared else []
        value = _mean(number, shared, [[point.percent for point in found] for found in of_methods])
        lacking = [name for name in METHODS if name not in several]
        if lacking and (model, task) in of_run:
            missing.append((model, task, ",".join(lacking)))
        if value is not None:
            interval = _interval(number, shared, of_methods, task)
            rows.append(
                {
                    "model": model,
                    "task": task,
                    "value": value,
                    "interval": None if interval is None else interval.to_json(),
                    "over": list(shared),
                    "methods": [name for name in METHODS if name in several],
                }
            )
    return Found(rows=tuple(rows), missing=tuple(_commands(what, missing, option)))


def _mean(number: Number, places: Sequence[int], methods: Sequence[Sequence[float]]) -> float | None:
    """Return the mean of *number* over methods, of which each has a score for every one of *places*."""
    numbers = [number(dict(zip(places, scores, strict=True))) for scores in methods]
    known = [value for value in numbers if value is not None]
    return math.fsum(known) / len(known) if known else None


def _interval(
    number: Number, places: Sequence[int], methods: Sequence[Sequence[Measured]], task: str
) -> Interval | None:
    """Return the 95 % interval of `_mean` by the joint resample; None where a draw has no number."""
    import numpy as np

    from pb_plugin.statistics.resample import Resample, percentile_interval

    samples = [point.samples for found in methods for point in found if point.samples is not None]
    if len(samples) < len(places) * len(methods) or len({len(s.scores) for s in samples}) != 1:
        return None
    drawn = 100.0 * Resample().mean_scores({task: np.array([s.scores for s in samples]).T})
    shape = (len(drawn), len(methods), len(places))
    values = [_mean(number, places, scores) for scores in drawn.reshape(shape).tolist()]
    if None in values:
        return None
    low, high = percentile_interval(np.array(values, dtype=np.float64), LEVEL)
    return Interval(low=float(low), high=float(high), level=LEVEL)


def _counts(cell: CellSummary) -> bool:
    identity = cell.identity
    usual = dict(identity.tagged) == dict(DEFAULTS) and not identity.variant and not identity.upstream_exact
    return usual and identity.method in METHODS and not cell.is_variant


def _shared(several: Mapping[str, Mapping[int, Measured]]) -> list[int]:
    """Return the places that all methods have, where there are at least two."""
    sets = [set(found) for found in several.values()]
    shared = sorted(set.intersection(*sets)) if sets else []
    return shared if len(shared) > 1 else []


def _commands(what: str, missing: Sequence[tuple[str, str, str]], option: str) -> list[str]:
    """Return a line for every model and set of missing methods."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for model, task, methods in missing:
        tasks.setdefault((model, methods), []).append(task)
    return [
        f"{what} of {model}: {methods.replace(',', ', ')} at two or more values are missing for "
        f"{', '.join(names)}; run pytest bench_tests --model {model} "
        f"{' '.join(f'--unmasking {name}' for name in methods.split(','))} "
        f"{' '.join(f'--task {name}' for name in names)} {option}"
        for (model, methods), names in tasks.items()
    ]
