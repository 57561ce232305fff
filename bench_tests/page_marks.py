"""Tables that scripts of this folder measure, between two marks on a page of the documentation."""

from __future__ import annotations

import re
from pathlib import Path


def write(text: str, page: Path, name: str) -> None:
    """Put *text* between the marks called *name* on *page*.

    Raises:
        ValueError: The page has no such marks.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    whole = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(whole)) != 1:
        raise ValueError(f"{page} must have the mark {begin.strip()} once; put it where the table belongs")
    page.write_text(pattern.sub(lambda _: begin + text + end, whole), encoding="utf-8")
