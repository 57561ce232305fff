"""How fast a sweep could be if it knew for every sample the fastest setting that does not hurt it.

Source: ParallelBench (arXiv 2510.04767), appendix G.2: per sample the fewest forwards among the settings that
reach its best score, averaged over samples, then tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pb_plugin.analyses.found import Found
from pb_plugin.results.cell_numbers import NFE_BOUNDED, CellSamples
from pb_plugin.results.summary import CellSummary, Curve, Summary
from pb_plugin.statistics.intervals import Interval
from pb_plugin.statistics.pbx import pbx
from task_specs.catalogue import BENCHMARK_IDS

DEFAULT = "threshold"
COUNT = "canvas"
LEVEL = 0.95

_W2S = ("w2s_easy", "w2s_medium", "w2s_hard")
_CORE = (*BENCHMARK_IDS["waiting_line"], *BENCHMARK_IDS["puzzles"])

GROUPS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "paper": (
            *((task,) for task in ("copy", "reverse", "shuffle", "replace_index", "replace_random")),
            ("paraphrasing",),
            ("summarization",),
            _W2S,
            *((task,) for task in BENCHMARK_IDS["puzzles"]),
        ),
        "all": tuple((task,) for tasks in BENCHMARK_IDS.values() for task in tasks),
        "core": tuple((task,) for task in _CORE),
    }
)
"""Over which tasks is averaged: groups of equal weight, and the mean within a group.

``paper`` are the ten of appendix G.2, where words-to-sentence with its three levels counts as one.
"""

Point = tuple[float, float]
"""Tokens per step and score in percent."""


def best_samples(settings: Sequence[CellSamples]) -> tuple[list[float], list[float]]:
    """Return scores and tokens per step of the oracle, sample by sample.

    Args:
        settings: The samples of one task at every setting of a sweep, in one order.
    """
    scores, rates = [], []
    for sample in range(len(settings[0].scores)):
        best = max(cell.scores[sample] for cell in settings)
        scores.append(best)
        rates.append(max(cell.tps[COUNT][sample] for cell in settings if cell.scores[sample] == best))
    return scores, rates


def oracle(summary: Summary, method: str = DEFAULT) -> Found:
    """Return the oracle of every curve of *method*, and how far each curve of its model is from it.

    A row holds the oracle's score and tokens per step; of the other curve the score interpolated at these
    tokens per step (None outside of what was measured), and the most tokens per step at which it still has
    the oracle's score (by the uniform rule of PBx; ``never`` where it has not).

    Raises:
        ValueError: The run has no curve of *method*.
    """
    sweeps = [curve for curve in summary.curves if curve.identity.method == method]
    if not sweeps:
        known = ", ".join(sorted({curve.identity.method for curve in summary.curves})) or "none"
        raise ValueError(
            f"--oracle must be a method of the run, got {method!r}; it has {known}; decode it with "
            f"pytest bench_tests --unmasking {method}, or name another"
        )
    rows, missing = [], []
    for sweep in sweeps:
        model = sweep.identity.model
        if "bounds" in sweep.nfe_kinds:
            missing.append(f"oracle of {sweep.identity.label}: {NFE_BOUNDED}")
            continue
        for name, groups in GROUPS.items():
            found = _oracle_point(sweep, groups)
            if isinstance(found, list):
                missing.append(
                    f"oracle of {sweep.identity.label} over {name}: complete results of {', '.join(found)} "
                    f"are missing; run pytest bench_tests --model {model} --unmasking {method} "
                    f"{' '.join(f'--task {task}' for task in found)}"
                )
                continue
            others = [curve for curve in summary.curves if curve.identity.model == model]
            rows += [row for curve in others if (row := _gap(name, sweep, found, curve, groups)) is not None]
    return Found(rows=tuple(rows), missing=tuple(missing))


def _whole(curve: Curve, task: str) -> dict[str, CellSummary]:
    """Return the complete cells of *task* on *curve* by setting, if their tokens per step are known."""
    return {
        str(cell.setting): cell
        for cell in curve.cells
        if cell.task == task and not cell.is_variant and cell.samples is not None and cell.tps is not None
    }


def _oracle_point(sweep: Curve, groups: Sequence[Sequence[str]]) -> Point | list[str]:
    """Return the oracle's point, or the tasks that lack it."""
    of_task: dict[str, Point] = {}
    lacking = []
    planned = {str(cell.setting) for cell in sweep.cells if not cell.is_variant}
    for task in (task for group in groups for task in group):
        cells = _whole(sweep, task)
        if set(cells) != planned:
            lacking.append(task)
            continue
        scores, rates = best_samples([cell.samples for cell in cells.values() if cell.samples is not None])
        of_task[task] = (sum(rates) / len(rates), 100.0 * sum(scores) / len(scores))
    return lacking or _mean(of_task, groups)


