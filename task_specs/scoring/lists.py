"""Scorers of the list operations: is the list in an output a right answer to the operation?

Sources: the rules are those of ParallelBench (arXiv 2510.04767, section 5 and appendix) in our reading; the
``released`` twins follow the published metric code where it differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from task_specs.answers import OPERATIONS, as_list_text
from task_specs.sample import Sample
from task_specs.scoring.scored import Scored, accuracy, unfenced

RANDOM_OPERATIONS = ("shuffle", "replace_random", "insert_random", "remove_random")

_BRACKETED = re.compile(r"\[([^\[\]]*)\]")
_QUOTES = "\"'“”\u2018\u2019"
_JSON_TEXT = r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+"'
_JSON_COMMA = r"[ \t\r\n]*+,[ \t\r\n]*+"
_JSON_LIST = re.compile(rf"\[[ \t\r\n]*+(?:{_JSON_TEXT}(?:{_JSON_COMMA}{_JSON_TEXT})*+[ \t\r\n]*+)?+\]")


def list_items(text: str) -> list[str] | None:
    """Return the items of the last list in *text*, or None where there is none.

    A JSON list of texts is read as JSON. Where something else in brackets comes after the last one of these,
    it is split at commas; blanks and quotes around an item are dropped, and so are items that are blank.
    """
    written = [(found[0], found.end()) for found in _JSON_LIST.finditer(text)]
    items: list[str] | None = json.loads(written[-1][0]) if written else None
    later = _BRACKETED.findall(text, written[-1][1] if written else 0)
    if not later:
        return items
    pieces = [piece.strip() for piece in later[-1].split(",")]
    return [piece.strip(_QUOTES).strip() for piece in pieces if piece]


def is_right(answer: Sequence[str], facts: Mapping[str, Any]) -> bool:
    """Return whether *answer* is a right list for the operation that *facts* describe."""
    answer, items = list(answer), list(facts["items"])
    match facts["operation"]:
        case "shuffle":
            allowed = answer != items or not facts["exclude_input"]
            return allowed and sorted(answer) == sorted(items)
        case "replace_random":
            changed = [new for new, old in zip(answer, items, strict=False) if new != old]
            return len(answer) == len(items) and changed == [facts["word"]]
        case "insert_random":
            return any(
                person == facts["word"] and answer[:place] + answer[place + 1 :] == items
                for place, person in enumerate(answer)
            )
        case "remove_random":
            return any(answer == items[:place] + items[place + 1 :] for place in range(len(items)))
    return [answer] == OPERATIONS[facts["operation"]](items, facts)


def score_list(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a list operation: lenient by the last list, strict by the whole output.

    Strict means that the output is the JSON list as ``json.dumps`` writes it, letters beyond ASCII as they
    are or escaped, and nothing else.
    """
    answer = list_items(unfenced(text))
    if answer is None or not is_right(answer, sample.facts):
        return accuracy(lenient=False, strict=False)
    return accuracy(lenient=True, strict=text in (as_list_text(answer), json.dumps(answer)))


def released_list_items(text: str, *, strict: bool) -> list[str] | None:
    """Return the items as the published metric reads them, or None where its strict form refuses the text.

    Both forms read what stands between the last "[" and the first "]" after it. The lenient form
    does without either bracket, splits at commas, drops blank items and strips double quotes and spaces. The
    strict form needs both brackets and items separated by ", ", each in double quotes and free of further
    ones; text around the brackets is allowed.
    """
    _, opened, inner = text.rpartition("[")
    inner, closed, _ = inner.partition("]")
    if not strict:
        return [piece.strip('" ') for piece in inner.split(",") if piece.strip()]
    pieces = inner.split(", ")
    if not (opened and closed and all(piece[:1] == piece[-1:] == '"' for piece in pieces)):
        return None
    items = [piece[1:-1] for piece in pieces]
    return None if any('"' in item for item in items) else items


def _released_is_right(answer: list[str] | None, sample: Sample) -> bool:
    facts = sample.facts
    if answer is None:
        return False
    items = list(facts["items"])
    match facts["operation"]:
        case "shuffle":
            return sorted(answer) == sorted(items) and answer != items
        case "replace_random":
            if len(answer) != len(items) or facts["word"] not in answer:
                return False
            place = answer.index(facts["word"])
            return answer == [*items[:place], facts["word"], *items[place + 1 :]]
        case "insert_random":
            if facts["word"] not in answer:
                return False
            place = answer.index(facts["word"])
            return answer[:place] + answer[place + 1 :] == items
        case "remove_random":
            removed = set(items) - set(answer)
            if len(removed) != 1:
                return False
            items.remove(removed.pop())
            return answer == items
    if sample.example is None:
        raise ValueError(
            f"example of sample {sample.id!r} must be its label, got None; "
            "the released scorer compares with the label, so give one"
        )
    return answer == released_list_items(sample.example, strict=False)


def score_released_list(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a list operation as published.

    **Source**: furiosa-ai/ParallelBench, ``parallelbench/dataset/metrics.py``, ``list_*_score``.
    **Differs** from `score_list`: the label of the file decides (sort), an unclosed list counts, a
    replacement that is already in the list may leave it unchanged, and strict allows text around the list.
    """
    return accuracy(
        lenient=_released_is_right(released_list_items(text, strict=False), sample),
        strict=_released_is_right(released_list_items(text, strict=True), sample),
    )
