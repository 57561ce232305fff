"""The rule of every task as code: a sample's facts -> its set of valid answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import permutations
from typing import Any

from task_specs.document import shown
from task_specs.sample import AnswerSet, Enumerated, Permutations

ENUMERATED_SHUFFLE_LIMIT = 7
"""Longest list whose orders are enumerated (5,040 texts); longer ones are `Permutations`."""


MOST_WEIGHT = 1e9
"""Largest weight of an answer, so that weights can be added up."""


def as_list_text(items: Sequence[str]) -> str:
    """Return *items* as the JSON list a prompt shows and an answer holds."""
    return f"[{', '.join(map(_quoted, items))}]"


@lru_cache(maxsize=4096)
def _quoted(item: str) -> str:
    """Return *item* as JSON; the orders of a list hold the same few again and again."""
    return json.dumps(item, ensure_ascii=False)


def sort_key(person: str) -> tuple[str, str]:
    """Return what ``sort`` orders by: the last name, then the rest."""
    rest, _, last = person.rpartition(" ")
    return last, rest


def enumerated(weighted: Iterable[tuple[str, float]]) -> Enumerated:
    """Return the answer set of (text, weight) pairs: weights sum to 1, repeats add up.

    Raises:
        ValueError: There is no text, or a weight is not a positive number.
    """
    total: dict[str, float] = {}
    for text, weight in weighted:
        if not 0.0 < weight <= MOST_WEIGHT:
            raise ValueError(
                f"weight must be a positive number up to {MOST_WEIGHT:g}, got {shown(weight)} "
                f"for {shown(text)}; leave it out for equal weights"
            )
        total[text] = total.get(text, 0.0) + float(weight)
    if not total:
        raise ValueError(
            "answers must hold at least one text, got none; leave the key out if there is no reference"
        )
    scale = sum(total.values())
    return Enumerated(texts=tuple(total), weights=tuple(weight / scale for weight in total.values()))


def _copy(items: list[str], facts: Mapping[str, Any]) -> list[list[str]]:
    return [items]


def _sort(items: list[str], facts: Mapping[str, Any]) -> list[list[str]]:
    return [sorted(items, key=sort_key)]


def _reverse(items: list[str], facts: Mapping[str, Any]) -> list[list[str]]:
    return [items[::-1]]


def _shuffle(items: list[str], facts: Mapping[str, Any]) -> list[list[str]]:
    orders = [list(order) for order in permutations(items)]
    return [order for order in orders if order != items] if facts["exclude_input"] else orders


def _replace(items: list[str], word: str, index: int) -> list[str]:
    return [*items[:index], word, *items[index + 1 :]]


def _insert(items: list[str], word: str, index: int) -> list[str]:
    return [*items[:index], word, *items[index:]]


def _remove(items: list[str], index: int) -> list[str]:
    return [*items[:index], *items[index + 1 :]]


OPERATIONS: Mapping[str, Callable[[list[str], Mapping[str, Any]], list[list[str]]]] = {
    "copy": _copy,
    "sort": _sort,
    "reverse": _reverse,
    "shuffle": _shuffle,
    "replace_index": lambda items, facts: [_replace(items, facts["word"], facts["index"])],
    "replace_random": lambda items, facts: [_replace(items, facts["word"], i) for i in range(len(items))],
    "insert_index": lambda items, facts: [_insert(items, facts["word"], facts["index"])],
    "insert_random": lambda items, facts: [_insert(items, facts["word"], i) for i in range(len(items) + 1)],
    "remove_index": lambda items, facts: [_remove(items, facts["index"])],
    "remove_random": lambda items, facts: [_remove(items, i) for i in range(len(items))],
}
"""Operation to its valid result lists, one entry per equally likely way to do it."""


def list_answers(facts: Mapping[str, Any], prefix: str = "") -> AnswerSet:
    """Return the answers of a list operation; *prefix* stands before each list (a chain-of-thought marker).

    Raises:
        ValueError: The facts do not fit together.
    """
    check_list_facts(facts)
    items = list(facts["items"])
    if facts["operation"] == "shuffle" and len(items) > ENUMERATED_SHUFFLE_LIMIT:
        return _permutations(items, prefix, exclude_input=facts["exclude_input"])
    return enumerated(
        (prefix + as_list_text(result), 1.0) for result in OPERATIONS[facts["operation"]](items, facts)
    )


def _permutations(items: list[str], prefix: str, *, exclude_input: bool) -> Permutations:
    if len(set(items)) < len(items):
        raise ValueError(
            f"items must be distinct in a shuffle of more than {ENUMERATED_SHUFFLE_LIMIT}, "
            f"got {shown(items)}; rename the repeated one"
        )
    written = tuple(as_list_text([item])[2:-2] for item in items)
    return Permutations(
        items=written, opening=f'{prefix}["', separator='", "', closing='"]', exclude_input=exclude_input
    )


def check_list_facts(facts: Mapping[str, Any]) -> None:
    """Refuse facts that name no operation or lack what their operation needs.

    Raises:
        ValueError: Naming the fact, its rule, its value and the cure.
    """
    operation, items, index = facts.get("operation"), facts.get("items"), facts.get("index")
    if not isinstance(operation, str) or operation not in OPERATIONS:
        raise ValueError(
            f"operation must be one of {', '.join(OPERATIONS)}, got {shown(operation)}; correct the facts"
        )
    if not isinstance(items, list | tuple) or not items or not all(isinstance(item, str) for item in items):
        raise ValueError(f"items must be a non-empty list of texts, got {shown(items)}; correct the facts")
    if operation == "shuffle" and not isinstance(facts.get("exclude_input"), bool):
        raise ValueError(
            f"exclude_input must be true or false, got {shown(facts.get('exclude_input'))}; "
            "say whether the input order is excluded"
        )
    if operation.startswith(("replace", "insert")) and not isinstance(facts.get("word"), str):
        raise ValueError(f"word must be a text, got {shown(facts.get('word'))}; name the new item")
    places = len(items) + operation.startswith("insert")
    if operation.endswith("_index") and (type(index) is not int or not 0 <= index < places):
        raise ValueError(
            f"index must be a whole number from 0 to {places - 1}, got {shown(index)}; positions count from 0"
        )


@cache
def latin_squares(size: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Return every Latin square of 0..size-1 as rows: 1, 2, 12 and 576 of them for sizes 1 to 4."""
    rows = tuple(permutations(range(size)))
    squares: list[tuple[tuple[int, ...], ...]] = [()]
    for _ in range(size):
        squares = [
            (*square, row)
            for square in squares
            for row in rows
            if all(row[column] != above[column] for above in square for column in range(size))
        ]
    return tuple(squares)


