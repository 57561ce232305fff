"""What an item asserts: everything decoded and scored, the laws of the exact model, the floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pb_plugin.asking.planned import Planned
from pb_plugin.planning.cell import Cell
from pb_plugin.records.record import Record
from pb_plugin.results.intervals import wilson
from pb_plugin.running.bench import Bench
from pb_plugin.running.tools import GRAMMAR

BLIND_ORDERS = frozenset({"random", "left_to_right"})
"""Methods whose order says nothing about the tokens."""

ONE_IN_A_MILLION = 1e-6


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
    planned = bench.planned(cell)
    records = [bench.record_of(cell, sample) for sample in planned]
    score_name = bench.task(cell).spec.score
    needs = bench.task(cell).spec.needs
    decoded = all(record is not None and not record.failed for record in records)
    unscored = bench.tools.unscored if GRAMMAR in needs and decoded else None
    problem = _incomplete(bench, planned, records, score_name)
    done = [record for record in records if record is not None and not record.failed]
    scores = [record.scores[score_name] for record in done if record.scores.get(score_name) is not None]
    score = sum(s for s in scores if s is not None) / len(scores) if scores else None
    if problem is None and bench.model(cell).is_exact:
        problem = _broken_law(bench, cell, planned, done, score_name)
    if problem is None and floor is not None and score is not None and score < floor:
        problem = f"{score_name} {score:.4f} is below the floor {floor:g} of task {cell.task}"
    properties: dict[str, Any] = {
        "pb_task": cell.task,
        "pb_model": cell.model.name,
        "pb_unmasking": cell.unmasking,
        "pb_samples": len(done),
        "pb_planned": len(planned),
    }
    if score is not None:
        properties["pb_score"] = score
        if all(value in (0, 1) for value in scores):
            interval = wilson(int(sum(s for s in scores if s is not None)), len(scores))
            properties |= {"pb_score_low": interval.low, "pb_score_high": interval.high}
    with_nfe = [record for record in done if record.nfe]
    if with_nfe and len(with_nfe) == len(done):
        tps = sum((record.canvas_tokens or 0) / (record.nfe or 1) for record in with_nfe) / len(with_nfe)
        properties["pb_tokens_per_step"] = tps
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
    bench: Bench, planned: Sequence[Planned], records: Sequence[Record | None], score_name: str
) -> str | None:
    conflicts = [
        bench.index.conflicts[p.decode_key] for p in planned if p.decode_key in bench.index.conflicts
    ]
    if conflicts and not bench.options.fresh:
        return conflicts[0].message
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
        return f"{len(unscored)} of {len(planned)} samples have no {score_name}: {reason}"
    return None


def _broken_law(
    bench: Bench, cell: Cell, planned: Sequence[Planned], records: Sequence[Record], score_name: str
) -> str | None:
    from decoders.theory.answer_sets import TokenAnswers, chance_correct, is_answer
    from decoders.theory.exact_law import interval_of_correct

    model = bench.model(cell).get()
    by_tools = bool(bench.task(cell).spec.needs)

    def right(sample: Planned, record: Record) -> bool:
        """Whether the output is a valid answer: by its score, or by the answer set where tools judge."""
        if by_tools:
            return is_answer(bench.context(cell, sample, model), record.ids)
        return record.scores[score_name] == 1

    determined = []
    for sample, record in zip(planned, records, strict=True):
        answers = bench.context(cell, sample, model)
        single = isinstance(answers, TokenAnswers) and len(answers.ids) == 1
        determined.append(single)
        steps = [step for step in record.commit_step or () if step >= 0]
        one_by_one = len(set(steps)) == record.canvas_tokens and record.remasks == 0
        if (single or one_by_one) and not right(sample, record):
            why = "its answer is determined (C(Y|X) = 0)" if single else "it was decoded one token per step"
            where = sample.question.sample.id
            return f"the exact model must be right on {where}, because {why}, got {record.text!r}"
    one_step = all(record.nfe == 1 for record in records)
    blind = (cell.unmasking in BLIND_ORDERS or one_step) and not any(record.remasks for record in records)
    if not blind or all(determined):
        return None
    chances = [
        chance_correct(bench.context(cell, sample, model), record.commit_step or (), cell.temperature)
        for sample, record in zip(planned, records, strict=True)
    ]
    low, high = interval_of_correct(chances, ONE_IN_A_MILLION)
    correct = sum(right(sample, record) for sample, record in zip(planned, records, strict=True))
    if not low <= correct <= high:
        return (
            f"the exact law expects between {low} and {high} correct samples (mean {sum(chances):.2f}), "
            f"got {correct}; the loop, the ties or the scorer of {cell.task} changed"
        )
    return None
