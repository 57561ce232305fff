"""How wide a report may be, and lines that fit."""

from __future__ import annotations

import shutil

WIDE = 120
"""Columns of what is no terminal, such as the log of a CI; COLUMNS says otherwise."""

NARROW = 100
"""Below so many columns a table shows its most important numbers only."""

CUT = "..."


def screen_width() -> int:
    """Return the columns of the terminal, or `WIDE` where there is none."""
    return shutil.get_terminal_size(fallback=(WIDE, 24)).columns


def fitted(line: str, width: int) -> str:
    """Return *line*, cut to *width* columns with dots at its end where it is longer."""
    return line if len(line) <= width else line[: max(width - len(CUT), 0)].rstrip() + CUT


def disagreement_lines(n: int) -> list[str]:
    """Return a line about *n* questions that a server answered in two ways; none where it did not."""
    word = "questions have" if n > 1 else "question has"
    return [f"served: {n} {word} more than one answer; the first counts"] if n else []
