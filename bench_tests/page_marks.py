"""Tables that scripts of this folder measure, between two marks on a page of the documentation."""

from __future__ import annotations

import re
from pathlib import Path


def read(page: Path, name: str) -> str:
    """Return what stands between the marks called *name* on *page*.

    Raises:
        ValueError: The page has no such marks.
    """
    return _found(page, name)[1]


def write(text: str, page: Path, name: str) -> None:
    """Put *text* between the marks called *name* on *page*.

    Raises:
        ValueError: The page has no such marks.
    """
    before, _, after = _found(page, name)
    page.write_text(before + text + after, encoding="utf-8")


def _found(page: Path, name: str) -> tuple[str, str, str]:
    """Return the page up to the end of the first mark, what stands between the marks, and the rest."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    pattern = re.compile(f"(.*?{re.escape(begin)})(.*?)({re.escape(end)}.*)", re.DOTALL)
    whole = page.read_text(encoding="utf-8")
    parts = pattern.fullmatch(whole)
    if parts is None or whole.count(begin) != 1:
        raise ValueError(f"{page} must have the mark {begin.strip()} once; put it where the table belongs")
    before, between, after = parts.groups()
    return before, between, after
