"""The rules of the tasks as code: sizes, weights and members of every answer set."""

import json
from math import factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.answers import (
    derived_answers,
    enumerated,
    latin_square_answers,
    latin_squares,
    list_answers,
    sudoku_answers,
)
from task_specs.sample import Enumerated, Permutations

LINE = ["Ann Lee", "Bob Kay", "Cy Fox"]


def facts(operation, items=LINE, **more):
    return {"operation": operation, "items": items, **more}


@pytest.mark.parametrize(
    ("given_facts", "texts"),
    [
        (facts("copy"), ['["Ann Lee", "Bob Kay", "Cy Fox"]']),
        (facts("sort"), ['["Cy Fox", "Bob Kay", "Ann Lee"]']),
        (facts("reverse"), ['["Cy Fox", "Bob Kay", "Ann Lee"]']),
        (facts("shuffle", ["A", "B"], exclude_input=True), ['["B", "A"]']),
        (facts("shuffle", ["A", "B"], exclude_input=False), ['["A", "B"]', '["B", "A"]']),
        (facts("replace_index", ["A", "B"], word="W", index=1), ['["A", "W"]']),
        (facts("replace_random", ["A", "B"], word="W"), ['["W", "B"]', '["A", "W"]']),
        (facts("insert_index", ["A", "B"], word="W", index=0), ['["W", "A", "B"]']),
        (facts("insert_index", ["A", "B"], word="W", index=2), ['["A", "B", "W"]']),
        (facts("insert_random", ["A"], word="W"), ['["W", "A"]', '["A", "W"]']),
        (facts("remove_index", ["A", "B"], index=0), ['["B"]']),
        (facts("remove_random", ["A", "B"]), ['["B"]', '["A"]']),
    ],
    ids=[
        "copy",
        "sort",
        "reverse",
        "shuffle",
        "shuffle_any",
        "replace_index",
        "replace_random",
        "insert_first",
        "insert_last",
        "insert_random",
        "remove_index",
        "remove_random",
    ],
)
def test_an_operation_has_exactly_these_answers_equally_likely(given_facts, texts):
    answers = list_answers(given_facts)
    assert answers == Enumerated(texts=tuple(texts), weights=(1 / len(texts),) * len(texts))


def test_sort_goes_by_last_name_and_then_by_first_name():
    people = ["Zoe Ash", "Bea Fox", "Al Fox", "Ann Zed"]
    assert list_answers(facts("sort", people)).texts == ('["Zoe Ash", "Al Fox", "Bea Fox", "Ann Zed"]',)


@given(
    n=st.integers(1, 7),
    operation=st.sampled_from(["replace_random", "insert_random", "remove_random", "shuffle", "copy"]),
)
def test_the_number_of_answers_follows_from_n(n, operation):
    expected = {
        "replace_random": n,
        "insert_random": n + 1,
        "remove_random": n,
        "shuffle": factorial(n),
        "copy": 1,
    }
    answers = list_answers(facts(operation, list("ABCDEFG"[:n]), word="W", exclude_input=False))
    assert len(set(answers.texts)) == len(answers.texts) == expected[operation]
    assert sum(answers.weights) == pytest.approx(1.0)


@pytest.mark.parametrize("exclude_input", [True, False])
def test_a_shuffle_of_seven_is_enumerated_and_of_eight_is_structural(exclude_input):
    seven = list_answers(facts("shuffle", list("ABCDEFG"), exclude_input=exclude_input))
    assert len(seven.texts) == 5040 - exclude_input
    assert ('["A", "B", "C", "D", "E", "F", "G"]' in seven.texts) is not exclude_input
    eight = list_answers(facts("shuffle", list("ABCDEFGH"), exclude_input=exclude_input), "Now: ")
    assert eight == Permutations(
        items=tuple("ABCDEFGH"),
        opening='Now: ["',
        separator='", "',
        closing='"]',
        exclude_input=exclude_input,
    )


