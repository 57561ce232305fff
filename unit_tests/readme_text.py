"""README.md in parts: its code blocks, its commands, and the marked tables that are generated."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(
    r"(?P<head><!-- table (?P<name>\w+) -->\n)(?P<body>.*?)(?P<tail><!-- end of table -->)", re.DOTALL
)


def text() -> str:
    """Return the README."""
    return README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the bodies of the code blocks in *language*, in order."""
    return [match["body"] for match in _BLOCK.finditer(text()) if match["language"] == language]


def commands(*programs: str) -> list[list[str]]:
    """Return every command line of the sh blocks that starts with one of *programs*, split into words."""
    lines = [
        shlex.split(part, comments=True)
        for block in blocks("sh")
        for line in block.splitlines()
        for part in line.split("&&")
    ]
    return [words for words in lines if words and words[0] in programs]


def sections() -> Mapping[str, str]:
    """Return the text below every heading up to the next one, by heading."""
    parts = re.split(r"^#+ (.*)$", _BLOCK.sub("", text()), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def marked_tables() -> Mapping[str, str]:
    """Return the bodies between the table marks, by name."""
    return {match["name"]: match["body"] for match in _TABLE.finditer(text())}


def with_tables(readme: str, tables: Mapping[str, str]) -> str:
    """Return *readme* with the body of every marked table replaced.

    Raises:
        LookupError: A mark names a table that is not in *tables*.
    """
    return _TABLE.sub(lambda match: match["head"] + tables[match["name"]] + match["tail"], readme)


def first_column(table: str) -> list[str]:
    """Return the first cells of a Markdown table without its head, code marks removed."""
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]
