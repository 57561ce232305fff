"""What an item asserts: everything decoded and scored, the laws of the exact model, the floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pb_plugin.asking.planned import Planned
from pb_plugin.planning.cell import Cell
from pb_plugin.records.record import Record
from pb_plugin.results.cell_numbers import numbers_of
from pb_plugin.running.bench import Bench
from pb_plugin.running.laws import broken_law


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The judged result of one cell.

    Args:
        ok: Whether every assertion holds.
        message: Why not, or the result in one line.
        score: Mean score, or None.
        reused: Whether nothing had to be decoded for it.
        unscored: Why this run has no tool for the score, so that the item is skipped; None where it has.
        properties: Flat plain values for JUnit and other readers of reports.
    """

    ok: bool
    message: str
    score: float | None
    reused: bool
    unscored: str | None
    properties: Mapping[str, Any]

    @property
    def found(self) -> str:
        """``41 % of 100, ``: the mean score and the samples behind it; empty without a score."""
        return "" if self.score is None else f"{100 * self.score:.4g} % of {self.properties['pb_samples']}, "


def outcome_of(bench: Bench, cell: Cell, *, reused: bool, floor: float | None) -> Outcome:
    """Judge a cell from its records.

    The assertions, in this order: every planned sample was decoded and scored; the exact model is right where
    it commits one token per step or the answer is determined; with an order blind to the tokens its number of
    correct samples lies in the 1e-6 interval of the exact law; the score reaches the floor.

    Args:
        bench: The run.
        cell: What was asked for.
        reused: Whether nothing had to be decoded.
        floor: Lowest acceptable score, or None.
    """
    resources = bench.resources
    planned, records = resources.planned(cell), bench.records(cell)
    spec = resources.task(cell).spec
    score_name = spec.score
    decoded = all(record is not None and not record.failed for record in records)
    unscored = resources.tools.unscored(spec.needs) if decoded else None
    problem = _incomplete(bench, planned, records, score_name, asks_tools=bool(spec.needs))
    done = [record for record in records if record is not None and not record.failed]
    numbers = numbers_of(done, score_name)
    score = numbers.score
    if problem is None and resources.model(cell).is_exact:
        problem = broken_law(resources, cell, planned, done, score_name)
    if problem is None and floor is not None and score is not None and score < floor:
        problem = f"{score_name} {score:.4f} is below the floor {floor:g} of task {cell.task}"
    properties: dict[str, Any] = {
        "pb_task": cell.task,
        "pb_model": cell.asked.model,
        "pb_unmasking": cell.asked.method,
        "pb_samples": len(done),
        "pb_planned": len(planned),
    }
    if score is not None:
        properties["pb_score"] = score
    if numbers.interval is not None:
        properties |= {"pb_score_low": numbers.interval.low, "pb_score_high": numbers.interval.high}
    if numbers.tps is not None:
        properties["pb_tokens_per_step"] = numbers.tps["canvas"]
    message = problem or f"{score_name} {score:.4f} over {len(done)} samples"
    return Outcome(
        ok=problem is None,
        message=message,
        score=score,
        reused=reused,
        unscored=unscored,
        properties=properties,
    )


def _incomplete(
    bench: Bench,
    planned: Sequence[Planned],
    records: Sequence[Record | None],
    score_name: str,
    *,
    asks_tools: bool,
) -> str | None:
    conflict = bench.known.conflict(sample.decode_key for sample in planned)
    if conflict is not None:
        return conflict
    failed = [record for record in records if record is not None and record.failed]
    if failed:
        classes = sorted({record.error["class"] for record in failed if record.error})
        first = failed[0].error or {}
        counts = f"{len(failed)} of {len(planned)} samples failed ({', '.join(classes)})"
        return f"{counts}; first: {first.get('message')}"
    missing = sum(record is None for record in records)
    if missing:
        return f"{missing} of {len(planned)} samples were not decoded; run the same command again"
    unscored = [record for record in records if record is not None and record.scores.get(score_name) is None]
    if unscored:
        reason = unscored[0].score_reasons.get(score_name, f"the scorer gave no {score_name}")
        kind = "tool_error" if asks_tools and score_name in unscored[0].score_reasons else "scorer_error"
        return f"{len(unscored)} of {len(planned)} samples have no {score_name} ({kind}): {reason}"
    return None