def test_a_long_shuffle_writes_its_items_as_json():
    items = ["Smith, Jr.", 'Al "Bo"', "a\\b", "[x]", *"EFGH"]
    found = list_answers(facts("shuffle", items, exclude_input=False))
    assert json.loads(found.opening + found.separator.join(found.items) + found.closing) == items


def test_a_repeated_answer_adds_its_weight():
    assert list_answers(facts("remove_random", ["A", "A", "B"])) == Enumerated(
        texts=('["A", "B"]', '["A", "A"]'), weights=(2 / 3, 1 / 3)
    )
    assert enumerated([("x", 1.0), ("y", 2.0), ("x", 1.0)]).weights == (0.5, 0.5)


@pytest.mark.parametrize(("size", "count"), [(1, 1), (2, 2), (3, 12), (4, 576)])
def test_latin_squares_are_as_many_as_known(size, count):
    squares = latin_squares(size)
    assert len(set(squares)) == len(squares) == count
    for square in squares:
        assert all(sorted(line) == list(range(size)) for line in (*square, *zip(*square, strict=True)))


def test_puzzle_answers_are_csv_rows_and_digit_rows():
    assert latin_square_answers({"symbols": ["X", "7"]}).texts == ("X,7\n7,X", "7,X\nX,7")
    assert sudoku_answers({"grid": ["10"], "solution": ["12", "21"]}).texts == ("12\n21",)


def test_the_facts_say_which_rule_applies():
    assert derived_answers(facts("copy", ["A"]), "So: ").texts == ('So: ["A"]',)
    assert derived_answers({"symbols": ["A"]}).texts == ("A",)
    assert derived_answers({"grid": ["0"], "solution": ["1"]}).texts == ("1",)
    with pytest.raises(
        ValueError, match=r"facts must hold operation, grid or symbols .* got \['x'\]; .*stored"
    ):
        derived_answers({"x": 1})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (facts("swap"), r"operation must be one of copy, .* got 'swap'; correct"),
        (facts("copy", []), r"items must be a non-empty list of texts, got \[\]"),
        (facts("copy", "AB"), r"items must be a non-empty list of texts, got 'AB'"),
        (facts("shuffle"), r"exclude_input must be true or false, got None; say"),
        (facts("insert_random"), r"word must be a text, got None; name the new item"),
        (
            facts("replace_index", word="W", index=3),
            r"index must be a whole number from 0 to 2, got 3; .* from 0",
        ),
        (facts("insert_index", word="W", index=4), r"index must be a whole number from 0 to 3, got 4"),
        (facts("remove_index", index=True), r"index must be a whole number from 0 to 2, got True"),
        (facts("shuffle", ["A"], exclude_input=True), r"answers must hold at least one text, got none"),
        (
            facts("shuffle", ["A"] * 8, exclude_input=True),
            r"items must be distinct in a shuffle of more than 7",
        ),
    ],
    ids=[
        "operation",
        "empty",
        "no_list",
        "no_exclude_input",
        "no_word",
        "replace_index",
        "insert_index",
        "boolean",
        "no_answer",
        "repeated",
    ],
)
def test_facts_that_do_not_fit_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        list_answers(bad)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_a_positive_number(weight):
    with pytest.raises(ValueError, match="weight must be a positive number, got"):
        enumerated([("x", weight)])


@pytest.mark.parametrize("symbols", [None, [], ["A", "A"], list("ABCDE")], ids=str)
def test_symbols_are_one_to_four_different_texts(symbols):
    with pytest.raises(ValueError, match="symbols must be a list of 1 to 4 different texts, got"):
        latin_square_answers({"symbols": symbols})


@pytest.mark.parametrize("solution", [None, [], [1]], ids=str)
def test_a_sudoku_has_its_solution_in_the_facts(solution):
    with pytest.raises(ValueError, match="solution must be a list of rows of digits, got"):
        sudoku_answers({"grid": ["0"], "solution": solution})
