"""Sudokus have 8 clues and one solution, Latin squares the symbols that were asked for."""

import re
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from decoders.models.tiny import fill_up
from task_specs.answers import latin_squares
from task_specs.generate.puzzles import SYMBOLS, n_solutions, solutions
from task_specs.load import load_samples
from task_specs.questions import layout
from task_specs.questions.puzzles import latin, sudokus
from task_specs.spec import builtin_spec
from task_specs.template import fill
from unit_tests.task_specs.questions.reading import answer_text, lines_of, prompt_text

SEEDS = st.integers(0, 2**63)


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, rows=st.integers(1, 12))
def test_a_sudoku_has_eight_clues_and_one_solution_which_is_its_answer(tokenizer, seed, rows):
    asked = sudokus(np.random.default_rng(seed), rows)
    assert asked.prompts.shape == (rows, layout.PROMPT)
    for prompt, answer in zip(asked.prompts.tolist(), asked.answers.tolist(), strict=True):
        grid = lines_of(prompt[layout.HEAD :])
        text = fill(builtin_spec("sudoku").prompt_compact, {"grid": "\n".join(grid)})
        assert prompt == fill_up(tokenizer.encode(text), tokenizer)
        cells = tuple(map(int, "".join(grid)))
        assert len(cells) - cells.count(0) == 8
        assert n_solutions(cells) == 1
        (solution,) = solutions(cells)
        assert answer_text(answer).split("\n") == [
            "".join(map(str, solution[start : start + 4])) for start in range(0, 16, 4)
        ]


def test_frozen_sudokus_have_as_many_clues():
    for sample in load_samples(builtin_spec("sudoku")):
        assert len("".join(sample.facts["grid"]).replace("0", "")) == 8


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, rows=st.integers(1, 12))
def test_a_latin_square_is_one_of_the_symbols_asked_for(tokenizer, seed, rows):
    asked = latin(np.random.default_rng(seed), rows)
    for prompt, answer in zip(asked.prompts.tolist(), asked.answers.tolist(), strict=True):
        head, shown = prompt_text(prompt).split("\n")
        symbols = shown.split(", ")
        assert head == "latin_square"
        assert len(set(symbols)) == 4
        assert set(symbols) <= set(SYMBOLS)
        text = fill(builtin_spec("latin_square").prompt_compact, {"symbols": shown})
        assert prompt == fill_up(tokenizer.encode(text), tokenizer)
        square = [line.split(",") for line in answer_text(answer).split("\n")]
        assert tuple(tuple(symbols.index(cell) for cell in row) for row in square) in latin_squares(4)


def test_all_squares_and_all_symbols_are_equally_likely():
    asked = latin(np.random.default_rng(4), 12_000)
    cells = Counter(
        tuple(shown.index(cell) for cell in row)
        for shown, row in zip(
            asked.prompts[:, layout.HEAD : layout.HEAD + 8 : 2].tolist(),
            asked.answers[:, :31:2].tolist(),
            strict=True,
        )
    )
    assert len(cells) == 576
    assert chisquare(list(cells.values())).pvalue > 1e-6
    first = Counter(asked.prompts[:, layout.HEAD].tolist())
    assert len(first) == 36
    assert chisquare(list(first.values())).pvalue > 1e-6


def test_a_trained_square_is_written_as_a_frozen_one():
    asked = latin(np.random.default_rng(1), 4)
    written = {answer_text(answer) for answer in asked.answers.tolist()}
    frozen = {sample.example for sample in load_samples(builtin_spec("latin_square"))}
    shapes = [{re.sub(r"\w", "x", text) for text in texts} for texts in (written, frozen)]
    assert shapes == [{"x,x,x,x\nx,x,x,x\nx,x,x,x\nx,x,x,x"}] * 2
