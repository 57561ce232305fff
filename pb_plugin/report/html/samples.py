"""The samples of a page: questions, answers, scores and commit steps, all of them or a stated subset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pb_plugin.asking.samples import Question, TaskData
from pb_plugin.planning.plan import specs_of
from pb_plugin.records.record import Record
from pb_plugin.report.html.tokens import Pieces, pieces_of
from pb_plugin.report.stored import StoredReport
from pb_plugin.results.cell_result import PlannedCell
from pb_plugin.results.run_file import ChosenTasks
from task_specs.prompt import PromptStyle
from task_specs.sample import Enumerated

MOST_ANSWERS = 24
"""Valid answers of a sample that are listed; the others are counted."""

Outcome = str
"""``right`` (full score), ``wrong`` (less), ``unscored`` or ``failed``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """An earlier run: what it is called, and its outcome, score and text (or error) by pair key."""

    name: str
    answers: Mapping[str, tuple[Outcome, float | None, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One planned cell with the records that the store has of it, by sample, and the name of its score."""

    cell: PlannedCell
    curve: str
    setting: str
    by_sample: Mapping[str, Record]

    def outcome(self, sample: str) -> Outcome | None:
        """Return how the sample went, None where there is no record of it."""
        record = self.by_sample.get(sample)
        if record is None:
            return None
        if record.failed:
            return "failed"
        score = self.score(sample)
        return "unscored" if score is None else "right" if score == 1.0 else "wrong"

    def score(self, sample: str) -> float | None:
        """Return the score of the sample that enters PBx, None where it has none."""
        record = self.by_sample.get(sample)
        return None if record is None else record.scores.get(self.cell.score)


def shown_cells(report: StoredReport) -> list[Shown]:
    """Return every cell of the run that has records, in the order of the plan."""
    label_of = {
        id(one.asked): (curve.identity.label, cell.setting_under(one.asked.seed))
        for curve in report.summary.curves
        for cell in curve.cells
        if cell.identity == curve.identity
        for one in cell.replicates
    }
    found = []
    for cell in report.run.cells:
        records = [report.index.find(key, cell.score_key) for key in cell.keys]
        by_sample = {record.parts["sample_id"]: record for record in records if record is not None}
        if by_sample:
            curve, setting = label_of[id(cell.asked)]
            found.append(Shown(cell=cell, curve=curve, setting=setting, by_sample=by_sample))
    return found


def chosen_samples(cells: Sequence[Shown], most: int | None) -> dict[str, list[str]]:
    """Return which samples of every task are shown: all, or *most* and those that every cell needs.

    A sample is shown under all settings, so that settings can be compared. Every cell that has right and
    wrong ones (and failed ones) keeps at least one of each, by a greedy cover; so it may be more than *most*.
    """
    found = {}
    for task in dict.fromkeys(cell.cell.asked.task for cell in cells):
        of_task = [cell for cell in cells if cell.cell.asked.task == task]
        names = list(dict.fromkeys(sample for cell in of_task for sample in cell.by_sample))
        found[task] = names if most is None else _covering(of_task, names, most)
    return found


def _covering(cells: Sequence[Shown], names: Sequence[str], most: int) -> list[str]:
    shows = {
        name: {(place, cell.outcome(name)) for place, cell in enumerate(cells) if name in cell.by_sample}
        for name in names
    }
    missing = set().union(*shows.values())
    kept: set[str] = set()
    while missing:
        best = max(names, key=lambda name: len(shows[name] & missing))
        kept.add(best)
        missing -= shows[best]
    for name in names:
        if len(kept) >= most:
            break
        kept.add(name)
    return [name for name in names if name in kept]


def texts_of(
    report: StoredReport,
    cells: Sequence[Shown],
    chosen: Mapping[str, Sequence[str]],
    folders: Mapping[str, Path],
    before: Before | None = None,
) -> dict[str, Any]:
    """Return the chosen samples as plain data: questions once per task, rows per cell, tokens per model."""
    records = [
        record
        for cell in cells
        for sample in chosen[cell.cell.asked.task]
        if (record := cell.by_sample.get(sample)) is not None
    ]
    data = report.run.chosen.data
    directory = None if data is None else Path(data)
    models = dict.fromkeys(record.parts["model"] for record in records)
    pieces = {
        model: pieces_of(model, (r for r in records if r.parts["model"] == model), folders, directory)
        for model in models
    }
    questions = _Questions(report.run.chosen)
    return {
        "tasks": {
            task: questions.of_task(task, samples, [c for c in cells if c.cell.asked.task == task])
            for task, samples in chosen.items()
        },
        "tokens": {model: _pieces(found) for model, found in pieces.items()},
        "before": None if before is None else before.name,
        "cells": [_cell(cell, chosen[cell.cell.asked.task], before) for cell in cells],
    }


def _pieces(found: Pieces) -> dict[str, Any]:
    return {"reason": found.reason, "texts": {str(token): text for token, text in found.texts.items()}}


def _cell(shown: Shown, samples: Sequence[str], before: Before | None) -> dict[str, Any]:
    rows = [
        _row(index, shown, record) | ({} if before is None else _changed(shown, record, before))
        for index, sample in enumerate(samples)
        if (record := shown.by_sample.get(sample)) is not None
    ]
    asked = shown.cell.asked
    head = {"task": asked.task, "model": asked.model, "curve": shown.curve, "setting": shown.setting}
    return {**head, "score": shown.cell.score, "rows": rows}


def _row(index: int, shown: Shown, record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {"q": index, "o": shown.outcome(record.parts["sample_id"]), "a": record.text}
    if record.error is not None:
        return {**row, "error": said_of(record)}
    steps = None if record.commit_step is None else list(record.commit_step)
    row |= {"scores": dict(record.scores), "nfe": record.nfe, "ids": list(record.ids), "steps": steps}
    row |= {"why": dict(record.score_reasons)} if record.score_reasons else {}
    row |= {} if (trace := trace_of(record)) is None else {"trace": trace}
    return row | ({"remasks": record.remasks} if record.remasks else {})


def _changed(shown: Shown, record: Record, before: Before) -> dict[str, Any]:
    """Return what the earlier run said of the same request and how that changed; nothing for a new one."""
    found = before.answers.get(record.pair_key)
    if found is None:
        return {}
    outcome, score, text = found
    now = shown.score(record.parts["sample_id"])
    if score is not None and now is not None and now != score:
        change = "better" if now > score else "worse"
    elif outcome != shown.outcome(record.parts["sample_id"]):
        change = "other"
    else:
        change = "same" if text == said_of(record) else "other"
    return {"b": {"o": outcome, "a": text, "change": change}}


def said_of(record: Record) -> str:
    """Return the text of a record, or the error of a failed one."""
    return record.text if record.error is None else f"{record.error['class']}: {record.error['message']}"


def trace_of(record: Record) -> dict[str, Any] | None:
    """Return every commit and mask of *record* as the page plays it, or None where none of it is stored.

    A trace that tells of something else than the canvas of the record is none.
    """
    found = record.trace or {}
    commits, remasks = found.get("commits"), found.get("remasks")
    if not isinstance(commits, list) or not isinstance(remasks, list) or record.commit_step is None:
        return None
    whole = all(_is_told(told, 4, len(record.ids)) for told in commits)
    return (
        {"c": commits, "m": remasks}
        if whole and all(_is_told(t, 2, len(record.ids)) for t in remasks)
        else None
    )


def _is_told(told: Any, length: int, n_positions: int) -> bool:
    """Return whether *told* is ``[forward, position, ...]`` of *length* numbers."""
    if not isinstance(told, list) or len(told) != length or any(type(n) not in (int, float) for n in told):
        return False
    return all(type(n) is int and n >= 0 for n in told[:3]) and told[1] < n_positions


class _Questions:
    """What was asked, read again by what the run file says; another question than the stored one is none."""

    def __init__(self, chosen: ChosenTasks) -> None:
        self._chosen = chosen
        self._specs = dict(_specs(chosen.task))

    def of_task(self, task: str, samples: Sequence[str], cells: Iterable[Shown]) -> list[dict[str, Any]]:
        """Return a plain question for each of *samples*; ``reason`` says why one is not known."""
        record_of = {sample: r for cell in cells for sample, r in cell.by_sample.items()}
        spec = self._specs.get(task)
        if spec is None:
            return _unknown(samples, f"task {task} is not known here any more")
        directory = None if self._chosen.data is None else Path(self._chosen.data)
        data = TaskData(planned=spec, data=directory, n_samples=self._chosen.samples)
        try:
            asked = _asked(data, {record.parts["prompt_style"] for record in record_of.values()})
        except (ValueError, LookupError, OSError) as error:
            return _unknown(samples, f"the samples of {task} cannot be read: {error}")
        places = {sample: (record_of[sample].parts["prompt_style"], sample) for sample in samples}
        return [
            {"id": sample, **_question(asked.get(place), record_of[sample])}
            for sample, place in places.items()
        ]


def _unknown(samples: Sequence[str], reason: str) -> list[dict[str, Any]]:
    return [{"id": sample, "reason": reason} for sample in samples]


def _specs(tasks: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for text in tasks:
        try:
            specs = specs_of((text,))
        except (ValueError, LookupError):
            continue  # a file or package of the user that is not here any more: its questions say so
        for spec in specs:
            yield spec.id, spec


def _asked(data: TaskData, styles: Iterable[PromptStyle]) -> dict[tuple[str, str], Question]:
    return {(style, question.sample.id): question for style in styles for question in data.asked(style)}


def _question(question: Question | None, record: Record) -> dict[str, Any]:
    sample = record.parts["sample_id"]
    if question is None or question.input_hash != record.parts["input_hash"]:
        return {"reason": f"sample {sample} is another one today than the one that was asked"}
    chat = [[message["role"], message["content"]] for message in question.messages]
    answers = question.sample.answers
    if answers is None:
        return {"chat": chat, "answers": [], "rule": "the data hold no reference answers"}
    if not isinstance(answers, Enumerated):
        rule = f"every order of {', '.join(answers.items)}" + " but the given one" * answers.exclude_input
        return {"chat": chat, "answers": [], "rule": rule}
    more = len(answers.texts) - MOST_ANSWERS
    rest = f"and {more} more" if more > 0 else None
    return {"chat": chat, "answers": list(answers.texts[:MOST_ANSWERS]), "rule": rest}
