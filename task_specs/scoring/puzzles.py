"""Scorers of the puzzles: sudoku (one solution) and Latin square (576 right answers at 4 x 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from task_specs.sample import Sample
from task_specs.scoring.scored import Scored, accuracy, unfenced


def text_lines(text: str) -> list[str]:
    """Return the lines of *text* without surrounding blanks, blank lines dropped."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def csv_rows(text: str) -> list[list[str]]:
    """Return the comma-separated cells of every line of *text*, blanks around a cell dropped."""
    return [[cell.strip() for cell in line.split(",")] for line in text_lines(text)]


def score_sudoku(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a sudoku: the grid is the solution.

    Lenient allows blanks and commas between digits, blank lines, and a code fence around the grid; strict is
    the exact text. Any other text beside the grid is wrong.
    """
    solution = list(sample.facts["solution"])
    grid = ["".join(line.split()).replace(",", "") for line in text_lines(unfenced(text))]
    return accuracy(lenient=grid == solution, strict=text == "\n".join(solution))


def score_latin_square(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a Latin square: exactly n rows of n cells, every row and column a permutation of the symbols.

    Lenient allows blanks around cells, blank lines, and a code fence around the square; strict allows none of
    these. Any other text is wrong.
    """
    symbols = sorted(sample.facts["symbols"])
    rows = csv_rows(unfenced(text))
    lines = rows + [list(column) for column in zip(*rows, strict=False)]
    right = len(rows) == len(symbols) and all(sorted(line) == symbols for line in lines)
    return accuracy(lenient=right, strict=right and text == "\n".join(",".join(row) for row in rows))


def _released_lenient_grid(text: str) -> list[list[int]] | None:
    """Return the four lines with exactly four digits each (other characters do not count), or None."""
    rows = [[int(digit) for digit in re.findall(r"\d", line)] for line in text.split("\n")]
    grid = [row for row in rows if len(row) == 4]
    return grid if len(grid) == 4 else None


def _released_strict_grid(text: str) -> list[list[int]] | None:
    """Return the grid of four lines of exactly four digits and nothing else but blank lines, or None."""
    lines = text_lines(text)
    if len(lines) != 4 or not all(len(line) == 4 and line.isdecimal() for line in lines):
        return None
    return [[int(digit) for digit in line] for line in lines]


def score_released_sudoku(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a sudoku as published.

    **Source**: furiosa-ai/ParallelBench, ``parallelbench/dataset/metrics.py``, ``sudoku_score``.
    **Differs** from `score_sudoku`: lenient ignores every line without exactly four digits, and every
    character that is not a digit.
    """
    solution = [[int(digit) for digit in row] for row in sample.facts["solution"]]
    return accuracy(
        lenient=_released_lenient_grid(text) == solution, strict=_released_strict_grid(text) == solution
    )


def score_released_latin_square(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a Latin square as published; lenient and strict are the same there.

    **Source**: furiosa-ai/ParallelBench, ``parallelbench/dataset/metrics.py``, ``latin_square_score``.
    **Differs** from `score_latin_square`: only lines whose set of cells is the set of symbols are read, the
    first n of them count, and a row may be longer than n as long as the columns that all rows have are right.
    """
    symbols = set(sample.facts["symbols"])
    rows = [row for row in csv_rows(text) if set(row) == symbols][: len(symbols)]
    right = len(rows) == len(symbols) and all(set(column) == symbols for column in zip(*rows, strict=False))
    return accuracy(lenient=right, strict=right)
