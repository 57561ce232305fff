"""From records to points to PBx: cells become curves, curves become suites, and nothing unlike is averaged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from pb_plugin.record import Record, canonical_json
from pb_plugin.stats import Interval, wilson
from pb_plugin.summary import (
    COUNTS,
    CellSummary,
    Curve,
    Identity,
    SuiteCurve,
    SuitePoint,
    Summary,
    setting_label,
)
from task_specs.catalogue import BENCHMARK_IDS

SUITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all": tuple(task for tasks in BENCHMARK_IDS.values() for task in tasks),
        "core": BENCHMARK_IDS["waiting_line"] + BENCHMARK_IDS["puzzles"],
        **BENCHMARK_IDS,
    }
)
"""Suite name -> its tasks: the published 17, the 12 with exact answers, and each category."""

FAMILIES = ("static", "adaptive")

_ONE_PER: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((), ("seed",)),
    (("task",), ("data_source", "data_checksum", "spec_version")),
    (("model",), ("model_fingerprint", "dtype", "decode_code")),
    (("model", "method"), ("method_code",)),
)
"""Parts that must have one value among all records that share the parts named first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellResult:
    """One planned (task, setting) and what was recorded of it.

    Args:
        task: Task id.
        category: Its category.
        is_variant: Whether it is a variant; variants enter no suite.
        score: Name of the score that PBx uses.
        model: Model name.
        method: Method name.
        method_params: All parameters of the method.
        family: ``static`` or ``adaptive``; chooses the published rule.
        canvas: Length of the generated region.
        n_planned: Samples asked for.
        records: What the store has of them.
        k: Tokens per step, for methods that have it.
        max_steps: Step budget, instead of k.
        block_length: None means the canvas.
        own_block: Whether the block is the method's knob (DUS) or the model's trained block, so that it does not
            make a curve of its own.
        cache: Cache mode.
        temperature: Sampling temperature.
        upstream_exact: Whether the method follows a published deviation.
    """

    task: str
    category: str
    is_variant: bool = False
    score: str
    model: str
    method: str
    method_params: Mapping[str, Any] = field(default_factory=dict)
    family: str
    canvas: int
    n_planned: int
    records: Sequence[Record]
    k: int | None = None
    max_steps: int | None = None
    block_length: int | None = None
    own_block: bool = False
    cache: str = "none"
    temperature: float = 0.0
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"family must be static or adaptive, got {self.family!r}; it chooses the published PBx rule"
            )
        if self.n_planned < 1:
            raise ValueError(f"n_planned must be at least 1, got {self.n_planned!r}; leave an empty cell out")


def aggregate(cells: Sequence[CellResult], suites: Mapping[str, Sequence[str]] = SUITES) -> Summary:
    """Return the summary of *cells*; it does not depend on the order of cells or records.

    Args:
        cells: Every planned cell, with the records found for it.
        suites: Suite name -> its task ids.

    Raises:
        ValueError: Records that must not be averaged came together, a cell is given twice, or a record does not
            belong to its cell.
    """
    _refuse_mixtures(cells, suites)
    curves: dict[Identity, list[CellSummary]] = {}
    families: dict[Identity, set[str]] = {}
    others: list[tuple[Identity, CellSummary]] = []
    for cell in cells:
        summary = _summarise(cell)
        curves.setdefault(summary.identity, []).append(summary)
        families.setdefault(summary.identity, set()).add(cell.family)
        if not cell.own_block and summary.identity.block_length is None:
            others.append((_identity(cell, cell.canvas), summary))
    measured = [summary for members in curves.values() for summary in members]
    for identity, summary in others:  # a canvas of 32 decoded in one block belongs to the curve of block 32 too
        if identity in curves:
            curves[identity].append(summary)
    return Summary(
        cells=tuple(sorted(measured, key=_cell_order)),
        curves=tuple(
            _curve(identity, families[identity], curves[identity], suites)
            for identity in sorted(curves, key=_identity_order)
        ),
    )


def _identity(cell: CellResult, block_length: int | None) -> Identity:
    return Identity(
        model=cell.model,
        method=cell.method,
        cache=cell.cache,
        temperature=cell.temperature,
        upstream_exact=cell.upstream_exact,
        block_length=block_length,
    )


def _setting(cell: CellResult) -> dict[str, Any]:
    """Return what varies along the curve of *cell*, k first."""
    own_block = cell.block_length if cell.own_block else None
    knobs = {"k": cell.k, "max_steps": cell.max_steps, "block_length": own_block}
    params = {name: cell.method_params[name] for name in sorted(cell.method_params) if name != "upstream_exact"}
    return {name: value for name, value in knobs.items() if value is not None and name not in params} | params