@cache
def _square_texts(size: int) -> tuple[str, ...]:
    """Return every Latin square as CSV rows, its cells as characters 0, 1, ... to be replaced by symbols."""
    return tuple("\n".join(",".join(map(chr, row)) for row in square) for square in latin_squares(size))


def latin_square_answers(facts: Mapping[str, Any], prefix: str = "") -> Enumerated:
    """Return every Latin square of the symbols as CSV rows.

    Raises:
        ValueError: The symbols are not 1 to 4 different texts.
    """
    symbols = facts.get("symbols")
    if not isinstance(symbols, list | tuple) or not 1 <= len(set(symbols)) == len(symbols) <= 4:
        raise ValueError(
            f"symbols must be a list of 1 to 4 different texts, got {shown(symbols)}; correct the facts"
        )
    names = dict(enumerate(symbols))
    return enumerated((prefix + text.translate(names), 1.0) for text in _square_texts(len(symbols)))


def sudoku_answers(facts: Mapping[str, Any], prefix: str = "") -> Enumerated:
    """Return the one solution as rows of digits.

    Raises:
        ValueError: There is no solution in the facts.
    """
    solution = facts.get("solution")
    if (
        not isinstance(solution, list | tuple)
        or not solution
        or not all(isinstance(row, str) for row in solution)
    ):
        raise ValueError(
            f"solution must be a list of rows of digits, got {shown(solution)}; correct the facts"
        )
    return enumerated([(prefix + "\n".join(solution), 1.0)])


def derived_answers(facts: Mapping[str, Any], prefix: str = "") -> AnswerSet:
    """Return the answer set that follows from *facts* of any of our exact-answer tasks.

    Raises:
        ValueError: The facts belong to none of them or do not fit together.
    """
    if "operation" in facts:
        return list_answers(facts, prefix)
    if "grid" in facts:
        return sudoku_answers(facts, prefix)
    if "symbols" in facts:
        return latin_square_answers(facts, prefix)
    raise ValueError(
        f"facts must hold operation, grid or symbols to derive answers, got {shown(sorted(facts))}; "
        "or write 'answers: stored' in the task file and the answers in the data"
    )
