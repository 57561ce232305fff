"""From records to points to PBx: records become cells, cells become curves; nothing unlike is averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from decoders.served.facts import MARK
from pb_plugin.records.canonical import canonical, canonical_json
from pb_plugin.records.record import Parts
from pb_plugin.results.cell_numbers import CellNumbers, numbers_of, samples_of, score_means
from pb_plugin.results.cell_result import CellResult
from pb_plugin.results.order import mean_order
from pb_plugin.results.suites import SUITES, suite_curve
from pb_plugin.results.summary import CellSummary, Curve, Identity, Replicate, Summary, setting_label

if TYPE_CHECKING:
    from pb_plugin.statistics.resample import Resample

_ONE_PER: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("task",), ("data_source", "data_checksum", "spec_version")),
    (("model",), ("model_fingerprint", "dtype", "decode_code")),
    (("model", "method"), ("method_code",)),
)
"""Parts that must have one value among all records that share the parts named first."""


def aggregate(
    cells: Sequence[CellResult],
    suites: Mapping[str, Sequence[str]] = SUITES,
    resample: Resample | None = None,
) -> Summary:
    """Return the summary of *cells*; it does not depend on the order of cells or records.

    Args:
        cells: Every planned cell, with the records found for it.
        suites: Suite name -> its task ids.
        resample: The joint resample that gives the intervals of suites; None leaves them out.

    Raises:
        ValueError: Records that must not be averaged came together, or a cell is given twice.
    """
    _refuse_mixtures(cells, suites)
    curves: dict[Identity, list[CellSummary]] = {}
    static: dict[Identity, bool] = {}
    whole_canvas: list[tuple[Identity, CellSummary]] = []
    for replicates in by_question(cells):
        cell = replicates[0]
        summary = _summarise(replicates, resample)
        curves.setdefault(summary.identity, []).append(summary)
        static[summary.identity] = cell.planned.curve.family == "static"
        if not cell.planned.curve.own_block and summary.identity.block_length is None:
            whole_canvas.append((_identity(cell, cell.asked.canvas), summary))
    measured = [summary for members in curves.values() for summary in members]
    for (
        identity,
        summary,
    ) in whole_canvas:  # a canvas of 32 in one block also belongs to the curve of block 32
        if identity in curves:
            curves[identity].append(summary)
    return Summary(
        cells=tuple(sorted(measured, key=_cell_order)),
        curves=tuple(
            _curve(identity, static[identity], curves[identity], suites, resample)
            for identity in sorted(curves, key=_identity_order)
        ),
    )


def by_question(cells: Sequence[CellResult]) -> list[list[CellResult]]:
    """Return the cells that differ in the seed alone together, by rising seed."""
    groups: dict[tuple[Any, ...], list[CellResult]] = {}
    for cell in cells:
        parts, curve = canonical_json({**cell.asked.parts(), "seed": 0}), cell.planned.curve
        group = groups.setdefault((parts, curve), [])
        if any(other.asked.seed == cell.asked.seed for other in group):
            label = f"{cell.asked.task}-{_identity(cell, _own_curve_block(cell)).label}"
            raise ValueError(
                f"{label}[{setting_label(_setting(cell))}] must be given once, got it twice; one cell holds "
                "all its records"
            )
        group.append(cell)
    return [sorted(group, key=lambda cell: cell.asked.seed) for group in groups.values()]


def _own_curve_block(cell: CellResult) -> int | None:
    """Return the block length that names the cell's curve; None for the canvas, a knob or a trained block."""
    full_canvas = cell.planned.curve.own_block or cell.asked.block == cell.asked.canvas
    return None if full_canvas else cell.asked.block_length


def _identity(cell: CellResult, block_length: int | None) -> Identity:
    return Identity(
        model=cell.asked.model,
        method=cell.asked.method,
        variant=cell.planned.curve.variant,
        tagged=tuple(cell.asked.tagged.items()),
        upstream_exact=cell.planned.curve.upstream_exact,
        block_length=block_length,
    )


def _setting(cell: CellResult) -> dict[str, Any]:
    """Return what varies along the curve of *cell*, k first."""
    asked, curve = cell.asked, cell.planned.curve
    own = {"k": asked.k, "block_length": asked.block_length if curve.own_block else None}
    names = sorted(asked.method_params if curve.knobs is None else curve.knobs)
    params: dict[str, Any] = canonical({name: asked.method_params[name] for name in names})
    params.pop("upstream_exact", None)  # part of the identity
    return {name: value for name, value in own.items() if value is not None and name not in params} | params


