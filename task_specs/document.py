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


SHOWN = 160
"""Characters of a value that a message shows."""


def shown(value: object) -> str:
    """Return *value* as a message shows it: its repr, the middle of a long one left out."""
    if isinstance(value, str):
        value = value if len(value) <= SHOWN else f"{value[: SHOWN // 2]} ... {value[-SHOWN // 4 :]}"
        return repr(value)
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        return f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} ... {text[-SHOWN // 4 :]}"


def problem(where: str, key: str, rule: str, value: object, cure: str) -> ValueError:
    """Return the error that names the place, the key, its rule, the value found and the cure."""
    named = key if key.isprintable() and len(key) <= SHOWN else shown(key)
    return ValueError(f"{where}: {named} must be {rule}, got {shown(value)}; {cure}")


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
    """Return the YAML mapping in *text* (safe loader: plain data only, no aliases).

    Args:
        text: The file's content.
        name: What errors call the file.

    Raises:
        ValueError: It is no YAML, no mapping, has a key twice, an alias, or a value that is not what its tag
            says.
    """
    try:
        loader = LOADER(text)
    except yaml.reader.ReaderError as error:
        raise _unreadable_character(text, name, error) from error
    keys = _Keys(name)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ValueError(
                f"{name}: the file must be a mapping of keys, got no mapping; start it with 'id: my_task'"
            )
        keys.read(node)
        values = _constructed(loader, node, keys)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = name if mark is None else f"{name}, line {mark.line + 1}"
        raise ValueError(
            f"{where}: the file must be plain YAML, got {shown(error.problem)}; correct that line"
        ) from error
    except yaml.reader.ReaderError as error:
        raise _unreadable_character(text, name, error) from error
    except RecursionError as error:
        raise ValueError(
            f"{name}: the file must be plain YAML, got values nested too deeply; a task file needs two levels"
        ) from error
    finally:
        loader.dispose()
    return Document(name=name, values=values, lines=keys.lines)


def _unreadable_character(text: str, name: str, error: yaml.reader.ReaderError) -> ValueError:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)  # the C parser counts bytes, the other characters
    line = 1 if found is None else text.count("\n", 0, found.start()) + 1
    character = chr(error.character) if isinstance(error.character, int) else error.character
    return ValueError(
        f"{name}, line {line}: the file must be plain text, got the character {character!r}; "
        "remove it, or write it as an escape in double quotes"
    )


def _constructed(loader: yaml.SafeLoader, root: yaml.Node, keys: _Keys) -> Any:
    """Return the value of *root*; the loader's own errors about a scalar name neither file nor line."""
    try:
        return loader.construct_document(root)
    except (yaml.YAMLError, RecursionError):
        raise
    except Exception as error:
        for key, line, scalar in keys.scalars:
            try:
                loader.construct_object(scalar)
            except Exception:
                kind = scalar.tag.rpartition(":")[2]
                cure = "correct it, or put it in quotes without a tag"
                raise problem(f"{keys.name}, line {line}", key, f"a {kind}", scalar.value, cure) from error
        raise


class _Keys:
    """The line of every key of a tree of nodes, and its scalars with key and line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[str, int] = {}
        self.scalars: list[tuple[str, int, yaml.ScalarNode]] = []
        self._seen: set[int] = set()

    def read(self, node: yaml.Node, key: str = "", line: int = 1) -> None:
        """Take in *node*, which stands under *key*.

        Raises:
            ValueError: A key is there twice, or a node is reached twice, that is by an alias.
        """
        if id(node) in self._seen:
            cure = "write the value out in both places"
            raise problem(f"{self.name}, line {line}", key or "the file", "without aliases", "an alias", cure)
        self._seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            self.scalars.append((key, line, node))
        elif isinstance(node, yaml.SequenceNode):
            for entry in node.value:
                self.read(entry, key, line)
        elif isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                self._read_pair(key_node, value_node, f"{key}." if key else "")

    def _read_pair(self, key_node: yaml.Node, value_node: yaml.Node, prefix: str) -> None:
        line = key_node.start_mark.line + 1
        key = f"{prefix}{key_node.value if isinstance(key_node, yaml.ScalarNode) else '?'}"
        if key in self.lines:
            cure = f"line {self.lines[key]} has it too; remove one"
            raise problem(f"{self.name}, line {line}", key, "there once", key_node.value, cure)
        self.lines[key] = line
        self.read(key_node, key, line)
        self.read(value_node, key, line)
