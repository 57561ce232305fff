"""What a result depends on, put together for every sample of a cell, and the key of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decoders.fingerprint import import_closure_hash
from pb_plugin.asking.models import ModelHandle
from pb_plugin.asking.samples import Question, TaskData
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.native import params_of
from pb_plugin.records.record import Parts, cell_digest, sample_key


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One sample of one cell: the question, what its result depends on, and the key of that."""

    question: Question
    parts: Parts
    decode_key: str


def plan_samples(cell: Cell, data: TaskData, handle: ModelHandle) -> tuple[Planned, ...]:
    """Return every sample that *cell* asks for, with its key.

    Raises:
        ModelUnavailable: The checkpoint cannot be read.
        NotApplicable: The task has no prompt that the model reads.
        ValueError: The task's data cannot be read.
    """
    fixed = {
        **cell.asked.parts(),
        "data_checksum": data.checksum,
        "spec_version": data.spec.version,
        "model_fingerprint": handle.fingerprint_of(params_of(cell.method)),
        "prompt_style": handle.prompt_style,
        "dtype": handle.dtype,
        "method_code": import_closure_hash(type(cell.method).__module__),
        "decode_code": handle.code,
    }
    shared = cell_digest(fixed)
    return tuple(_plan_sample(fixed, shared, question) for question in data.asked(handle.prompt_style))


def _plan_sample(fixed: Mapping[str, Any], shared: str, question: Question) -> Planned:
    sample_id, input_hash = question.sample.id, question.input_hash
    parts: Any = {**fixed, "sample_id": sample_id, "input_hash": input_hash}
    return Planned(question=question, parts=parts, decode_key=sample_key(shared, sample_id, input_hash))
