"""Puzzles of size 4: Latin squares of given symbols, Sudokus with exactly one solution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from string import ascii_uppercase, digits
from typing import Any

from task_specs.answers import latin_squares
from task_specs.generate.draw import distinct, one
from task_specs.generate.request import Record, Request

SIZE = 4
SYMBOLS = ascii_uppercase + digits
MAX_CLUE_DRAWS = 200
"""About 1 in 20 choices of 4 clues, the fewest a unique puzzle can have, is unique."""

Cells = tuple[int, ...]
"""The 16 cells of a Sudoku, row by row; 0 is blank."""


def latin_square_record(request: Request) -> Record:
    """Return one sample: four symbols and a square of them; question and shots share no symbol."""
    symbols = distinct(request.rng, SYMBOLS, SIZE * (request.shots + 1))
    asked = [symbols[start : start + SIZE] for start in range(0, len(symbols), SIZE)]
    question, *shots = [
        {"fields": {"symbols": ", ".join(group)}, "answer": _square(request, group)} for group in asked
    ]
    return {
        "id": request.id,
        "fields": question["fields"],
        "facts": {"symbols": asked[0]},
        "shots": shots,
        "example": question["answer"],
        "length": SIZE,
    }


def _square(request: Request, symbols: Sequence[str]) -> str:
    square = one(request.rng, latin_squares(SIZE))
    return "\n".join(",".join(symbols[cell] for cell in row) for row in square)


def sudoku_record(request: Request) -> Record | None:
    """Return one sample, or None where no unique clues were found; no two grids share a solution."""
    asked = []
    for solution in distinct(request.rng, solved_grids(), request.shots + 1):
        grid = _unique_clues(request, solution)
        if grid is None:
            return None
        asked.append((_rows(grid), _rows(solution)))
    question, *shots = [
        {"fields": {"grid": "\n".join(grid)}, "answer": "\n".join(solution)} for grid, solution in asked
    ]
    facts: dict[str, Any] = {"grid": asked[0][0], "solution": asked[0][1]}
    return {
        "id": request.id,
        "fields": question["fields"],
        "facts": facts,
        "shots": shots,
        "example": question["answer"],
        "length": SIZE,
    }


def _unique_clues(request: Request, solution: Cells) -> Cells | None:
    """Return *solution* with blanks that can be filled in one way only, or None after too many draws."""
    for _ in range(MAX_CLUE_DRAWS):
        blank = set(distinct(request.rng, range(SIZE * SIZE), request.parameters["blanks"]))
        grid = tuple(0 if place in blank else digit for place, digit in enumerate(solution))
        if n_solutions(grid) == 1:
            return grid
    return None


def _rows(cells: Cells) -> list[str]:
    return ["".join(map(str, cells[start : start + SIZE])) for start in range(0, SIZE * SIZE, SIZE)]


@cache
def solved_grids() -> tuple[Cells, ...]:
    """Return the 288 solved grids in lexical order."""
    return tuple(solutions((0,) * (SIZE * SIZE)))


def n_solutions(cells: Cells, at_most: int = 2) -> int:
    """Return how many solutions *cells* has, counting no further than *at_most*."""
    return len(list(islice(solutions(cells), at_most)))


def solutions(cells: Cells) -> Iterator[Cells]:
    """Yield every way to fill the blanks of a grid that breaks no rule yet, in lexical order."""
    if 0 not in cells:
        yield cells
        return
    place = cells.index(0)
    taken = {cells[other] for other in _seen_from(place)}
    for digit in range(1, SIZE + 1):
        if digit not in taken:
            yield from solutions((*cells[:place], digit, *cells[place + 1 :]))


@cache
def _seen_from(place: int) -> tuple[int, ...]:
    """Return the other cells in the row, the column and the 2x2 box of *place*."""
    row, column = divmod(place, SIZE)
    return tuple(
        other
        for other in range(SIZE * SIZE)
        if other != place
        and (
            other // SIZE == row
            or other % SIZE == column
            or (other // SIZE // 2, other % SIZE // 2) == (row // 2, column // 2)
        )
    )
