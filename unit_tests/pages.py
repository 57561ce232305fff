"""README.md and the pages of docs/ in parts: their code blocks, commands, links, and marked tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = (README, *sorted(DOCS.glob("*.md")))
"""Every page, the README first."""

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(
    r"(?P<head><!-- table (?P<name>\w+) -->\n)(?P<body>.*?)(?P<tail><!-- end of table -->)", re.DOTALL
)
_LINK = re.compile(r"\]\((?P<target>[^()\s]+)\)")


def page(name: str) -> Path:
    """Return the path of the page *name*: ``README``, or the stem of a file in docs/."""
    (found,) = [path for path in PAGES if path.stem == name]
    return found


def text(*paths: Path) -> str:
    """Return the text of *paths*, or of every page."""
    return "\n".join(path.read_text(encoding="utf-8") for path in paths or PAGES)


def blocks(language: str, *paths: Path) -> list[str]:
    """Return the bodies of the code blocks in *language*, in order, of *paths* or of every page."""
    return [match["body"] for match in _BLOCK.finditer(text(*paths)) if match["language"] == language]


def commands(*start: str, paths: tuple[Path, ...] = ()) -> list[list[str]]:
    """Return every command line of the sh blocks that begins with the words *start*, each line once."""
    lines = [
        shlex.split(part, comments=True)
        for block in blocks("sh", *paths)
        for line in block.splitlines()
        for part in line.split("&&")
    ]
    found = [tuple(words) for words in lines if words[: len(start)] == list(start)]
    return [list(words) for words in dict.fromkeys(found)]


def sections(path: Path) -> Mapping[str, str]:
    """Return the text below every heading of a page up to the next one, by heading.

    Raises:
        ValueError: Two headings of the page are equal, so that a link could not tell them apart.
    """
    parts = re.split(r"^#+ (.*)$", _BLOCK.sub("", text(path)), flags=re.MULTILINE)
    headings = parts[1::2]
    if len(set(headings)) < len(headings):
        raise ValueError(f"headings of {path.name} must differ, got {headings}; rename one")
    return dict(zip(headings, parts[2::2], strict=True))


def anchors(path: Path) -> set[str]:
    """Return what a link to a heading of the page is written like, as GitHub makes it of the heading."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in sections(path)}


def links(path: Path) -> list[str]:
    """Return the targets of the links and pictures of a page that lead to no other site."""
    found = [match["target"] for match in _LINK.finditer(_BLOCK.sub("", text(path)))]
    return [target for target in found if not target.startswith(("http://", "https://"))]


def marked_tables(*paths: Path) -> Mapping[str, str]:
    """Return the bodies between the table marks, by name."""
    return {match["name"]: match["body"] for match in _TABLE.finditer(text(*paths))}


def with_tables(page_text: str, tables: Mapping[str, str]) -> str:
    """Return *page_text* with the body of every marked table replaced.

    Raises:
        LookupError: A mark names a table that is not in *tables*.
    """
    return _TABLE.sub(lambda match: match["head"] + tables[match["name"]] + match["tail"], page_text)


def rows_of(table: str) -> list[list[str]]:
    """Return the cells of the first Markdown table in *table*, without its head."""
    lines = []
    for line in table.splitlines():
        if line.startswith("|"):
            lines.append(line)
        elif lines:
            break
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def first_column(table: str) -> list[str]:
    """Return the first cells of the first Markdown table in *table*, code marks removed."""
    return [row[0].strip("`") for row in rows_of(table)]
