"""One line of an exported file -> a sample with the chat it is asked by, checked key by key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from task_specs.answers import as_list_text, check_list_facts, derived_answers, enumerated
from task_specs.document import problem
from task_specs.exported.mapping import FACTS, KEYS, ExportMapping
from task_specs.sample import AnswerSet, Sample
from task_specs.scoring.lists import RANDOM_OPERATIONS

Line = Mapping[str, Any]

ROLES = ("system", "user", "assistant")

NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("shuffle", "remove_random"), ("facts.items",)),
        **dict.fromkeys(("replace_random", "insert_random"), ("facts.items", "facts.word")),
        "latin_square": ("facts.symbols",),
        **dict.fromkeys(("w2s_easy", "w2s_medium", "w2s_hard"), ("facts.words",)),
        "paraphrasing": ("facts.text",),
    }
)
"""Base id of a task to what its scorer reads; every other task needs an ``answer``."""


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


FACT_RULES: Mapping[str, tuple[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "items": ("a list of texts", _texts),
        "symbols": ("a list of texts", _texts),
        "words": ("a list of texts", _texts),
        "word": ("a text", lambda value: isinstance(value, str)),
        "text": ("a text", lambda value: isinstance(value, str)),
    }
)
assert tuple(sorted(FACT_RULES)) == tuple(sorted(FACTS))


def check_plain_keys(where: str, line: Line, mapping: ExportMapping) -> None:
    """Refuse a key that is not of our schema in a file without a mapping, where it is a slip.

    Raises:
        ValueError: There is one.
    """
    if mapping.is_given:
        return
    facts = line.get("facts", {})
    inside = [f"facts.{name}" for name in facts] if isinstance(facts, Mapping) else []
    for key in [*(name for name in line if name != "facts"), *inside]:
        if key not in KEYS:
            cure = f"Known keys: {', '.join(KEYS)}; or say in a mapping beside the file where they are"
            raise problem(where, key, "a known key", key, cure)


def exported_sample(task_id: str, number: int, where: str, line: Line, mapping: ExportMapping) -> Sample:
    """Return line *number* as a sample; its ``fields`` hold the chat (``messages``) as it stands in the file.

    Args:
        task_id: Base id of the task it is.
        number: 1-based line, for the id of a sample without one.
        where: Its place, for errors.
        line: Its content.
        mapping: Where our keys are.

    Raises:
        ValueError: Something is missing or malformed; names place, key, rule, value and cure.
    """
    facts = _facts(task_id, where, line, mapping)
    answers, example = _answers(task_id, where, line, mapping, facts)
    name, length = mapping.value(line, "id"), mapping.value(line, "length")
    if name is not None and not isinstance(name, str | int):
        raise problem(
            where, _at(mapping, "id"), "a text or a whole number", name, "leave it out for the line"
        )
    if length is not None and (type(length) is not int or length < 1):
        raise problem(where, _at(mapping, "length"), "a whole number of 1 or more", length, "leave it out")
    return Sample(
        id=f"line-{number:03d}" if name is None else str(name),
        fields={"messages": _messages(where, line, mapping)},
        facts=facts,
        shots=(),
        example=example,
        answers=answers,
        template=None,
        length=length or len(facts.get("items", ())) or 1,
    )


def _messages(where: str, line: Line, mapping: ExportMapping) -> tuple[dict[str, str], ...]:
    prompt, chat = mapping.value(line, "prompt"), mapping.value(line, "messages")
    if (prompt is None) == (chat is None):
        found = "both" if prompt is not None else "neither"
        keys = f"{_at(mapping, 'prompt')} or {_at(mapping, 'messages')}"
        raise problem(where, keys, "given, one of the two", found, "give the question once")
    if chat is None:
        if not isinstance(prompt, str) or not prompt.strip():
            raise problem(
                where, _at(mapping, "prompt"), "a text", prompt, "write the question as it is asked"
            )
        return ({"role": "user", "content": prompt},)
    rule, cure = "a list of {role, content} that ends with the user", f"roles are {', '.join(ROLES)}"
    if (
        not isinstance(chat, list)
        or not chat
        or not all(map(_is_message, chat))
        or chat[-1]["role"] != "user"
    ):
        raise problem(where, _at(mapping, "messages"), rule, chat, cure)
    return tuple({"role": turn["role"], "content": turn["content"]} for turn in chat)


def _is_message(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") in ROLES and isinstance(turn.get("content"), str)


def _facts(task_id: str, where: str, line: Line, mapping: ExportMapping) -> dict[str, Any]:
    found = {}
    for name, (rule, accepts) in FACT_RULES.items():
        value = mapping.value(line, f"facts.{name}")
        if name == "items":
            value = _listed(value)
        if value is None:
            continue
        if not accepts(value):
            raise problem(
                where, _at(mapping, f"facts.{name}"), rule, value, "export it so, or map another key"
            )
        found[name] = value
    for key in NEEDED.get(task_id, ()):
        if key.removeprefix("facts.") not in found:
            cure = f"add it, or say in the mapping where it is (keys: {key}: PATH)"
            raise problem(where, _at(mapping, key), f"given for {task_id}", None, cure)
    if task_id in RANDOM_OPERATIONS:
        found |= {"operation": task_id} | ({"exclude_input": True} if task_id == "shuffle" else {})
        try:
            check_list_facts(found)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    return found


def _listed(value: Any) -> Any:
    """Return the items of a list that is written as a JSON text, anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _answers(
    task_id: str, where: str, line: Line, mapping: ExportMapping, facts: dict[str, Any]
) -> tuple[AnswerSet | None, str | None]:
    """Return the answer set and an example; *facts* gets what the scorer reads of the answer."""
    given = mapping.value(line, "answer")
    key, cure = _at(mapping, "answer"), "add it, or say in the mapping where it is (keys: answer: PATH)"
    if task_id in RANDOM_OPERATIONS or task_id == "latin_square":
        try:
            answers = derived_answers(facts)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        return answers, given if isinstance(given, str) else None
    if task_id in NEEDED:
        references = [given] if isinstance(given, str) else given
        if references is not None and not _texts(references):
            raise problem(where, key, "a text or a list of texts", given, "leave it out if there is none")
        facts["references"] = references or []
        return (enumerated((text, 1.0) for text in references), references[0]) if references else (None, None)
    if task_id == "summarization":
        if not isinstance(given, str) and not _texts(given):
            raise problem(where, key, "the summary, or a list of them", given, cure)
        facts["references"] = [given] if isinstance(given, str) else given
        return enumerated((text, 1.0) for text in facts["references"]), facts["references"][0]
    return _one_answer(task_id, where, given, facts, (key, cure))


def _one_answer(
    task_id: str, where: str, given: Any, facts: dict[str, Any], about: tuple[str, str]
) -> tuple[AnswerSet, str]:
    """Return the one right answer of a list operation or a grid, given as text or as its parts."""
    is_grid = task_id == "sudoku"
    if not isinstance(given, str) and not _texts(given):
        rule = "the solved grid, as text or as its rows" if is_grid else "the list, as text or as its items"
        raise problem(where, about[0], rule, given, about[1])
    if is_grid:
        rows = given.split("\n") if isinstance(given, str) else given
        facts["solution"] = [row.strip() for row in rows if row.strip()]
        text = "\n".join(facts["solution"])
    else:
        text = given if isinstance(given, str) else as_list_text(given)
        facts |= {"operation": task_id, "items": facts.get("items", [])}
    return enumerated([(text, 1.0)]), text


def _at(mapping: ExportMapping, key: str) -> str:
    """Return our *key* with where it was looked for, as messages name it."""
    path = mapping.keys.get(key, key)
    return key if path == key else f"{key} (mapped to {path})"
