"""A baseline: what a run measured of every sample, without texts, in a file to be kept beside the code.

The format is JSON, and says its number. A reader of number n reads every baseline of number n; a change that
it could not read gets another number, and the message says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from pb_plugin.comparing.side import Side
from pb_plugin.records.canonical import canonical_json, read_json
from pb_plugin.records.plain_files import write_whole
from pb_plugin.records.record import CELL_PARTS, NFE_KINDS, Record
from pb_plugin.results.cell_result import CellResult, PlannedCell

FORMAT = 1
CURE = "write it again with --pb-save-baseline"


class _Sample(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    sample_id: str
    input_hash: str
    score: float
    nfe: int
    nfe_kind: str
    canvas: int
    to_eos: int
    content: int


class _Cell(msgspec.Struct, forbid_unknown_fields=True):
    planned: PlannedCell
    parts: dict[str, Any]
    score_key: str
    samples: list[_Sample]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    baseline: int
    cells: list[_Cell]


class _Format(msgspec.Struct):
    baseline: Any = None


_FILE = msgspec.json.Decoder(_File)
_FORMAT = msgspec.json.Decoder(_Format)


def save(side: Side, path: Path) -> list[str]:
    """Write *side* to *path*; return the tasks that are not in it, as nothing of them was decoded.

    Raises:
        ValueError: A sample is missing, failed, unscored or of an nfe that is not known: a gap would not be
            seen later.
        OSError: The file cannot be written.
    """
    decoded = [cell for cell in side.cells if cell.records or cell.planned.unscored is None]
    gaps = [(cell, gap) for cell in decoded if (gap := _gap(cell)) is not None]
    if gaps or not decoded:
        cell, gap = gaps[0] if gaps else (None, "the run has no results")
        where = "" if cell is None else f"{cell.asked.task} of {cell.asked.model}-{cell.asked.method}: "
        more = f" ({len(gaps) - 1} more cells)" if len(gaps) > 1 else ""
        raise ValueError(
            f"--pb-save-baseline must have a full result of every item, got {where}{gap}{more}; mend that "
            "and run again, what is stored is reused"
        )
    text = canonical_json({"baseline": FORMAT, "cells": [_written(cell) for cell in decoded]})
    write_whole(path, text + "\n", what="the baseline")
    return sorted({cell.asked.task for cell in side.cells} - {cell.asked.task for cell in decoded})


def _gap(cell: CellResult) -> str | None:
    """Return what keeps *cell* from a full result, or None."""
    missing = cell.planned.n_planned - len(cell.records)
    if missing:
        return f"{missing} of {cell.planned.n_planned} samples missing"
    for record in cell.records:
        if record.failed:
            return f"sample {record.parts['sample_id']} failed"
        if record.scores.get(cell.planned.score) is None:
            return f"sample {record.parts['sample_id']} without {cell.planned.score}"
        if record.nfe is None:
            return (
                f"sample {record.parts['sample_id']} with an nfe that is not known (nfe_kind "
                f"{record.nfe_kind}; a baseline needs counted or commanded forwards)"
            )
    return None


def _written(cell: CellResult) -> dict[str, Any]:
    first = cell.records[0]
    return {
        "planned": msgspec.to_builtins(replace(cell.planned, keys=())),
        "parts": {name: first.parts[name] for name in CELL_PARTS},
        "score_key": first.score_key,
        "samples": [
            [
                record.parts["sample_id"],
                record.parts["input_hash"],
                record.scores[cell.planned.score],
                record.nfe,
                record.nfe_kind,
                record.canvas_tokens,
                record.to_eos_tokens,
                record.content_tokens,
            ]
            for record in cell.records
        ],
    }


def load(path: Path) -> Side:
    """Return what `save` wrote.

    Raises:
        ValueError: It cannot be read, is of another format, or damaged; the message names file and cure.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"baseline must be a file that can be read, got {str(path)!r} ({error.strerror}); {CURE}"
        ) from error
    try:
        found = read_json(text, _FORMAT).baseline
        if found != FORMAT:
            raise ValueError(f"baseline must be of format {FORMAT}, got {found!r}")
        cells = tuple(_read(read_json(text, _FILE).cells))
    except (ValueError, LookupError, RecursionError) as error:
        message = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not a baseline ({message}); {CURE}") from error
    if not cells:
        raise ValueError(f"{path}: not a baseline (it must hold at least one cell, got none); {CURE}")
    return Side(name=str(path), cells=cells)


def _read(cells: Iterable[_Cell]) -> Iterable[CellResult]:
    for cell in cells:
        if set(cell.parts) != set(CELL_PARTS):
            wrong = sorted(set(cell.parts) ^ set(CELL_PARTS))
            raise ValueError(f"parts must be those of this version, got another set ({', '.join(wrong)})")
        score = cell.planned.score
        records = [_record(cell.parts, score, cell.score_key, sample) for sample in cell.samples]
        yield CellResult(planned=cell.planned, records=records)


def _record(parts: Mapping[str, Any], score: str, score_key: str, found: _Sample) -> Record:
    if found.nfe_kind not in NFE_KINDS:
        raise ValueError(f"nfe_kind must be one of {', '.join(NFE_KINDS)}, got {found.nfe_kind!r}")
    return Record(
        parts={**parts, "sample_id": found.sample_id, "input_hash": found.input_hash},
        nfe=found.nfe,
        nfe_kind=found.nfe_kind,
        canvas_tokens=found.canvas,
        to_eos_tokens=found.to_eos,
        content_tokens=found.content,
        scores={score: found.score},
        score_key=score_key,
    )
