"""A sample and its answer set: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Enumerated:
    """Every valid answer text with its probability; texts are distinct, weights sum to 1."""

    texts: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Permutations:
    """All orders of *items*, written ``opening + separator.join(order) + closing``, equally likely.

    *exclude_input* removes the given order itself.
    """

    items: tuple[str, ...]
    opening: str
    separator: str
    closing: str
    exclude_input: bool


AnswerSet = Enumerated | Permutations


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """A worked example shown before the question: template fields and the answer text."""

    fields: Mapping[str, Any]
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One question.

    Args:
        id: Unique within its task (``n4-017``).
        fields: Values for the prompt template.
        facts: What the scorer needs (items, word, index, solution, ...).
        shots: Worked examples.
        example: One valid answer; scores 1.
        answers: The answer set, or None where the data hold no reference (``ideal`` cannot run then).
        template: For infilling, the answer with ``[MASK]`` where something is to be filled in.
        length: Stratum for choosing a subset (list length).
    """

    id: str
    fields: Mapping[str, Any]
    facts: Mapping[str, Any]
    shots: tuple[Shot, ...]
    example: str | None
    answers: AnswerSet | None
    template: str | None
    length: int
