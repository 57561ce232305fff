"""One token per name, mark, digit and task word; and texts that come back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.answers import OPERATIONS, as_list_text
from task_specs.catalogue import BENCHMARK_IDS
from task_specs.generate.names import FIRST_NAMES, LAST_NAMES, vocabulary
from task_specs.generate.puzzles import SYMBOLS
from task_specs.load import load_samples
from task_specs.questions.vocabulary import (
    DIGIT_ZERO,
    FIRST_NAME,
    ID,
    LAST_NAME,
    MARKS,
    PIECES,
    SPECIALS,
    TASK_WORD,
    TASKS,
    UNKNOWN,
    WAITING_LINE,
    tokenizer_json,
)
from task_specs.spec import builtin_spec

TEXTS = PIECES[len(SPECIALS) :]


def test_ids_are_dense_and_every_piece_is_there_once(tokenizer):
    assert sorted(ID.values()) == list(range(len(PIECES)))
    assert tokenizer.ids == frozenset(range(len(PIECES)))
    assert tokenizer_json()["model"]["vocab"] == dict(ID)


def test_every_piece_comes_back_from_its_one_token(tokenizer):
    for place, piece in enumerate(TEXTS, start=len(SPECIALS)):
        assert tokenizer.encode(piece) == [place]
        assert tokenizer.decode([place]) == piece
    assert [tokenizer.token_id(text) for text in SPECIALS] == list(range(len(SPECIALS)))


def test_every_name_is_one_token_wherever_it_stands(tokenizer):
    for first in FIRST_NAMES:
        for last in (LAST_NAMES[0], LAST_NAMES[-1]):
            assert tokenizer.encode(f"{first} {last}") == [ID[first], ID[f" {last}"]]
    for last in LAST_NAMES:
        assert tokenizer.encode(f'", "Amy {last}"]') == [ID['", "'], ID["Amy"], ID[f" {last}"], ID['"]']]


def test_last_names_are_in_alphabetical_order():
    """Sorting people is sorting the indices of their last names."""
    assert list(LAST_NAMES) == sorted(set(LAST_NAMES))


def test_the_pieces_of_waiting_lines_are_those_the_tasks_name():
    assert set(vocabulary()) <= set(PIECES)
    assert set(WAITING_LINE) == set(BENCHMARK_IDS["waiting_line"])
    assert set(TASKS) - set(WAITING_LINE) == {"sudoku", "latin_square"}
    assert set(WAITING_LINE) <= set(OPERATIONS)


def test_the_word_of_a_task_is_the_first_token_of_its_compact_prompt(tokenizer):
    for place, task in enumerate(TASKS):
        assert tokenizer.encode(builtin_spec(task).prompt_compact)[0] == TASK_WORD + place


def test_a_range_of_ids_is_in_the_order_of_what_it_stands_for():
    assert [PIECES[FIRST_NAME + place] for place in range(len(FIRST_NAMES))] == list(FIRST_NAMES)
    assert [PIECES[LAST_NAME + place].lstrip() for place in range(len(LAST_NAMES))] == list(LAST_NAMES)
    assert [PIECES[DIGIT_ZERO + place] for place in range(36)] == sorted(SYMBOLS)
    assert [int(PIECES[DIGIT_ZERO + place], 36) for place in range(36)] == list(range(36))


@pytest.mark.parametrize("task", TASKS)
def test_every_frozen_answer_comes_back_as_it_was(tokenizer, task):
    for sample in load_samples(builtin_spec(task)):
        ids = tokenizer.encode(sample.example)
        assert UNKNOWN not in ids
        assert tokenizer.decode(ids) == sample.example


PERSON = st.tuples(st.sampled_from(FIRST_NAMES), st.sampled_from(LAST_NAMES)).map(" ".join)


@given(people=st.lists(PERSON, min_size=1, max_size=9))
def test_a_list_of_people_is_a_mark_and_two_names_each_and_an_end(tokenizer, people):
    text = as_list_text(people)
    ids = tokenizer.encode(text)
    assert len(ids) == 3 * len(people) + 1
    assert tokenizer.decode(ids) == text


@given(pieces=st.lists(st.sampled_from([*MARKS, *FIRST_NAMES, *(f" {name}" for name in LAST_NAMES)])))
def test_whatever_the_model_writes_is_text_that_comes_back_as_that_text(tokenizer, pieces):
    text = tokenizer.decode([ID[piece] for piece in pieces])
    assert text == "".join(pieces)


@pytest.mark.parametrize("word", ["Zoltan", "copies", "Amyy", "a", "[", "é", "  "])
def test_what_has_no_token_is_unknown(tokenizer, word):
    assert UNKNOWN in tokenizer.encode(word)
