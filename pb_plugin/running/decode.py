"""The data flow of a run on one page: cell -> samples -> rows -> decode -> text -> scores -> records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from decoders.traits import model_traits
from pb_plugin.asking.models import ModelHandle
from pb_plugin.asking.planned import Planned
from pb_plugin.asking.rows import build_row, record_of_row, setting_of
from pb_plugin.faults.careful import Wanted, label_of
from pb_plugin.faults.guard import Guard
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.native import params_of
from pb_plugin.records.record import Record
from pb_plugin.running.known import Known
from pb_plugin.running.pending import Pending, place_of
from pb_plugin.running.resources import Resources
from pb_plugin.running.scoring import Scoring, Unscored

if TYPE_CHECKING:
    from decoders.budget import Filled


def missing(cell: Cell, resources: Resources, known: Known) -> list[Planned]:
    """Return the samples of the cell that have no result yet; a failure in this process is one."""
    score_key = resources.score_key(cell)
    return [p for p in resources.planned(cell) if known.record(p.decode_key, score_key) is None]


def unscored(cell: Cell, resources: Resources, known: Known) -> list[Unscored]:
    """Return the results of the cell that were not scored in this run's way yet.

    A score that a tool did not give is asked for again, once by each process.
    """
    wanted, needs = resources.score_key(cell), resources.task(cell).spec.needs
    found = []
    for planned in resources.planned(cell):
        record = known.record(planned.decode_key, wanted)
        if record is None or record.failed:
            continue
        ask_again = needs and record.score_reasons and not known.is_from_here(record.decode_key)
        if record.score_key != wanted or ask_again:
            found.append(Unscored(record=record, sample=planned.question.sample))
    return found


def decode_group(
    cells: Sequence[Cell],
    resources: Resources,
    known: Known,
    pending: Pending,
    scoring: Scoring,
    *,
    decode: Callable[[Wanted], Iterator[Record]],
    on_decoded: Callable[[Cell, Planned, Record], None],
    on_finished: Callable[[Cell], None],
    most: int | None = None,
) -> None:
    """Decode, score and store what is missing of *cells*, all of one model and task, in one sweep.

    A result is stored as soon as it is decoded. Scores that need tools follow in the background; those that
    are not back at the end are left to *pending*. What was not decoded when an error or a time limit ends
    this is still missing.

    Args:
        cells: What was asked for.
        resources: What it is decoded and scored with.
        known: What is stored of it, and where the rest goes.
        pending: Scores of this run that are still to come, of other tasks too.
        scoring: Scores the results.
        decode: Yields the record of each sample as soon as it is decoded (`sweep`).
        on_decoded: Told of every sample that was decoded without an error.
        on_finished: Told of every sample that needs no more work of the model, by its cell.
        most: How many samples of each cell are decoded; None for all that are missing.
    """
    wanted = [(cell, planned) for cell in cells for planned in missing(cell, resources, known)[:most]]
    asked = {planned.decode_key: (cell, planned) for cell, planned in wanted}
    try:
        for waiting in (waiting for cell in cells for waiting in unscored(cell, resources, known)):
            scoring.add(waiting)
        for record in decode(wanted) if wanted else ():
            cell, planned = asked[record.decode_key]
            if record.failed:
                known.keep(record)
            else:
                on_decoded(cell, planned, record)
                for kept in scoring.begin(Unscored(record=record, sample=planned.question.sample)):
                    known.keep(kept)
            for scored in scoring.ready():
                known.keep(scored)
            pending.collect()
            on_finished(cell)
    except BaseException as error:
        scoring.end(error)
        raise
    pending.add(place_of(cells[0]), scoring)


def sweep(
    wanted: Wanted,
    handle: ModelHandle,
    resources: Resources,
    on_step: Callable[[int], None],
    guard: Guard,
    filled: Filled | None = None,
) -> Iterator[Record]:
    """Yield the record of each sample as soon as it is decoded; it is neither scored nor stored yet.

    Args:
        wanted: What to decode.
        handle: Its model, loaded.
        resources: Its tasks and answer sets.
        on_step: Told of every forward with its number of canvases.
        guard: Watches every step.
        filled: Counts how full forwards are.

    Raises:
        TimedOut: A step, a batch or a sample took too long.
        DeviceLost: The device refuses every further call.
        NotApplicable: The model cannot answer this task.
        LookupError: The task's scorer cannot be found.
        ValueError: A sample does not fit the model.
    """
    from decoders.loop.batching import sweep as sweep_rows
    from decoders.loop.generating import generate

    data = resources.task(wanted[0][0])
    _ = data.scorer
    model: Any = handle.get()
    by_sample = sorted(range(len(wanted)), key=lambda i: wanted[i][1].question.sample.id)
    settings = {cell.id: setting_of(cell) for cell in {id(cell): cell for cell, _ in wanted}.values()}
    rows = [
        build_row(
            index,
            planned.question,
            data.spec,
            settings[cell.id],
            cell.asked.seed,
            model,
            resources.context(cell, planned, model),
            history=resources.options.trace,
        )
        for index, (cell, planned) in ((index, wanted[index]) for index in by_sample)
    ]
    if model_traits(model).owns_loop:
        outcomes = generate(model, rows, params_of, budget=handle.budget, on_step=on_step, guard=guard.whole)
    else:
        share = resources.options.share == "on"
        outcomes = sweep_rows(
            model,
            rows,
            budget=handle.budget,
            on_step=on_step,
            share=share,
            guard=guard.step,
            filled=filled,
        )
    keys = [(planned.decode_key, label_of(cell)) for cell, planned in wanted]
    with guard.sweeping(handle.name, keys):
        for outcome in outcomes:
            yield record_of_row(wanted[outcome.key][1], outcome, data.spec, model)
