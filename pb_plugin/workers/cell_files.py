"""Whether a session will have cells, before anything is collected."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def asks_for_cells(arguments: Iterable[str]) -> bool:
    """Return whether a test file in the arguments names ``pb_cell``; the controller collects nothing."""
    paths = [Path(argument.partition("::")[0]) for argument in arguments]
    files = [
        file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]) if file.is_file()
    ]
    return any(b"pb_cell" in file.read_bytes() for file in files)
