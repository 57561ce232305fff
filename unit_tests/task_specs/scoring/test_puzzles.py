"""Laws of the puzzle scorers: hand-made tables, all 576 Latin squares, arbitrary text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.sample import Sample
from task_specs.scoring import SCORERS


def puzzle_sample(**facts):
    return Sample(
        id="000", fields={}, facts=facts, shots=(), example=None, answers=None, template=None, length=4
    )


SUDOKU = puzzle_sample(grid=["0042", "2031", "4023", "3214"], solution=["1342", "2431", "4123", "3214"])
SQUARE = puzzle_sample(symbols=["H", "4", "C", "A"])

OWN_SUDOKU = {
    "exact": ("1342\n2431\n4123\n3214", 1, 1),
    "fenced": ("```\n1342\n2431\n4123\n3214\n```", 1, 0),
    "fenced-with-words-around": ("Answer:\n```\n1342\n2431\n4123\n3214\n```", 0, 0),
    "blank-between-digits": ("1 3 4 2\n2 4 3 1\n4 1 2 3\n3 2 1 4", 1, 0),
    "commas": ("1,3,4,2\n2, 4, 3, 1\n4,1,2,3\n3,2,1,4", 1, 0),
    "blank-lines": ("\n1342\n\n2431\n4123\n3214\n", 1, 0),
    "windows-line-ends": ("1342\r\n2431\r\n4123\r\n3214", 1, 0),
    "words-around": ("Answer:\n1342\n2431\n4123\n3214", 0, 0),
    "bars": ("1|3|4|2\n2|4|3|1\n4|1|2|3\n3|2|1|4", 0, 0),
    "one-line": ("1342243141233214", 0, 0),
    "three-rows": ("1342\n2431\n4123", 0, 0),
    "five-rows": ("1342\n2431\n4123\n3214\n1342", 0, 0),
    "input": ("0042\n2031\n4023\n3214", 0, 0),
    "another-valid-grid": ("1234\n3412\n2143\n4321", 0, 0),
    "arabic-digits": ("١٣٤٢\n2431\n4123\n3214", 0, 0),
    "empty": ("", 0, 0),
}
RELEASED_SUDOKU = {
    "exact": ("1342\n2431\n4123\n3214", 1, 1),
    "blank-lines-are-strict": ("\n1342\n\n2431 \n4123\n3214\n", 1, 1),
    "blanks": ("1 3 4 2\n2 4 3 1\n4 1 2 3\n3 2 1 4", 1, 0),
    "words-around": ("Answer:\n1342\n2431\n4123\n3214\nDone.", 1, 0),
    "bars": ("1|3|4|2\n2|4|3|1\n4|1|2|3\n3|2|1|4", 1, 0),
    "line-of-three-digits-ignored": ("134\n1342\n2431\n4123\n3214", 1, 0),
    "five-rows": ("1342\n2431\n4123\n3214\n1342", 0, 0),
    "numbered-rows": ("1: 1342\n2: 2431\n3: 4123\n4: 3214", 0, 0),
    "letters-of-four": ("1342\n2431\n4123\nabcd", 0, 0),
    "empty": ("", 0, 0),
}
OWN_SQUARE = {
    "exact": ("H,4,A,C\n4,C,H,A\nC,A,4,H\nA,H,C,4", 1, 1),
    "fenced": ("```csv\nH,4,A,C\n4,C,H,A\nC,A,4,H\nA,H,C,4\n```\n", 1, 0),
    "cyclic": ("H,4,C,A\n4,C,A,H\nC,A,H,4\nA,H,4,C", 1, 1),
    "blank-after-comma": ("H, 4, A, C\n4, C, H, A\nC, A, 4, H\nA, H, C, 4", 1, 0),
    "blank-lines": ("H,4,A,C\n\n4,C,H,A\nC,A,4,H\nA,H,C,4\n", 1, 0),
    "words-around": ("CSV:\nH,4,A,C\n4,C,H,A\nC,A,4,H\nA,H,C,4", 0, 0),
    "column-repeats": ("H,4,A,C\n4,C,H,A\nC,A,4,H\nH,A,C,4", 0, 0),
    "row-repeats": ("H,4,A,C\n4,H,H,A\nC,A,4,H\nA,C,C,4", 0, 0),
    "row-too-long": ("H,4,A,C,H\n4,C,H,A\nC,A,4,H\nA,H,C,4", 0, 0),
    "row-too-short": ("H,4,A\n4,C,H,A\nC,A,4,H\nA,H,C,4", 0, 0),
    "five-rows": ("H,4,A,C\n4,C,H,A\nC,A,4,H\nA,H,C,4\nH,4,A,C", 0, 0),
    "three-rows": ("H,4,A,C\n4,C,H,A\nC,A,4,H", 0, 0),
    "lower-case": ("h,4,A,C\n4,C,h,A\nC,A,4,h\nA,h,C,4", 0, 0),
    "other-symbols": ("1,2,3,4\n2,1,4,3\n3,4,1,2\n4,3,2,1", 0, 0),
    "empty": ("", 0, 0),
}
RELEASED_SQUARE = {
    "exact": ("H,4,A,C\n4,C,H,A\nC,A,4,H\nA,H,C,4", 1, 1),
    "words-around-are-strict": ("CSV:\nH,4,A,C\n4,C,H,A\nC,A,4,H\nA,H,C,4\nDone", 1, 1),
    "fifth-row-ignored": ("H,4,A,C\n4,C,H,A\nC,A,4,H\nA,H,C,4\nH,4,A,C", 1, 1),
    "one-row-too-long": ("H,4,A,C,H\n4,C,H,A\nC,A,4,H\nA,H,C,4", 1, 1),
    "bad-row-skipped": ("H,4,A,A\nH,4,A,C\n4,C,H,A\nC,A,4,H\nA,H,C,4", 1, 1),
    "column-repeats": ("H,4,A,C\n4,C,H,A\nC,A,4,H\nH,A,C,4", 0, 0),
    "three-rows": ("H,4,A,C\n4,C,H,A\nC,A,4,H", 0, 0),
    "empty": ("", 0, 0),
}
TABLES = {
    "sudoku": (SUDOKU, OWN_SUDOKU),
    "released_sudoku": (SUDOKU, RELEASED_SUDOKU),
    "latin_square": (SQUARE, OWN_SQUARE),
    "released_latin_square": (SQUARE, RELEASED_SQUARE),
}
CASES = [
    pytest.param(name, sample, *row, id=f"{name}-{case}")
    for name, (sample, table) in TABLES.items()
    for case, row in table.items()
]


@pytest.mark.parametrize(("name", "sample", "text", "lenient", "strict"), CASES)
def test_puzzle_scores_equal_the_hand_made_table(name, sample, text, lenient, strict):
    assert SCORERS[name](text, sample, {}).values == {"accuracy": lenient, "accuracy_strict": strict}


@pytest.mark.parametrize("name", ["latin_square", "released_latin_square"])
def test_exactly_576_of_all_grids_of_permuted_rows_are_right(name):
    rows = [",".join(row) for row in itertools.permutations("AB1Z")]
    sample = puzzle_sample(symbols=list("AB1Z"))
    first = rows[0]  # by symmetry of the symbols every first row has as many squares: 576 / 24
    grids = ("\n".join((first, *rest)) for rest in itertools.product(rows, repeat=3))
    assert sum(SCORERS[name](grid, sample, {}).values["accuracy"] for grid in grids) == 576 / 24


@given(
    name=st.sampled_from(sorted(TABLES)),
    text=st.text(max_size=40) | st.text(alphabet="HAC1234, \n\r²٤", max_size=40),
)
def test_any_text_is_scored_within_bounds_and_strict_implies_lenient(name, text):
    scored = SCORERS[name](text, TABLES[name][0], {})
    assert 0.0 <= scored.values["accuracy_strict"] <= scored.values["accuracy"] <= 1.0


@given(
    rows=st.permutations(["1342", "2431", "4123", "3214"]),
    name=st.sampled_from(["sudoku", "released_sudoku"]),
)
def test_only_the_solution_scores_one(rows, name):
    right = rows == list(SUDOKU.facts["solution"])
    assert SCORERS[name]("\n".join(rows), SUDOKU, {}).values["accuracy"] == right
