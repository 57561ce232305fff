"""The suites of tasks, and the points of one curve over one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pb_plugin.results.cell_numbers import COUNTS, NFE_UNKNOWN, CellSamples, Ends
from pb_plugin.results.summary import CellSummary, Replicate, SuiteCurve, SuitePoint, setting_label
from task_specs.catalogue import BENCHMARK_IDS, TASK_SETS, variant_id

if TYPE_CHECKING:
    from pb_plugin.statistics.curve_draws import CurveDraws
    from pb_plugin.statistics.resample import Resample

SUITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all": tuple(task for tasks in BENCHMARK_IDS.values() for task in tasks),
        "core": BENCHMARK_IDS["waiting_line"] + BENCHMARK_IDS["puzzles"],
        **BENCHMARK_IDS,
        **{name: tuple(variant_id(task) for task in tasks) for name, tasks in TASK_SETS.items()},
    }
)
"""Suite name -> its tasks: the published 17, the 12 with exact answers, each category, sets of variants."""


def suite_curve(
    name: str,
    tasks: Sequence[str],
    settings: Sequence[Mapping[str, CellSummary]],
    *,
    static: bool,
    resample: Resample | None = None,
) -> SuiteCurve:
    """Return the points of a curve over a suite.

    A setting that was not planned for every task of the suite has a point with a reason and leaves the others
    alone. A task without any cell, and a planned cell without a full result, leave the suite without a PBx:
    there is never a mean over fewer tasks or samples.

    Args:
        name: Name of the suite.
        tasks: Its task ids.
        settings: For every setting of the curve its cells by task id; others than the suite's are ignored.
        static: Whether the method unmasks a fixed number of positions per step.
        resample: What the intervals are drawn from; None leaves them out.
    """
    points: list[SuitePoint] = []
    problems: dict[str, list[str]] = {}
    measured: set[str] = set()
    for cells in settings:
        setting = next(iter(cells.values())).setting
        found = [cells[task] for task in tasks if task in cells]
        measured |= {cell.task for cell in found}
        absent = [task for task in tasks if task not in {cell.task for cell in found}]
        if absent:
            absence = f"{setting_label(setting)}: not measured for {_listed(absent)}"
            points.append(SuitePoint(setting=setting, reason=absence))
            continue
        points.append(_point(found))
        for cell in found:
            for problem, where in _problems(cell):
                problems.setdefault(problem, []).append(where)
    missing = [task for task in tasks if task not in measured]
    reasons = [
        f"{problem}: {_listed(list(dict.fromkeys(where)))}" for problem, where in sorted(problems.items())
    ]
    if missing:
        reasons = [f"not measured: {_listed(missing)}; run them too, or read a suite without them"]
    elif not reasons and all(point.reason for point in points):
        reasons = ["no setting was measured for every task; run one setting over all of them"]
    reason = "; ".join(reasons) or None
    whole = [cells for cells, point in zip(settings, points, strict=True) if point.is_whole]
    draws = _draws(tasks, whole, resample) if whole and resample and reason is None else None
    if draws is not None:
        points = list(_with_intervals(points, draws))
    return SuiteCurve(
        suite=name,
        static=static,
        points=tuple(points),
        reason=reason,
        draws=draws,
        by_seed={} if reason else _by_seed(name, tasks, whole, static=static),
    )


def _by_seed(
    name: str, tasks: Sequence[str], settings: Sequence[Mapping[str, CellSummary]], *, static: bool
) -> dict[int, SuiteCurve]:
    """Return the curve of every seed under which all of *settings* were decoded, where there are several."""
    found = [[cells[task].replicates for task in tasks] for cells in settings]
    seeds = set.intersection(
        *({one.asked.seed for one in of} for setting in found for of in setting),
    )
    if len(seeds) < 2:
        return {}
    return {
        seed: SuiteCurve(
            suite=name,
            static=static,
            points=tuple(
                _point_of_seed(next(iter(cells.values())).setting, setting, seed)
                for cells, setting in zip(settings, found, strict=True)
            ),
        )
        for seed in sorted(seeds)
    }


def _point_of_seed(
    setting: Mapping[str, object], tasks: Sequence[Sequence[Replicate]], seed: int
) -> SuitePoint:
    of_seed = [one for task in tasks for one in task if one.asked.seed == seed]
    percents = [one.percent for one in of_seed if one.percent is not None]
    return SuitePoint(
        setting=setting,
        score=math.fsum(percents) / len(percents),
        **_mean_rates([(one.tps, one.tps_bounds) for one in of_seed]),
    )


def _mean_rates(
    of_tasks: Sequence[tuple[Mapping[str, float] | None, Mapping[str, Ends] | None]],
) -> dict[str, Any]:
    """Return ``tps`` and ``tps_bounds`` of the mean over tasks; both None where one has neither.

    One task whose forwards are known as bounds makes bounds of the mean.
    """
    if any(tps is None and bounds is None for tps, bounds in of_tasks):
        return {"tps": None, "tps_bounds": None}
    ends = [
        {count: (tps[count], tps[count]) if tps is not None else (bounds or {})[count] for count in COUNTS}
        for tps, bounds in of_tasks
    ]
    least, most = (
        {count: math.fsum(of_task[count][end] for of_task in ends) / len(ends) for count in COUNTS}
        for end in (0, 1)
    )
    if all(tps is not None for tps, _ in of_tasks):
        return {"tps": least, "tps_bounds": None}
    return {"tps": None, "tps_bounds": {count: (least[count], most[count]) for count in COUNTS}}


def _draws(
    tasks: Sequence[str], settings: Sequence[Mapping[str, CellSummary]], resample: Resample
) -> CurveDraws:
    """Return the means over *tasks* of every setting in every draw."""
    import numpy as np

    from pb_plugin.statistics.curve_draws import CurveDraws

    found = {task: [s for cells in settings if (s := cells[task].samples)] for task in tasks}
    scores = {task: np.array([s.scores for s in of_task]).T for task, of_task in found.items()}

    def mean_rates(end: Callable[[CellSamples], Mapping[str, tuple[float, ...]]]) -> dict[str, Any]:
        return {
            count: np.sum(
                [
                    resample.means(task, np.array([end(s)[count] for s in of_task]).T)
                    for task, of_task in found.items()
                ],
                axis=0,
            )
            / len(tasks)
            for count in COUNTS
        }

    is_bounded = any(s.most_tps is not None for of_task in found.values() for s in of_task)
    return CurveDraws(
        scores=100.0 * resample.mean_scores(scores),
        tps=mean_rates(lambda s: s.tps),
        most_tps=mean_rates(lambda s: s.most_tps or s.tps) if is_bounded else None,
    )


def _with_intervals(points: Sequence[SuitePoint], draws: CurveDraws) -> Iterator[SuitePoint]:
    """Yield *points*, the whole ones with their intervals."""
    scores = iter(draws.score_intervals())
    rates = {count: iter(draws.tps_intervals(count)) for count in COUNTS}
    for point in points:
        if point.score is None or not point.is_whole:
            yield point
        else:
            of_tps = {count: next(rates[count]) for count in COUNTS}
            yield replace(point, interval=next(scores).holding(point.score), tps_intervals=of_tps)


def _point(cells: Sequence[CellSummary]) -> SuitePoint:
    """Return the mean over *cells*, one for each task; exact arithmetic, so that a mean of 80 reaches 80."""
    setting = cells[0].setting
    reasons = [f"{cell.task}: {problem}" for cell in cells for problem, _ in _problems(cell)]
    sums = [Fraction(cell.score_sum) / cell.n for cell in cells if cell.score_sum is not None]
    whole = not any(cell.incomplete for cell in cells)
    no_rates: dict[str, Any] = {"tps": None, "tps_bounds": None}
    return SuitePoint(
        setting=setting,
        score=float(100 * sum(sums) / len(cells)) if whole and len(sums) == len(cells) else None,
        **(_mean_rates([(cell.tps, cell.tps_bounds) for cell in cells]) if whole else no_rates),
        reason="; ".join(reasons) or None,
    )


def _problems(cell: CellSummary) -> Iterator[tuple[str, str]]:
    """Yield what keeps *cell* from a PBx: (the problem with its way out, where)."""
    where = f"{cell.task}[{setting_label(cell.setting)}]"
    if cell.incomplete is not None:
        yield (
            "incomplete (run the same command again: what is stored is reused)",
            f"{where} {cell.incomplete}",
        )
    if cell.unscored is not None:
        yield f"unscored (score with `pb rescore`, or read suite core; {cell.unscored})", cell.task
    if cell.tps is None and cell.tps_bounds is None and cell.n:
        yield NFE_UNKNOWN, where


def _listed(names: Sequence[str], most: int = 17) -> str:
    """Return *names* joined by commas; what is beyond *most* is counted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
