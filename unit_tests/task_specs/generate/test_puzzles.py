"""Latin squares and Sudokus: the solver against brute force, and what a generated record obeys."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.generate import puzzles
from task_specs.generate.draw import source
from task_specs.generate.puzzles import (
    latin_square_record,
    n_solutions,
    solutions,
    solved_grids,
    sudoku_record,
)
from task_specs.generate.request import Request


def request(seed, shots=1, **parameters):
    return Request(rng=source(seed), id="x", length=4, shots=shots, parameters=parameters)


def brute_force_grids():
    """All solved grids, by trying every four rows."""
    grids = []
    for rows in product(permutations((1, 2, 3, 4)), repeat=4):
        columns_fit = all(len(set(column)) == 4 for column in zip(*rows, strict=True))
        boxes = [{*rows[r][c : c + 2], *rows[r + 1][c : c + 2]} for r in (0, 2) for c in (0, 2)]
        if columns_fit and all(len(box) == 4 for box in boxes):
            grids.append(tuple(cell for row in rows for cell in row))
    return grids


def test_there_are_288_solved_grids_as_brute_force_finds():
    assert list(solved_grids()) == sorted(brute_force_grids())
    assert len(solved_grids()) == 288


@given(grid=st.integers(0, 287), blanks=st.sets(st.integers(0, 15)))
def test_the_solver_finds_exactly_the_solved_grids_that_agree_with_the_clues(grid, blanks):
    clues = tuple(0 if place in blanks else digit for place, digit in enumerate(solved_grids()[grid]))
    agreeing = [
        solved for solved in solved_grids() if all(c in (0, s) for c, s in zip(clues, solved, strict=True))
    ]
    assert list(solutions(clues)) == agreeing
    assert n_solutions(clues) == min(2, len(agreeing))


@given(seed=st.integers(0, 10**6), blanks=st.integers(1, 11))
def test_a_sudoku_has_the_asked_blanks_and_one_solution(seed, blanks):
    record = sudoku_record(request(seed, blanks=blanks))
    facts = record["facts"]
    cells = tuple(int(digit) for row in facts["grid"] for digit in row)
    assert cells.count(0) == blanks
    (solution,) = solutions(cells)
    assert "".join(facts["solution"]) == "".join(map(str, solution))
    assert record["example"] == "\n".join(facts["solution"]) != record["shots"][0]["answer"]


def test_clues_that_are_never_unique_give_no_record():
    """Three clues leave a digit pair that can be swapped, so the draw is given up."""
    assert sudoku_record(request(0, shots=0, blanks=13)) is None
    assert puzzles.MAX_CLUE_DRAWS == 200


@given(seed=st.integers(0, 10**6), shots=st.integers(0, 8))
def test_a_latin_square_and_its_shots_share_no_symbol(seed, shots):
    record = latin_square_record(request(seed, shots=shots))
    groups = [record["fields"]["symbols"], *(shot["fields"]["symbols"] for shot in record["shots"])]
    symbols = [symbol for group in groups for symbol in group.split(", ")]
    assert len(set(symbols)) == len(symbols) == 4 * (shots + 1)
    assert set(symbols) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    for group, text in zip(groups, [record["example"], *(s["answer"] for s in record["shots"])], strict=True):
        rows = [row.split(",") for row in text.split("\n")]
        assert all(sorted(line) == sorted(group.split(", ")) for line in (*rows, *zip(*rows, strict=True)))


@pytest.mark.parametrize("blanks", [8, 12])
def test_the_same_source_gives_the_same_record(blanks):
    assert sudoku_record(request(3, blanks=blanks)) == sudoku_record(request(3, blanks=blanks))
