"""One line of a published ParallelBench file -> a sample, checked key by key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from task_specs.answers import check_list_facts, derived_answers
from task_specs.document import problem
from task_specs.sample import AnswerSet, Enumerated, Sample, Shot
from task_specs.scoring.lists import RANDOM_OPERATIONS

CURE = "restore the published file"
"""What to do about every fault of a published file."""

_KINDS: Mapping[type, str] = {
    Mapping: "a JSON object",
    list: "a JSON list",
    str: "a text",
    int: "a whole number",
}

Line = Mapping[str, Any]


def of_kind(where: str, key: str, value: Any, kind: type) -> Any:
    """Return *value*, refused unless it is of *kind*.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise problem(where, key, _KINDS[kind], value, CURE)
    return value


def texts_of(where: str, key: str, value: Any) -> list[str]:
    """Return *value*, refused unless it is a list of texts.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise problem(where, key, "a JSON list of texts", value, CURE)
    return value


def file_text(path: Path) -> str:
    """Return the text of a published file.

    Raises:
        ValueError: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: the file must be UTF-8 text, got byte {error.start}; {CURE}") from error


def released_lines(path: Path) -> Iterator[tuple[str, Line]]:
    """Yield the place (for errors) and the content of every line that is not blank.

    Raises:
        ValueError: A line is no JSON object, or there is none.
    """
    lines = [
        (number, line) for number, line in enumerate(file_text(path).split("\n"), start=1) if line.strip()
    ]
    if not lines:
        raise ValueError(f"{path}: the file must hold one JSON object a line, got none; {CURE}")
    for number, line in lines:
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise problem(where, "the line", f"JSON ({error})", line[:60], CURE) from error
        yield where, of_kind(where, "the line", record, Mapping)


def shot_lines(where: str, record: Line) -> list[tuple[str, Line]]:
    """Return the place and the content of every worked example of a line.

    Raises:
        ValueError: ``input`` or its ``icl_examples`` are malformed.
    """
    question = of_kind(where, "input", record.get("input"), Mapping)
    shots = of_kind(where, "input.icl_examples", question.get("icl_examples", []), list)
    return [
        (f"{where}, shot {place}", of_kind(where, f"input.icl_examples[{place - 1}]", shot, Mapping))
        for place, shot in enumerate(shots, start=1)
    ]


def fields_of(where: str, record: Line, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the template fields of a line or a shot.

    Args:
        where: Its place, for errors.
        record: Its content.
        names: What the template shows.

    Raises:
        ValueError: The template shows a field that is not there.
    """
    question = of_kind(where, "input", record.get("input"), Mapping)
    for name in names:
        if name not in question:
            raise problem(where, f"input.{name}", "given, as the template shows it", None, CURE)
    return {key: value for key, value in question.items() if key != "icl_examples"}


def answer_of(where: str, record: Line) -> str:
    """Return the text of a line's or a shot's answer: ``answer`` or ``answer.example``.

    Raises:
        ValueError: There is none.
    """
    answer = record.get("answer")
    if isinstance(answer, Mapping):
        text: str = of_kind(where, "answer.example", answer.get("example"), str)
    else:
        text = of_kind(where, "answer", answer, str)
    return text


def facts_of(task_id: str, where: str, record: Line) -> dict[str, Any]:
    """Return what scorers read, taken from where the published metric takes it.

    Args:
        task_id: Base id of the task.
        where: The place of the line or shot, for errors.
        record: Its content.

    Raises:
        ValueError: A key is missing, malformed, or does not fit the others.
    """
    fields: Mapping[str, Any] = fields_of(where, record, ())
    answer: Any = record.get("answer")
    if task_id == "sudoku":
        grid, solution = _grid(where, "input.sudoku", fields.get("sudoku")), _grid(where, "answer", answer)
        return {"grid": grid, "solution": solution}
    if task_id in RANDOM_OPERATIONS or task_id == "latin_square":
        answer = of_kind(where, "answer", answer, Mapping)
    if task_id == "latin_square":
        return {"symbols": texts_of(where, "answer.symbols", answer.get("symbols"))}
    facts: dict[str, Any] = {"operation": task_id}
    if task_id in RANDOM_OPERATIONS:
        facts["items"] = texts_of(where, "answer.input", answer.get("input"))
        source = answer
    else:
        facts["items"] = texts_of(where, "input.context", _context(where, fields))
        source = fields
    facts |= {name: source[name] for name in ("word", "index") if name in source}
    facts |= {"exclude_input": True} if task_id == "shuffle" else {}
    try:
        check_list_facts(facts)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return facts


def sample_of(task_id: str, number: int, where: str, record: Line, names: tuple[str, ...]) -> Sample:
    """Return line *number* as a sample.

    Args:
        task_id: Base id of the task.
        number: 1-based number of the sample, for its id.
        where: Its place, for errors.
        record: Its content.
        names: What the template shows.

    Raises:
        ValueError: A key is missing or malformed.
    """
    shots = tuple(
        Shot(fields=fields_of(place, shot, names), answer=answer_of(place, shot))
        for place, shot in shot_lines(where, record)
    )
    facts, label = facts_of(task_id, where, record), answer_of(where, record)
    metadata = of_kind(where, "metadata", record.get("metadata"), Mapping)
    return Sample(
        id=f"line-{number:03d}",
        fields=fields_of(where, record, names),
        facts=facts,
        shots=shots,
        example=label,
        answers=_answers(where, facts, label),
        template=None,
        length=of_kind(where, "metadata.length", metadata.get("length"), int),
    )


def _grid(where: str, key: str, value: Any) -> list[str]:
    rows: list[str] = value.split("\n") if isinstance(value, str) else []
    if len(rows) != 4 or not all(re.fullmatch("[0-4]{4}", row) for row in rows):
        raise problem(where, key, "four lines of four digits from 0 to 4", value, CURE)
    return rows


def _context(where: str, fields: Mapping[str, Any]) -> Any:
    context = of_kind(where, "input.context", fields.get("context"), str)
    try:
        return json.loads(context)
    except (ValueError, RecursionError) as error:
        raise problem(where, "input.context", "a JSON list of texts", context, CURE) from error


def _answers(where: str, facts: Mapping[str, Any], label: str) -> AnswerSet:
    """Return the label alone where one answer is right, else what our rules derive."""
    if "symbols" not in facts and facts.get("operation") not in RANDOM_OPERATIONS:
        return Enumerated(texts=(label,), weights=(1.0,))
    try:
        return derived_answers(facts)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
