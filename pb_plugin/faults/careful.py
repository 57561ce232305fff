"""Decodes rows so that the ones that hang or end a process take no other with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import pytest

from decoders.rows import DeviceLost, TimedOut
from pb_plugin.asking.planned import Planned
from pb_plugin.faults.blame import Blame
from pb_plugin.faults.guard import Guard
from pb_plugin.planning.cell import Cell
from pb_plugin.records.record import Record

Wanted = Sequence[tuple[Cell, Planned]]


class ProcessSpoilt(RuntimeError):
    """This process can decode nothing any more; everything that it decoded is stored."""


def end_process(why: str, *, is_worker: bool) -> NoReturn:
    """End a process that is spoilt: a worker at once, so that it is replaced; a run with its summary."""
    if is_worker:
        os._exit(1)
    pytest.exit(
        f"model_error: {why}; this process can decode nothing any more. What was decoded is stored: run the "
        "same command again, or with -n 1, where a worker that loses its device is replaced",
        returncode=1,
    )


def label_of(cell: Cell) -> str:
    """Return what sets the rows of *cell* apart for `Blame`: the method, and the method with its setting."""
    return f"{cell.asked.method} {cell.words.removeprefix(f'{cell.asked.task} {cell.asked.model} ')}"


def carefully(
    wanted: Wanted, sweep: Callable[[Wanted], Iterator[Record]], blame: Blame, guard: Guard, model: str
) -> Iterator[Record]:
    """Yield the record of each sample of *wanted*, in further sweeps where one is stopped by a hang.

    Args:
        wanted: What to decode, all of one model and task.
        sweep: Yields the record of each sample as soon as it is decoded.
        blame: What is known of rows; learns more.
        guard: Knows which rows a sweep is at.
        model: The name of the model.

    Raises:
        ProcessSpoilt: The device refuses every further call.
    """
    left = {planned.decode_key: (cell, planned) for cell, planned in wanted}
    labels = {planned.decode_key: label_of(cell) for cell, planned in wanted}
    while left:
        for key in list(left):
            reason = blame.reason(model, key, labels[key])
            if reason is not None:
                _, planned = left.pop(key)
                kind, message = reason
                error = {"class": kind, "message": message}
                yield Record(decode_key=key, parts=planned.parts, error=error)
        part = blame.next_part({key: labels[key] for key in left})
        try:
            for record in sweep([left[key] for key in part]) if part else ():
                del left[record.decode_key]
                if not record.failed:
                    blame.decoded(model, labels[record.decode_key])
                    guard.at_work.decoded(model, labels[record.decode_key])
                yield record
        except TimedOut as late:
            why = f"{late.who or 'it'} was {late}; see --pb-timeout"
            if late.keys:
                for key in late.keys:
                    blame.note(guard.ended("timeout", why, [key]))
            else:
                blame.note(guard.ended("timeout", why))
        except DeviceLost as error:
            raise ProcessSpoilt(" ".join(str(error).split())) from error
        else:
            for key in part:
                left.pop(key, None)  # what a sweep that came to its end gave no record of stays missing
