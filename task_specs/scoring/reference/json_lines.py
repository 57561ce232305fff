"""A file of JSON objects, one a line, with the place of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from task_specs.document import problem


def json_objects(file: Path, *, unread: str, cure: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return every object of *file* behind its place (``FILE, line 3``); blank lines count and are left out.

    Args:
        file: The file.
        unread: What is said where it cannot be read (``FILE must be ...``), in front of its name.
        cure: What to do about a file that holds something else.

    Raises:
        ValueError: It cannot be read, holds nothing, or a line is no JSON object; names file, line and cure.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{unread}, got {str(file)!r} ({error}); {cure}") from error
    found: list[tuple[str, Mapping[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise problem(where, "the line", "JSON", line[:60], cure) from error
        if not isinstance(content, dict):
            raise problem(where, "the line", "a JSON object", content, cure)
        found.append((where, content))
    if not found:
        raise ValueError(f"{file}: the file must hold one JSON object a line, got none; {cure}")
    return found
