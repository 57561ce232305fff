"""A YAML file as checked values that remember their lines, and the one form of our data errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser is the safe loader too and ten times faster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What a key must hold: the rule in words, the test of it, and what to do otherwise."""

    text: str
    accepts: Callable[[Any], bool]
    cure: str
    required: bool = False
    default: Any = None


Fail = Callable[[str, str, object, str], ValueError]


def problem(where: str, key: str, rule: str, value: object, cure: str) -> ValueError:
    """Return the error that names the place, the key, its rule, the value found and the cure."""
    return ValueError(f"{where}: {key} must be {rule}, got {value!r}; {cure}")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'? `` for the nearest of *known*, or nothing."""
    close = get_close_matches(str(name), list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """The mapping in a YAML file, with the line of every key (``parameters.blanks`` for a nested one)."""

    name: str
    values: Mapping[str, Any]
    lines: Mapping[str, int]

    def problem(self, key: str, rule: str, value: object, cure: str) -> ValueError:
        """Return an error about *key*, with its line where the file holds it."""
        line = self.lines.get(key)
        return problem(self.name if line is None else f"{self.name}, line {line}", key, rule, value, cure)

    def checked(self, schema: Mapping[str, Rule], under: str = "") -> dict[str, Any]:
        """Return the values of *schema*'s keys, defaults filled in.

        Args:
            schema: Key to its rule.
            under: A key whose value is the mapping to check; empty for the whole file.

        Raises:
            ValueError: A key is unknown or missing, or its value breaks its rule.
        """
        values = self.values[under] if under else self.values
        prefix = f"{under}." if under else ""

        def fail(key: str, rule: str, value: object, cure: str) -> ValueError:
            return self.problem(f"{prefix}{key}", rule, value, cure)

        return check_values(values, schema, fail)


def check_values(values: Mapping[str, Any], schema: Mapping[str, Rule], fail: Fail) -> dict[str, Any]:
    """Return the values of *schema*'s keys, defaults filled in.

    Args:
        values: What was read.
        schema: Key to its rule.
        fail: Makes the error from key, rule, value and cure.

    Raises:
        ValueError: A key is unknown or missing, or its value breaks its rule.
    """
    for key in values:
        if key not in schema:
            cure = f"{did_you_mean(key, schema)}Known keys: {', '.join(schema) or 'none'}"
            raise fail(str(key), "a known key", key, cure)
    for key, rule in schema.items():
        if key not in values and rule.required:
            raise fail(key, rule.text, None, f"it is missing, {rule.cure}")
        if key in values and not rule.accepts(values[key]):
            raise fail(key, rule.text, values[key], rule.cure)
    return {key: values.get(key, rule.default) for key, rule in schema.items()}


def parse(text: str, name: str) -> Document:
    """Return the YAML mapping in *text* (safe loader: plain data only).

    Args:
        text: The file's content.
        name: What errors call the file.

    Raises:
        ValueError: It is no YAML, no mapping, or has a key twice.
    """
    loader = LOADER(text)
    try:
        node = loader.get_single_node()
        lines = _key_lines(node, name)
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = name if mark is None else f"{name}, line {mark.line + 1}"
        raise ValueError(
            f"{where}: the file must be plain YAML, got {error.problem!r}; correct that line"
        ) from error
    finally:
        loader.dispose()
    return Document(name=name, values=values, lines=lines)


def _key_lines(node: yaml.Node | None, name: str, prefix: str = "") -> dict[str, int]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(
            f"{name}: the file must be a mapping of keys, got no mapping; start it with 'id: my_task'"
        )
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        key, line = f"{prefix}{key_node.value}", key_node.start_mark.line + 1
        if key in lines:
            raise problem(
                f"{name}, line {line}",
                key,
                "there once",
                key_node.value,
                f"line {lines[key]} has it too; remove one",
            )
        lines[key] = line
        if isinstance(value_node, yaml.MappingNode):
            lines |= _key_lines(value_node, name, f"{key}.")
    return lines