def _gap_interval(sweep: Curve, curve: Curve, groups: Sequence[Sequence[str]]) -> dict[str, float] | None:
    """Return the 95 % interval of the gap in score; None where a draw has none.

    All answer the same samples, drawn together. What samples of one score leave open would move the oracle
    and the curve alike, so it is left out.
    """
    import numpy as np

    from pb_plugin.statistics.derived import score_at
    from pb_plugin.statistics.resample import Resample, percentile_interval

    resample = Resample()
    settings = _shared_settings(curve, groups)
    drawn = np.zeros((resample.draws, 2 + 2 * len(settings)))
    for group in groups:
        for task in group:
            of_sweep = [cell.samples for cell in _whole(sweep, task).values() if cell.samples is not None]
            cells = _whole(curve, task)
            of_curve = [samples for name in settings if (samples := cells[name].samples) is not None]
            columns = [*best_samples(of_sweep), *(s.scores for s in of_curve)]
            columns += [s.tps[COUNT] for s in of_curve]
            if len({len(column) for column in columns}) != 1:
                return None
            drawn += resample.means(task, np.array(columns).T) / (len(group) * len(groups))
    scores, rates = drawn[:, 2 : 2 + len(settings)], drawn[:, 2 + len(settings) :]
    gaps = 100.0 * drawn[:, 0] - score_at(rates, 100.0 * scores, drawn[:, 1])
    if np.isnan(gaps).any():
        return None
    low, high = percentile_interval(gaps, LEVEL)
    return Interval(low=float(low), high=float(high), level=LEVEL).to_json()


def _mean(of_task: Mapping[str, Point], groups: Sequence[Sequence[str]]) -> Point:
    means = [[sum(of_task[t][axis] for t in group) / len(group) for group in groups] for axis in (0, 1)]
    return sum(means[0]) / len(groups), sum(means[1]) / len(groups)


def _shared_settings(curve: Curve, groups: Sequence[Sequence[str]]) -> list[str]:
    """Return the settings that are complete for all tasks."""
    tasks = [_whole(curve, task) for group in groups for task in group]
    return [name for name in tasks[0] if all(name in cells for cells in tasks)]


def _points(curve: Curve, groups: Sequence[Sequence[str]]) -> list[Point]:
    """Return a point for every setting that is complete for all tasks."""
    tasks = {task: _whole(curve, task) for group in groups for task in group}
    found = []
    for name in _shared_settings(curve, groups):
        of_task = {
            task: (cells[name].tps[COUNT], cells[name].percent)  # type: ignore[index]
            for task, cells in tasks.items()
        }
        found.append(_mean(of_task, groups))  # type: ignore[arg-type]
    return found


def _gap(
    name: str, sweep: Curve, point: Point, curve: Curve, groups: Sequence[Sequence[str]]
) -> dict[str, Any] | None:
    import numpy as np

    from pb_plugin.statistics.derived import score_at

    points = _points(curve, groups)
    if not points:
        return None
    tps, score = point
    rates, scores = (np.array([values]) for values in zip(*points, strict=True))
    same_speed = float(score_at(rates, scores, tps)[0])
    known = None if np.isnan(same_speed) else same_speed
    return {
        "tasks": name,
        "oracle": sweep.identity.label,
        "score": score,
        "tps": tps,
        "curve": curve.identity.label,
        "score_at_tps": known,
        "gap_in_score": None if known is None else score - known,
        "gap_interval": None if known is None else _gap_interval(sweep, curve, groups),
        "tps_at_score": pbx(points, score, "uniform", False).to_json(),
    }
