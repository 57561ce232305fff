"""Which cells of two sides ask the same, and what else differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pb_plugin.comparing.side import Side
from pb_plugin.records.canonical import canonical_json
from pb_plugin.records.record import ANSWER_PARTS, QUESTION_PARTS
from pb_plugin.results.cell_result import CellResult


class Pair(NamedTuple):
    """One cell on both sides, asked of the same samples."""

    before: CellResult
    after: CellResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairing:
    """Two sides, cell by cell.

    Args:
        pairs: What both have.
        only_before: Cells that the second side lacks, by what was asked, as text.
        only_after: Cells that the first side lacks.
        differs: Parts of the decode keys that differ anywhere, with an example of both values.
    """

    pairs: tuple[Pair, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    differs: Mapping[str, tuple[Any, Any]]


def pair(before: Side, after: Side, models: Mapping[str, str] | None = None) -> Pairing:
    """Return which cells of both sides ask the same questions under the same setting.

    Args:
        before: One side.
        after: The other.
        models: Name of a model of *before* -> the one of *after* that it is compared with, if another.

    Raises:
        ValueError: Two cells that ask the same have other samples, data, spec or scorer; names what differs.
    """
    names = dict(models or {})
    known = {_question(cell): cell for cell in after.cells if cell.records}
    pairs, only_before, differs = [], [], dict[str, tuple[Any, Any]]()
    for cell in (cell for cell in before.cells if cell.records):
        wanted = _question(_renamed(cell, names))
        other = known.pop(wanted, None)
        if other is None:
            only_before.append(_text(cell))
            continue
        _check_same_questions(cell, other, before.name, after.name)
        pairs.append(Pair(cell, other))
        one, two = cell.records[0].parts, other.records[0].parts
        for name in (*ANSWER_PARTS, "model"):
            if one[name] != two[name]:
                differs.setdefault(name, (one[name], two[name]))
    return Pairing(
        pairs=tuple(pairs),
        only_before=tuple(only_before),
        only_after=tuple(_text(cell) for cell in known.values()),
        differs=differs,
    )


def _renamed(cell: CellResult, models: Mapping[str, str]) -> CellResult:
    name = models.get(cell.asked.model, cell.asked.model)
    if name == cell.asked.model:
        return cell
    asked = replace(cell.asked, model=name)
    return CellResult(planned=replace(cell.planned, asked=asked), records=())


def _question(cell: CellResult) -> str:
    parts = cell.asked.parts()
    del parts["data_source"]  # compared apart, so that the message says so
    return canonical_json(parts)


def _text(cell: CellResult) -> str:
    asked = cell.asked
    params = ",".join(f"{name}={value}" for name, value in asked.method_params.items())
    setting = f"k={asked.k}" if asked.k is not None else params or "default"
    return f"{asked.task} {asked.model}-{asked.method}[{setting}]"


def _check_same_questions(one: CellResult, two: CellResult, before: str, after: str) -> None:
    first, second = one.records[0], two.records[0]
    for name in ("data_source", *QUESTION_PARTS):
        if first.parts[name] != second.parts[name]:
            raise ValueError(
                f"{_text(one)}: {name} must be equal on both sides, got {first.parts[name]!r} in {before} "
                f"and {second.parts[name]!r} in {after}; they were asked other questions, measure both anew"
            )
    if first.score_key != second.score_key:
        raise ValueError(
            f"{_text(one)}: score_key must be equal on both sides, got {first.score_key!r} in {before} and "
            f"{second.score_key!r} in {after}; score both alike (pb rescore), or write the baseline again"
        )
    asked = [{r.parts["sample_id"]: r.parts["input_hash"] for r in cell.records} for cell in (one, two)]
    if asked[0] != asked[1]:
        foreign = sorted(set(asked[0].items()) ^ set(asked[1].items()))
        raise ValueError(
            f"{_text(one)}: the samples must be the same on both sides, got {len(asked[0])} in {before} and "
            f"{len(asked[1])} in {after} (not in both: {foreign[0][0]}); use the same --samples and data"
        )
