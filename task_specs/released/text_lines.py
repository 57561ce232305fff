"""One line of a published text-writing file -> a sample, checked key by key."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from task_specs.answers import enumerated
from task_specs.document import problem
from task_specs.released.lines import CURE, Line, fields_of, of_kind, texts_of
from task_specs.sample import AnswerSet, Sample


def text_sample(task_id: str, number: int, where: str, record: Line, names: tuple[str, ...]) -> Sample:
    """Return line *number* of a text-writing task as a sample.

    A line without a reference (all but the first of words-to-sentence) gives a sample without answers.

    Args:
        task_id: Base id of the task.
        number: 1-based number of the sample, for its id.
        where: Its place, for errors.
        record: Its content.
        names: What the template shows.

    Raises:
        ValueError: A key is missing or malformed.
    """
    answer = of_kind(where, "answer", record.get("answer"), Mapping)
    metadata = of_kind(where, "metadata", record.get("metadata"), Mapping)
    if task_id.startswith("w2s_"):
        words = texts_of(where, "answer.words", answer.get("words"))
        facts: dict[str, Any] = {"words": words}
        references = [_text(where, answer, "example")] if "example" in answer else []
        length = metadata.get("length", len(words))
    else:
        references = _references(task_id, where, answer)
        facts = {"text": _text(where, answer, "text"), "references": references}
        length = metadata.get("length")
    return Sample(
        id=f"line-{number:03d}",
        fields=fields_of(where, record, names),
        facts=facts,
        shots=(),
        example=references[0] if references else None,
        answers=_answers(references),
        template=None,
        length=of_kind(where, "metadata.length", length, int),
    )


def _text(where: str, answer: Mapping[str, Any], key: str) -> str:
    text: str = of_kind(where, f"answer.{key}", answer.get(key), str)
    return text


def _references(task_id: str, where: str, answer: Mapping[str, Any]) -> list[str]:
    """Return the summary, or the paraphrases, which are a text that holds a Python list."""
    if task_id == "summarization":
        return [_text(where, answer, "summary")]
    written = _text(where, answer, "examples")
    try:
        references = ast.literal_eval(written)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise problem(where, "answer.examples", "a Python list of texts", written, CURE) from error
    if not isinstance(references, list) or not references or not all(isinstance(r, str) for r in references):
        raise problem(where, "answer.examples", "a Python list of texts", written, CURE)
    return references


def _answers(references: list[str]) -> AnswerSet | None:
    return enumerated((reference, 1.0) for reference in references) if references else None
