"""The steps a chain-of-thought example writes before its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from task_specs.answers import sort_key


def steps(facts: Mapping[str, Any], answer: Sequence[str]) -> str:
    """Return a few sentences that lead from the list in *facts* to *answer*."""
    items = facts["items"]
    numbered = ", ".join(f"{place} {person}" for place, person in enumerate(items))
    return f"There are {len(items)} people: {numbered}. {_reason(facts, answer)}"


def _reason(facts: Mapping[str, Any], answer: Sequence[str]) -> str:
    items, operation = facts["items"], facts["operation"]
    match operation:
        case "copy":
            return "Nothing changes, so I write them down in this order."
        case "sort":
            return f"The last names in order are {', '.join(sort_key(person)[0] for person in answer)}."
        case "reverse":
            return f"Read backwards, {answer[0]} comes first and {answer[-1]} comes last."
        case "shuffle":
            places = ", ".join(str(items.index(person)) for person in answer)
            return f"I mix them: the new order of the old places is {places}."
        case "replace_index" | "replace_random":
            place = answer.index(facts["word"])
            return f"{items[place]} at place {place} leaves and {facts['word']} takes that place."
        case "insert_index" | "insert_random":
            place = answer.index(facts["word"])
            return f"{facts['word']} goes to place {place}, and everybody from there on moves back by one."
    gone = next(person for person in items if person not in answer)
    return f"{gone} at place {items.index(gone)} leaves, and everybody behind moves up by one."