def _summarise(replicates: Sequence[CellResult], resample: Resample | None) -> CellSummary:
    cell = replicates[0]
    records = [record for replicate in replicates for record in replicate.records]
    n_planned = sum(replicate.planned.n_planned for replicate in replicates)
    decoded = [record for record in records if not record.failed]
    errors = Counter(record.error["class"] for record in records if record.error is not None)
    planned, asked = cell.planned, cell.asked
    numbers = numbers_of(decoded, planned.score)
    by_seed = [numbers] if len(replicates) == 1 else [_numbers(replicate) for replicate in replicates]
    scores = score_means(decoded, asked.task, resample)
    unscored = numbers.unscored
    missing = n_planned - len(records)
    incomplete = None
    if planned.unscored is not None and not records:
        unscored = planned.unscored
    elif missing or errors:
        failures = ", ".join(f"{number} {name}" for name, number in sorted(errors.items()))
        incomplete = (
            f"{len(decoded)} of {n_planned} planned samples decoded ({missing} missing, "
            f"{errors.total()} failed{': ' + failures if failures else ''})"
        )
    return CellSummary(
        asked=asked,
        category=planned.category,
        is_variant=planned.is_variant,
        score=planned.score,
        identity=_identity(cell, _own_curve_block(cell)),
        setting=_setting(cell),
        n_planned=n_planned,
        n=len(decoded),
        n_failed=errors.total(),
        errors=dict(sorted(errors.items())),
        score_sum=numbers.score_sum,
        interval=scores[planned.score].interval if numbers.score_sum is not None else None,
        scores=scores,
        choices=cell.choices if len(replicates) == 1 else None,
        tps=numbers.tps,
        tps_bounds=numbers.tps_bounds,
        nfe_kinds=numbers.nfe_kinds,
        content_tokens=numbers.content_tokens,
        seconds=numbers.seconds,
        tokens_per_second=numbers.tokens_per_second,
        order=mean_order(decoded),
        incomplete=incomplete,
        unscored=unscored,
        exact=planned.exact,
        samples=None if incomplete or unscored else samples_of(decoded, planned.score),
        replicates=tuple(map(_replicate, replicates, by_seed)),
    )


def _numbers(cell: CellResult) -> CellNumbers:
    return numbers_of([record for record in cell.records if not record.failed], cell.planned.score)


def _replicate(cell: CellResult, numbers: CellNumbers) -> Replicate:
    """Return what *cell* adds as one seed of several, from its own *numbers*."""
    is_whole = numbers.n == cell.planned.n_planned
    return Replicate(
        asked=cell.asked,
        percent=None if not is_whole or numbers.score_sum is None else 100 * numbers.score_sum / numbers.n,
        tps=numbers.tps if is_whole else None,
        tps_bounds=numbers.tps_bounds if is_whole else None,
    )


def _curve(
    identity: Identity,
    static: bool,
    cells: Sequence[CellSummary],
    suites: Mapping[str, Sequence[str]],
    resample: Resample | None,
) -> Curve:
    ordered = sorted(cells, key=_cell_order)
    by_setting: dict[str, dict[str, CellSummary]] = {}
    for cell in sorted(cells, key=lambda cell: _setting_order(cell.setting)):
        tasks = by_setting.setdefault(canonical_json(cell.setting), {})
        if cell.task in tasks:
            raise ValueError(f"{cell.label} must be given once, got it twice; one cell holds all its records")
        tasks[cell.task] = cell
    return Curve(
        identity=identity,
        family="static" if static else "adaptive",
        cells=tuple(ordered),
        suites={
            name: suite_curve(name, tasks, tuple(by_setting.values()), static=static, resample=resample)
            for name, tasks in suites.items()
        },
    )


def _refuse_mixtures(cells: Sequence[CellResult], suites: Mapping[str, Sequence[str]]) -> None:
    in_suites = {task for tasks in suites.values() for task in tasks}
    seen: dict[tuple[str, ...], Any] = {}

    def one(subject: str, name: str, value: Any) -> None:
        first = seen.setdefault((subject, name), value)
        if first != value:
            raise ValueError(
                f"{subject}: {name} must be one value among averaged records, got {first!r} and {value!r}; "
                "aggregate them apart"
            )

    for cell in cells:
        asked = cell.asked
        one(f"model {asked.model!r}, method {asked.method!r}", "family", cell.planned.curve.family)
        for parts in _distinct(record.parts for record in cell.records):
            for shared, names in _ONE_PER:
                subject = ", ".join(f"{name} {parts[name]!r}" for name in shared) or "this run"
                for name in names:
                    is_server = name == "model_fingerprint" and str(parts[name]).startswith(MARK)
                    own = f", {canonical_json(parts['method_params'])}" if is_server else ""
                    one(subject + own, name, parts[name])
            if asked.task in in_suites:
                one("the tasks of the suites", "data_source", parts["data_source"])
        for score_key in dict.fromkeys(record.score_key for record in cell.records if not record.failed):
            one(f"task {asked.task!r}", "score_key", score_key)


def _distinct(parts: Iterable[Parts]) -> list[Parts]:
    """Return those of *parts* that differ in what must be one value."""
    names = [name for shared, values in _ONE_PER for name in (*shared, *values)]
    return list({itemgetter(*names)(one): one for one in parts}.values())


def _order(value: Any) -> tuple[int, float, str]:
    """Return a sort key under which None comes first, numbers go by size, and the rest by its JSON text."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, (int, float)):
        return (1, float(value), "")
    return (2, 0.0, canonical_json(value))


def _setting_order(setting: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((name, _order(value)) for name, value in setting.items())


def _identity_order(identity: Identity) -> tuple[Any, ...]:
    return tuple(_order(value) for value in identity.to_json().values())


def _cell_order(cell: CellSummary) -> tuple[Any, ...]:
    return (cell.category, cell.task, _identity_order(cell.identity), _setting_order(cell.setting))
