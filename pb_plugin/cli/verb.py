"""What a command of ``pb`` is: every file of this folder with a `Verb` called ``VERB`` is one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Outcome = tuple[str, int]
"""The text to print and the exit code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """A command; its name is that of its file.

    Args:
        what: What it does, in a few words.
        example: How it is called, without ``pb``.
        arguments: Adds its arguments to a parser.
        run: Does it.
    """

    what: str
    example: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Outcome]


def stored_run(parser: argparse.ArgumentParser) -> None:
    """Add what every command over a stored run takes."""
    parser.add_argument("store", metavar="STORE", type=Path, help="the folder of records (--pb-store)")
    parser.add_argument(
        "--run", metavar="NAME", dest="name", help="a file of STORE/runs; default: the newest"
    )


def shown(arguments: argparse.Namespace, data: Mapping[str, Any], lines: Callable[[Any], list[str]]) -> str:
    """Return *data* as JSON with sorted keys where that was asked for, else its *lines*."""
    if arguments.json:
        return json.dumps(data, sort_keys=True, indent=2, allow_nan=False)
    return "\n".join(lines(data))


def check_file(out: Path, option: str) -> None:
    """Refuse what cannot be a new file.

    Raises:
        ValueError: *out* is a folder, or lies in none.
    """
    if out.is_dir():
        raise ValueError(f"{option} must be a file, got the folder {str(out)!r}; name a file in it")
    check_parent(out, option)


def check_parent(out: Path, option: str) -> None:
    """Refuse what lies in no folder.

    Raises:
        ValueError: It does.
    """
    if not out.parent.is_dir():
        raise ValueError(
            f"{option} must lie in a folder that exists, got {str(out)!r}; make {str(out.parent)!r} first"
        )
