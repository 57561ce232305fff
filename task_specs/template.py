"""Templates of prompts: ``{name}`` stands for a field; the only place where one is filled."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any


def fill(template: str, fields: Mapping[str, Any]) -> str:
    """Return *template* with every ``{name}`` replaced by that field; ``{{`` and ``}}`` are single braces.

    Raises:
        ValueError: The template is malformed or asks for more than a plain name.
        LookupError: It names a field that is not there.
    """
    for name in field_names(template):
        if name not in fields:
            raise LookupError(
                f"a field of the prompt must be one of {', '.join(fields) or 'none'}, got {name!r}; "
                "correct the prompt or add the field to the data"
            )
    return template.format_map(fields)


def field_names(template: str) -> tuple[str, ...]:
    """Return the names in the braces of *template*, in order.

    Raises:
        ValueError: A brace is alone, or holds something other than a plain name.
    """
    cure = "write {field} for a field, {{ and }} for braces"
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"prompt must be a template with paired braces, got {template!r}; {cure}") from error
    names = []
    for _, name, format_spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or format_spec or conversion:
            raise ValueError(
                f"prompt must be a template of plain field names, got {name!r} in braces; {cure}"
            )
        names.append(name)
    return tuple(names)
