"""How an audit's table is printed or stored: what the modules of tables have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any


def as_json(rows: Iterable[Any]) -> str:
    """Return *rows*, dataclasses, as JSON, one a line."""
    return "[\n" + ",\n".join(json.dumps(asdict(row)) for row in rows) + "\n]\n"


def percent(score: float | None) -> str:
    """Return *score* in percent, a dash where there is none."""
    return "-" if score is None else f"{100.0 * score:.0f}"


def print_or_store(
    arguments: Sequence[str] | None,
    table: Callable[[], Sequence[Any]],
    as_markdown: Callable[[Sequence[Any]], str],
    *,
    module: str,
    about: str | None,
) -> int:
    """Print a table as Markdown, or store it as JSON.

    Args:
        arguments: Command line, or None for that of the process.
        table: Makes its rows.
        as_markdown: Writes them for people.
        module: Who asks.
        about: What it says of itself.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="store the rows as JSON instead of printing"
    )
    options = parser.parse_args(arguments)
    rows = table()
    if options.write is None:
        print(as_markdown(rows), end="")
    else:
        options.write.write_text(as_json(rows), encoding="utf-8")
    return 0