def _summarise(cell: CellResult) -> CellSummary:
    decoded = [record for record in cell.records if not record.failed]
    errors = Counter(record.error["class"] for record in cell.records if record.error is not None)
    scores, unscored = _scores(cell, decoded)
    missing = cell.n_planned - len(cell.records)
    incomplete = None
    if missing or errors:
        failures = ", ".join(f"{number} {name}" for name, number in sorted(errors.items()))
        incomplete = (
            f"{len(decoded)} of {cell.n_planned} planned samples decoded ({missing} missing, "
            f"{errors.total()} failed{': ' + failures if failures else ''})"
        )
    full_canvas = cell.own_block or cell.block_length in (None, cell.canvas)
    return CellSummary(
        task=cell.task,
        category=cell.category,
        is_variant=cell.is_variant,
        score=cell.score,
        identity=_identity(cell, None if full_canvas else cell.block_length),
        setting=_setting(cell),
        canvas=cell.canvas,
        n_planned=cell.n_planned,
        n=len(decoded),
        n_failed=errors.total(),
        errors=dict(sorted(errors.items())),
        score_sum=math.fsum(scores) if scores else None,
        interval=_interval(scores) if scores else None,
        tps=_mean_tps(decoded),
        incomplete=incomplete,
        unscored=unscored,
    )


def _scores(cell: CellResult, decoded: Iterable[Record]) -> tuple[list[float] | None, str | None]:
    """Return the scores of *decoded*, or None and why one is missing."""
    scores: list[float] = []
    reasons: set[str] = set()
    for record in decoded:
        value = record.scores.get(cell.score)
        if value is None:
            reasons.add(record.score_reasons.get(cell.score, f"score {cell.score!r} is not stored"))
        else:
            scores.append(value)
    return (None, "; ".join(sorted(reasons))) if reasons else (scores, None)


def _interval(scores: Sequence[float]) -> Interval | None:
    binary = all(score in (0, 1) for score in scores)
    return wilson(int(sum(scores)), len(scores)) if binary else None


def _mean_tps(decoded: Sequence[Record]) -> dict[str, float] | None:
    """Return by token count the mean over samples of tokens / nfe (a mean of ratios, as published)."""
    if not decoded or any(record.nfe is None for record in decoded):
        return None
    return {
        count: math.fsum(getattr(record, f"{count}_tokens") / record.nfe for record in decoded) / len(decoded)
        for count in COUNTS
    }


def _curve(
    identity: Identity, families: set[str], cells: Sequence[CellSummary], suites: Mapping[str, Sequence[str]]
) -> Curve:
    if len(families) > 1:
        raise ValueError(f"{identity.label}: family must be static or adaptive, got both; give a method one family")
    ordered = sorted(cells, key=_cell_order)
    by_setting: dict[str, dict[str, CellSummary]] = {}
    for cell in sorted(cells, key=lambda cell: _setting_order(cell.setting)):
        tasks = by_setting.setdefault(canonical_json(cell.setting), {})
        if cell.task in tasks:
            raise ValueError(f"{cell.label} must be given once, got it twice; one cell holds all its records")
        tasks[cell.task] = cell
    static = families == {"static"}
    return Curve(
        identity=identity,
        family="static" if static else "adaptive",
        cells=tuple(ordered),
        suites={name: _suite(name, tuple(tasks), static, by_setting) for name, tasks in suites.items()},
    )


def _suite(
    name: str, tasks: tuple[str, ...], static: bool, by_setting: Mapping[str, Mapping[str, CellSummary]]
) -> SuiteCurve:
    """Return the points of a suite: a setting counts when it was planned for every task and gave a full result."""
    measured = {task for cells in by_setting.values() for task, cell in cells.items() if not cell.is_variant}
    points: list[SuitePoint] = []
    blocking: dict[str, dict[str, None]] = {}
    for cells in by_setting.values():
        found = [cells[task] for task in tasks if task in cells and not cells[task].is_variant]
        setting = next(iter(cells.values())).setting
        if len(found) < len(tasks):
            absent = [task for task in tasks if task not in {cell.task for cell in found}]
            text = f"{setting_label(setting)}: not measured for {_tasks(absent)}"
            points.append(SuitePoint(setting=setting, reason=text))
            continue
        point, problems = _point(setting, found)
        points.append(point)
        for problem, where in problems:
            blocking.setdefault(problem, {}).setdefault(where)
    reasons = [f"{problem}: {', '.join(where)}" for problem, where in sorted(blocking.items())]
    absent = [task for task in tasks if task not in measured]
    if absent:
        way_out = "run them too, or read a suite without them"
        reasons = [f"not measured: {_tasks(absent)} ({way_out})"]
    elif not any(point.reason is None for point in points) and not reasons:
        reasons = ["no setting was measured for every task; run one setting over all of them"]
    return SuiteCurve(suite=name, static=static, points=tuple(points), reason="; ".join(reasons) or None)


def _point(
    setting: Mapping[str, Any], cells: Sequence[CellSummary]
) -> tuple[SuitePoint, list[tuple[str, str]]]:
    """Return the mean over *cells*, and what forbids a PBx as (problem with its way out, where)."""
    problems: list[tuple[str, str]] = []
    for cell in cells:
        where = f"{cell.task}[{setting_label(setting)}]"
        if cell.incomplete:
            problems.append(("incomplete (run the same command again: what is stored is reused)", f"{where} {cell.incomplete}"))
        if cell.unscored:
            problems.append((f"unscored, {cell.unscored} (score it with `pb rescore`, or read suite core)", cell.task))
        if cell.tps is None and cell.n:
            problems.append(("nfe unknown (it never enters PBx)", where))
    return SuitePoint(setting=setting), problems
