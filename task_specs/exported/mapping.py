"""How the keys of an exported file are read: our schema, or where a YAML file beside it says they are.

``samples.yaml`` is the mapping of ``samples.jsonl``; a file whose lines have our keys needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from task_specs.document import Document, Rule, did_you_mean, parse
from task_specs.spec_schema import TEXT_RULES, choice, is_text

FACTS = ("items", "word", "symbols", "words", "text")

KEYS = ("task", "id", "prompt", "messages", "answer", "length", *(f"facts.{fact}" for fact in FACTS))
"""What is read of a line; a dot leads into a mapping. `task_specs.exported.lines` checks each."""


def _are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(is_text(key) and is_text(text) for key, text in value.items())


MAPPING: Mapping[str, Rule] = MappingProxyType(
    {
        "task": Rule(
            text="a text", accepts=is_text, cure="name the task of every line, or map the key 'task'"
        ),
        "tasks": Rule(
            text="a mapping of a task's name in the file to a task as --task takes it",
            accepts=_are_texts,
            cure="write 'name: shuffle' lines below it, or leave it out where the names are ours",
            default=MappingProxyType({}),
        ),
        "keys": Rule(
            text="a mapping of our keys to those of the file",
            accepts=_are_texts,
            cure="write lines such as 'answer: doc.label' below it",
            default=MappingProxyType({}),
        ),
        "text_rule": choice(TEXT_RULES, "leave it out for whole_canvas", default="whole_canvas"),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportMapping:
    """Where the keys of our schema stand in the lines of one exported file.

    Args:
        task: The task of every line, or None where each line names its own.
        tasks: A task's name in the file to the task it is, as ``--task`` takes it.
        keys: Our key to its dotted path; a key that is not here has its own name.
        text_rule: What of an output is scored (`task_specs.spec.TaskSpec`).
        is_given: Whether the user wrote one; without, a line holds the keys of our schema and no other.
    """

    task: str | None = None
    tasks: Mapping[str, str]
    keys: Mapping[str, str]
    text_rule: str = "whole_canvas"
    is_given: bool = True

    def value(self, line: Mapping[str, Any], key: str) -> Any:
        """Return what *line* holds for our *key*, or None where it holds nothing there."""
        found: Any = line
        for part in self.keys.get(key, key).split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def mapping_file(file: Path) -> Path:
    """Return where the mapping of the exported *file* is, if there is one."""
    return file.with_suffix(".yaml")


def read_mapping(file: Path) -> ExportMapping:
    """Return the mapping beside the exported *file*, or that of our own keys where there is none.

    Raises:
        ValueError: It is malformed; names file, line, key, value and cure.
    """
    beside = mapping_file(file)
    if not beside.is_file():
        return ExportMapping(tasks={}, keys={}, is_given=False)
    try:
        text = beside.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{beside}: the file must be UTF-8 text, got byte {error.start}; save it as UTF-8"
        ) from error
    document = parse(text, str(beside))
    values = document.checked(MAPPING)
    _check_keys(document, values["keys"])
    return ExportMapping(**values)


def _check_keys(document: Document, keys: Mapping[str, str]) -> None:
    for key in keys:
        if key not in KEYS:
            cure = f"{did_you_mean(key, KEYS)}Known keys: {', '.join(KEYS)}"
            raise document.problem("keys", "a mapping of our keys", key, cure)
