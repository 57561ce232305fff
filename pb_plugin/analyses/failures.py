"""The wrong answers of a task in a stored run, and what breaks first as decoding gets faster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pb_plugin.asking.samples import Question, TaskData
from pb_plugin.planning.plan import specs_of
from pb_plugin.records.canonical import canonical_json
from pb_plugin.records.record import Record
from pb_plugin.records.store import StoreIndex
from pb_plugin.results.run_file import ChosenTasks, Run
from pb_plugin.results.summary import Summary
from task_specs.scoring.faults import OTHER, faults

GRAMMAR = "grammar"


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongAnswer:
    """One wrong answer: what was asked, what came, and what is wrong with it."""

    sample: str
    question: Mapping[str, Any]
    answer: str
    faults: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CellFailures:
    """The wrong answers of one task under one setting; *n* samples were decoded and scored."""

    curve: str
    setting: str
    n: int
    wrong: tuple[WrongAnswer, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many wrong answers have a fault, by fault, most first."""
        return dict(Counter(fault for answer in self.wrong for fault in answer.faults).most_common())

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        wrong = [asdict(answer) for answer in self.wrong]
        return {
            "curve": self.curve,
            "setting": self.setting,
            "n": self.n,
            "counts": self.counts,
            "wrong": wrong,
        }


Rules = Callable[[str], tuple[str, ...] | None]
"""Gives for a judged text the ids of the grammar rules that it broke, None where they are not known."""


def failures(run: Run, index: StoreIndex, summary: Summary, task: str, rules: Rules) -> list[CellFailures]:
    """Return the wrong answers of *task* by curve and setting, in the order of the run.

    Wrong is what has the score 0, in the score of PBx or in grammar; samples that failed have no answer.
    Wrong grammar is named by what *rules* says.

    Raises:
        ValueError: The run has no such task, or its questions cannot be read or are others today.
    """
    cells = {_asked(one): cell for cell in summary.cells if cell.task == task for one in cell.replicates}
    if not cells:
        known = ", ".join(dict.fromkeys(cell.task for cell in summary.cells)) or "none"
        raise ValueError(f"--task must be a task of the run, got {task!r}; it has {known}")
    data = task_data(run.chosen, task)
    found = []
    for planned in run.cells:
        cell = cells.get(_asked(planned))
        if cell is None:
            continue
        stored = (index.find(key, planned.score_key) for key in planned.keys)
        records = [record for record in stored if record is not None and not record.failed]
        wrong = tuple(_wrong(record, data, rules) for record in records if _is_wrong(record, planned.score))
        found.append(
            CellFailures(
                curve=cell.identity.label,
                setting=cell.setting_under(planned.asked.seed),
                n=len(records),
                wrong=wrong,
            )
        )
    return found


def _asked(cell: Any) -> str:
    return canonical_json(cell.asked.parts())


def _is_wrong(record: Record, score: str) -> bool:
    return 0.0 in (record.scores.get(score), record.scores.get(GRAMMAR))


def task_data(chosen: ChosenTasks, task: str) -> TaskData:
    """Return *task* of a run, its samples read again by what the run file says was asked.

    Raises:
        ValueError: No task of the run that can be read today is called so.
    """
    directory = None if chosen.data is None else Path(chosen.data)
    for text in chosen.task:
        try:
            specs = specs_of((text,))
        except (ValueError, LookupError):
            continue  # a file or package of the user that is not here any more
        for spec in specs:
            if spec.id == task:
                return TaskData(planned=spec, data=directory, n_samples=chosen.samples)
    raise ValueError(
        f"--task must be a task that can be read today, got {task!r} of {', '.join(chosen.task)}; "
        "put its file or package back, or run the suite again"
    )


def _wrong(record: Record, data: TaskData, rules: Rules) -> WrongAnswer:
    sample = _question(record, data).sample
    answer = data.answer(record.text)
    found = faults(answer, sample)
    if record.scores.get(GRAMMAR) == 0.0:
        broken = dict.fromkeys(rules(data.judged(record.text)) or ())
        named = tuple(f"{GRAMMAR} {rule}" for rule in broken) or (GRAMMAR,)
        found = (*(fault for fault in found if fault != OTHER), *named)
    return WrongAnswer(sample=sample.id, question=sample.fields, answer=answer, faults=found)


def _question(record: Record, data: TaskData) -> Question:
    parts = record.parts
    for question in data.asked(parts["prompt_style"]):
        if (question.sample.id, question.input_hash) == (parts["sample_id"], parts["input_hash"]):
            return question
    raise ValueError(
        f"sample {parts['sample_id']!r} of {parts['task']} is another today; run the suite again"
    )


def at_setting(found: list[CellFailures], setting: str) -> list[CellFailures]:
    """Return those of *found* at *setting* (``k=2``), under every seed.

    Raises:
        ValueError: There is none.
    """
    chosen = [cell for cell in found if setting in (cell.setting, cell.setting.partition(",seed=")[0])]
    if not chosen:
        known = ", ".join(dict.fromkeys(cell.setting for cell in found))
        raise ValueError(f"--setting must be one of the run, got {setting!r}; it has {known}")
    return chosen
