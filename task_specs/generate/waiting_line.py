"""Waiting lines: one operation on a list of people, with worked examples of the same operation."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from task_specs.answers import OPERATIONS, as_list_text
from task_specs.generate.draw import below, distinct, one, shuffled
from task_specs.generate.names import FIRST_NAMES, LAST_NAMES
from task_specs.generate.reasoning import steps
from task_specs.generate.request import Record, Request


def waiting_line_record(request: Request) -> Record | None:
    """Return one sample, or None where a list to be sorted came out sorted.

    No first or last name occurs twice among the people of the question and of its shots.
    """
    operation, marker = request.parameters["operation"], request.parameters.get("cot")
    lengths = [request.length]
    lengths += [one(request.rng, request.parameters["shot_lengths"]) for _ in range(request.shots)]
    people = _people(request.rng, sum(lengths) + len(lengths))
    asked = [_facts(request.rng, operation, [people.pop() for _ in range(n)], people.pop()) for n in lengths]
    if operation == "sort" and any(
        facts["items"] == OPERATIONS["sort"](facts["items"], facts)[0] for facts in asked
    ):
        return None
    answers = [one_answer(request.rng, facts) for facts in asked]
    question, *shots = [
        {"fields": list_fields(facts), "answer": _answer(facts, answer, marker)}
        for facts, answer in zip(asked, answers, strict=True)
    ]
    return {
        "id": request.id,
        "fields": question["fields"],
        "facts": asked[0],
        "shots": shots,
        "example": (f"{marker} " if marker else "") + as_list_text(answers[0]),
        "length": request.length,
    }


def list_fields(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return what a prompt shows of a list operation: the list, and the new item and the place if any."""
    shown = {"context": as_list_text(facts["items"])}
    return shown | {name: str(facts[name]) for name in ("word", "index") if name in facts}


def one_answer(rng: Random, facts: Mapping[str, Any]) -> list[str]:
    """Return one valid answer, every one equally likely."""
    items = list(facts["items"])
    if facts["operation"] != "shuffle":
        return one(rng, OPERATIONS[facts["operation"]](items, facts))
    answer = shuffled(rng, items)
    while facts["exclude_input"] and answer == items:
        answer = shuffled(rng, items)
    return answer


def _people(rng: Random, n: int) -> list[str]:
    firsts, lasts = distinct(rng, FIRST_NAMES, n), distinct(rng, LAST_NAMES, n)
    return [f"{first} {last}" for first, last in zip(firsts, lasts, strict=True)]


def _facts(rng: Random, operation: str, items: list[str], newcomer: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"operation": operation, "items": items}
    if operation.startswith(("replace", "insert")):
        facts["word"] = newcomer
    if operation.endswith("_index"):
        facts["index"] = below(rng, len(items) + operation.startswith("insert"))
    if operation == "shuffle":
        facts["exclude_input"] = True
    return facts


def _answer(facts: Mapping[str, Any], answer: list[str], marker: str | None) -> str:
    text = as_list_text(answer)
    return text if marker is None else f"{steps(facts, answer)} {marker} {text}"
