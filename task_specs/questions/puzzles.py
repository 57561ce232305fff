"""Random sudokus and Latin squares with an answer each, as token ids; whole batches at once.

The rules are those of `task_specs.generate.puzzles`. Legend: B = rows.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from task_specs.answers import latin_squares
from task_specs.generate.puzzles import SYMBOLS, solved_grids
from task_specs.questions import layout
from task_specs.questions.held_out import (
    Ints,
    grid_codes,
    held_out_grids,
    held_out_symbols,
    symbol_codes,
)
from task_specs.questions.vocabulary import (
    BLANK,
    COMMA,
    COMMA_BLANK,
    DIGIT_ZERO,
    EOS,
    NEWLINE,
    TASK_WORD,
    TASKS,
)
from task_specs.questions.waiting_lines import Questions

CLUES = 8
CELLS = 16
SIDE = 4


@cache
def _grids() -> Ints:
    return np.array(solved_grids(), dtype=np.int64)


@cache
def _squares() -> Ints:
    return np.array(tuple(latin_squares(SIDE)), dtype=np.int64).reshape(-1, CELLS)


def sudokus(rng: np.random.Generator, rows: int) -> Questions:
    """Return *rows* sudokus with 8 clues and one solution; none is in the frozen samples."""
    found = [np.zeros((0, 2, CELLS), dtype=np.int64)]
    missing = rows
    while missing:
        solutions = _grids()[rng.integers(len(_grids()), size=2 * missing)]
        clue = np.argsort(rng.random(solutions.shape), axis=1) < CLUES
        grids = np.where(clue, solutions, 0)
        fits = (grids[:, None] == _grids()) | ~clue[:, None]
        unique = fits.all(axis=2).sum(axis=1) == 1
        new = unique & ~np.isin(grid_codes(grids), held_out_grids())
        found.append(np.stack([grids, solutions], axis=1)[new][:missing])
        missing -= len(found[-1])
    grids, solutions = np.concatenate(found).transpose(1, 0, 2)
    prompts, answers = _empty(rows, "sudoku")
    prompts[:, layout.HEAD :] = _lines(DIGIT_ZERO + grids)
    answers[:, : layout.BODY] = _lines(DIGIT_ZERO + solutions)
    return _questions(prompts, answers, "sudoku")


def latin(rng: np.random.Generator, rows: int) -> Questions:
    """Return *rows* Latin squares of random symbols; no set of symbols is in the frozen samples."""
    symbols = _symbols(rng, rows)
    while True:
        again = np.flatnonzero(np.isin(symbol_codes(symbols), held_out_symbols()))
        if not len(again):
            break
        symbols[again] = _symbols(rng, len(again))
    squares = _squares()[rng.integers(len(_squares()), size=rows)]
    cells = DIGIT_ZERO + np.take_along_axis(symbols, squares, axis=1)
    prompts, answers = _empty(rows, "latin_square")
    prompts[:, layout.HEAD : layout.HEAD + 2 * SIDE : 2] = DIGIT_ZERO + symbols
    prompts[:, layout.HEAD + 1 : layout.HEAD + 2 * SIDE - 1 : 2] = COMMA_BLANK
    answers[:, : layout.PUZZLE_ANSWER] = COMMA
    answers[:, : layout.PUZZLE_ANSWER : 2] = cells
    answers[:, 2 * SIDE - 1 : layout.PUZZLE_ANSWER : 2 * SIDE] = NEWLINE
    return _questions(prompts, answers, "latin_square")


def _symbols(rng: np.random.Generator, rows: int) -> Ints:
    chosen: Ints = np.argsort(rng.random((rows, len(SYMBOLS))), axis=1)[:, :SIDE]
    return chosen


def _questions(prompts: Ints, answers: Ints, task: str) -> Questions:
    """Return questions of *task*; the EOS behind a Latin square, the longer answer, is shown."""
    tasks = np.full(len(prompts), TASKS.index(task), dtype=np.int64)
    return Questions(prompts=prompts, answers=answers, shown=layout.PUZZLE_ANSWER + 1, tasks=tasks)


def _empty(rows: int, task: str) -> tuple[Ints, Ints]:
    """Return prompts with the head of *task*, and canvases of EOS."""
    prompts = np.full((rows, layout.PROMPT), BLANK, dtype=np.int64)
    prompts[:, 0], prompts[:, 1] = TASK_WORD + TASKS.index(task), NEWLINE
    return prompts, np.full((rows, layout.CANVAS), EOS, dtype=np.int64)


def _lines(cells: Ints) -> Ints:
    """Return the tokens of 4x4 cells with line breaks between the rows, int64 [B, 19]."""
    lines = np.full((len(cells), layout.BODY), NEWLINE, dtype=np.int64)
    for row in range(SIDE):
        start = row * (SIDE + 1)
        lines[:, start : start + SIDE] = cells[:, row * SIDE : (row + 1) * SIDE]
    return lines
