"""The laws that the results of the exact model obey."""

from __future__ import annotations

from collections.abc import Sequence

from pb_plugin.asking.planned import Planned
from pb_plugin.planning.cell import Cell
from pb_plugin.records.record import Record
from pb_plugin.running.resources import Resources
from task_specs.sample import Enumerated

BLIND_ORDERS = frozenset({"random", "left_to_right"})
"""Methods whose order says nothing about the tokens."""

ONE_IN_A_MILLION = 1e-6


def broken_law(
    resources: Resources, cell: Cell, planned: Sequence[Planned], records: Sequence[Record], score_name: str
) -> str | None:
    """Return which law the results of the exact model break, or None.

    It is right where it commits one token per step or the answer is determined; with an order blind to the
    tokens its number of correct samples lies in the 1e-6 interval of the exact law.

    Args:
        resources: The run's models and answer sets.
        cell: What was asked for.
        planned: Its samples.
        records: Their results, in the same order.
        score_name: Which score says that an answer is right.
    """
    from decoders.theory.answer_sets import chance_correct, is_answer
    from decoders.theory.exact_law import interval_of_correct

    model = resources.model(cell).get()
    spec = resources.task(cell).spec
    by_tools, traced = bool(spec.needs), "trace" in spec.parameters

    def right(sample: Planned, record: Record) -> bool:
        """Whether the output is a valid answer: by its score, or by the answer set where tools judge.

        A trace has to be right too, which no score asks for: the law is one of all tokens.
        """
        if (by_tools or traced) and not is_answer(resources.context(cell, sample, model), record.ids):
            return False
        return by_tools or record.scores[score_name] == 1

    certain = []
    for sample, record in zip(planned, records, strict=True):
        why = _certain(sample, record)
        if why is not None and not right(sample, record):
            where = sample.question.sample.id
            return f"the exact model must be right on {where}, because {why}, got {record.text!r}"
        certain.append(why is not None)
    one_step = all(record.nfe == 1 for record in records)
    blind = (cell.asked.method in BLIND_ORDERS or one_step) and not any(record.remasks for record in records)
    if not blind or all(certain):
        return None
    chances = [
        1.0
        if is_certain
        else chance_correct(
            resources.context(cell, sample, model), record.commit_step or (), cell.asked.temperature
        )
        for sample, record, is_certain in zip(planned, records, certain, strict=True)
    ]
    low, high = interval_of_correct(chances, ONE_IN_A_MILLION)
    correct = sum(right(sample, record) for sample, record in zip(planned, records, strict=True))
    if not low <= correct <= high:
        return (
            f"the exact law expects between {low} and {high} correct samples (mean {sum(chances):.2f}), "
            f"got {correct}; the loop, the ties or the scorer of {cell.task} changed"
        )
    return None


def _certain(sample: Planned, record: Record) -> str | None:
    """Return why the exact model is right on this sample, whatever it drew; None where it may be wrong."""
    answers = sample.question.sample.answers
    if isinstance(answers, Enumerated) and len(answers.texts) == 1:
        return "its answer is determined (C(Y|X) = 0)"
    steps = {step for step in record.commit_step or () if step >= 0}
    if len(steps) == record.canvas_tokens and record.remasks == 0:
        return "it was decoded one token per step"
    return None
