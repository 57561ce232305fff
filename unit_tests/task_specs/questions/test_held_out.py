"""Training never asks a question that models are measured on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.generate.names import FIRST_NAMES, LAST_NAMES
from task_specs.load import load_samples
from task_specs.questions import puzzles, waiting_lines
from task_specs.questions.held_out import (
    crowd_codes,
    grid_codes,
    held_out_crowds,
    held_out_grids,
    held_out_symbols,
    symbol_codes,
)
from task_specs.questions.layout import HEAD
from task_specs.questions.vocabulary import WAITING_LINE
from task_specs.spec import builtin_spec
from unit_tests.task_specs.questions.reading import lines_of, list_facts, prompt_text

NOTHING = np.zeros(0, dtype=np.int64)
LENGTH = 3
ALL_TASKS = np.arange(2000) % len(WAITING_LINE)


def frozen_lines():
    """Return the people of every frozen waiting line, in order."""
    samples = (sample for task in WAITING_LINE for sample in load_samples(builtin_spec(task)))
    return [tuple(sample.facts["items"]) for sample in samples]


def lines_asked(asked):
    return [tuple(list_facts(prompt_text(ids))["items"]) for ids in asked.prompts.tolist()]


def crowds_of(lines):
    return {frozenset(line) for line in lines}


def places_of(lines):
    """Return the indices of the first and last names of lines, as many columns as the longest has people."""
    found = np.zeros((2, len(lines), max(map(len, lines))), dtype=np.int64)
    for row, line in enumerate(lines):
        for column, person in enumerate(line):
            first, last = person.split(" ")
            found[:, row, column] = FIRST_NAMES.index(first), LAST_NAMES.index(last)
    return found


def codes_of(lines):
    return crowd_codes(*places_of(lines), np.array([len(line) for line in lines]))


PERSON = st.tuples(st.sampled_from(FIRST_NAMES), st.sampled_from(LAST_NAMES)).map(" ".join)
LINES = st.lists(PERSON, min_size=1, max_size=6, unique=True)


@given(data=st.data(), line=LINES, longer=LINES)
def test_equal_crowds_have_equal_codes_in_any_order_and_beside_any_other_line(data, line, longer):
    other = data.draw(st.permutations(line))
    (code,) = codes_of([line])
    assert codes_of([other, longer])[0] == code


@given(lines=st.lists(LINES, min_size=2, max_size=2))
def test_different_crowds_have_different_codes(lines):
    first, second = codes_of(lines)
    assert (first == second) == (set(lines[0]) == set(lines[1]))


def test_swapped_last_names_are_another_crowd():
    first, second = codes_of([("Amy Fox", "Bob Ford"), ("Amy Ford", "Bob Fox")])
    assert first != second


def test_every_frozen_line_of_all_ten_tasks_is_held_out():
    lines = frozen_lines()
    assert len(lines) == 1000
    assert np.isin(codes_of(lines), held_out_crowds()).all()
    assert len(held_out_crowds()) == len(crowds_of(lines))


def test_every_frozen_grid_and_set_of_symbols_is_held_out():
    grids = {"".join(sample.facts["grid"]) for sample in load_samples(builtin_spec("sudoku"))}
    assert set(held_out_grids().tolist()) == {int(grid, 5) for grid in grids}
    cells = np.array([list(map(int, grid)) for grid in sorted(grids)])
    assert np.isin(grid_codes(cells), held_out_grids()).all()
    sets = {frozenset(sample.facts["symbols"]) for sample in load_samples(builtin_spec("latin_square"))}
    assert len(held_out_symbols()) == len(sets)


@given(places=st.permutations(range(36)))
def test_a_set_of_symbols_is_one_number_in_any_order(places):
    chosen = np.array([places[:4], sorted(places[:4]), places[4:8]])
    one, same, other = symbol_codes(chosen)
    assert one == same != other


def test_no_line_of_thousands_holds_the_people_of_a_frozen_line():
    asked = waiting_lines.waiting_lines(np.random.default_rng(8), ALL_TASKS)
    assert not crowds_of(lines_asked(asked)) & crowds_of(frozen_lines())


@pytest.fixture
def draws_frozen_lines(monkeypatch):
    """Make the first draw of people return frozen lines of three, backwards; later ones are random."""
    lines = [line[::-1] for line in frozen_lines() if len(line) == LENGTH]
    waiting = [np.resize(column, (len(ALL_TASKS), LENGTH)) for column in places_of(lines)]
    draw = waiting_lines._distinct

    def drawn(rng, rows, n):
        chosen = draw(rng, rows, n)
        if waiting:
            chosen[:, :LENGTH] = waiting.pop(0)
        return chosen

    monkeypatch.setattr(waiting_lines, "LENGTHS", (LENGTH,))
    monkeypatch.setattr(waiting_lines, "_distinct", drawn)


@pytest.mark.usefixtures("draws_frozen_lines")
def test_a_frozen_line_that_comes_up_is_drawn_again():
    asked = waiting_lines.waiting_lines(np.random.default_rng(8), ALL_TASKS)
    assert not crowds_of(lines_asked(asked)) & crowds_of(frozen_lines())


@pytest.mark.usefixtures("draws_frozen_lines")
def test_without_held_out_lines_those_would_have_been_asked(monkeypatch):
    monkeypatch.setattr(waiting_lines, "held_out_crowds", lambda: NOTHING)
    asked = waiting_lines.waiting_lines(np.random.default_rng(8), ALL_TASKS)
    sort = WAITING_LINE.index("sort")
    not_to_sort = [line for line, task in zip(lines_asked(asked), ALL_TASKS, strict=True) if task != sort]
    assert crowds_of(not_to_sort) <= crowds_of(frozen_lines())


def test_only_the_lines_that_are_held_out_are_drawn_again(monkeypatch):
    before = lines_asked(waiting_lines.waiting_lines(np.random.default_rng(3), ALL_TASKS))
    monkeypatch.setattr(waiting_lines, "held_out_crowds", lambda: codes_of(before[::2]))
    after = lines_asked(waiting_lines.waiting_lines(np.random.default_rng(3), ALL_TASKS))
    assert after[1::2] == before[1::2]
    assert not crowds_of(after) & crowds_of(before[::2])


SEED_OF_A_FROZEN_GRID = 9
"""The 1000 sudokus of this seed would hold a frozen one."""


@pytest.mark.parametrize("held_out", [True, False])
def test_a_frozen_grid_that_comes_up_is_drawn_again(monkeypatch, held_out):
    if not held_out:
        monkeypatch.setattr(puzzles, "held_out_grids", lambda: NOTHING)
    asked = puzzles.sudokus(np.random.default_rng(SEED_OF_A_FROZEN_GRID), 1000)
    grids = {tuple(lines_of(ids[HEAD:])) for ids in asked.prompts.tolist()}
    frozen = {tuple(sample.facts["grid"]) for sample in load_samples(builtin_spec("sudoku"))}
    assert bool(grids & frozen) == (not held_out)


@pytest.mark.parametrize("held_out", [True, False])
def test_frozen_symbols_that_come_up_are_drawn_again(monkeypatch, held_out):
    if not held_out:
        monkeypatch.setattr(puzzles, "held_out_symbols", lambda: NOTHING)
    asked = puzzles.latin(np.random.default_rng(0), 3000)
    shown = {frozenset(prompt_text(ids).split("\n")[1].split(", ")) for ids in asked.prompts.tolist()}
    frozen = {frozenset(sample.facts["symbols"]) for sample in load_samples(builtin_spec("latin_square"))}
    assert bool(shown & frozen) == (not held_out)
