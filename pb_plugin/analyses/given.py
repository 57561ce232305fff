"""Points of somebody else's for the two numbers of Figure 6: a CSV of score by method, k and block length."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("model", "task", "method", "k", "block_length", "score")
"""Of the file; an empty ``block_length`` is any order, ``score`` is in percent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenPoint:
    """One score that was measured elsewhere.

    Args:
        model: Its name.
        task: What was asked, any name.
        method: The unmasking method by our name.
        k: Tokens per step.
        block_length: Positions of a block; None for any order over the whole canvas.
        score: In percent.
    """

    model: str
    task: str
    method: str
    k: int
    block_length: int | None
    score: float


def read_given(file: Path, methods: tuple[str, ...]) -> tuple[GivenPoint, ...]:
    """Return the points of the CSV *file*.

    Args:
        file: With the columns of `COLUMNS`.
        methods: The methods that count.

    Raises:
        ValueError: The file is missing or is not like that; names file, line, column, value and cure.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"--points must be a CSV file, got {str(file)!r} ({error}); check the path"
        ) from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(sorted(rows.fieldnames or ())) != tuple(sorted(COLUMNS)):
        found = ", ".join(rows.fieldnames or ()) or "none"
        raise ValueError(f"{file}: columns must be {', '.join(COLUMNS)}, got {found}; write that header")
    points: dict[tuple[object, ...], GivenPoint] = {}
    for row in rows:
        point = _point(f"{file}, line {rows.line_num}", row, methods)
        place = (point.model, point.task, point.method, point.k, point.block_length)
        if place in points:
            raise ValueError(
                f"{file}, line {rows.line_num}: a point must be there once, got {place} again; remove one"
            )
        points[place] = point
    if not points:
        raise ValueError(
            f"{file}: the file must have a row below its header, got none; add one for each score"
        )
    return tuple(points.values())


def _point(where: str, row: dict[str, str | None], methods: tuple[str, ...]) -> GivenPoint:
    texts = {name: (row[name] or "").strip() for name in COLUMNS}
    for name in ("model", "task"):
        if not texts[name]:
            raise ValueError(f"{where}: {name} must be a name, got ''; write one")
    if texts["method"] not in methods:
        raise ValueError(
            f"{where}: method must be one of {', '.join(methods)}, got {texts['method']!r}; leave it out"
        )
    return GivenPoint(
        model=texts["model"],
        task=texts["task"],
        method=texts["method"],
        k=_whole(where, "k", texts["k"]),
        block_length=_whole(where, "block_length", texts["block_length"]) if texts["block_length"] else None,
        score=_score(where, texts["score"]),
    )


def _whole(where: str, name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{where}: {name} must be a whole number of 1 or more, got {text!r}; correct it")
    return int(text)


def _score(where: str, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= 100.0:
        raise ValueError(f"{where}: score must be a percentage from 0 to 100, got {text!r}; correct it")
    return score
