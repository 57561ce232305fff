"""The frozen samples that models are measured on, as numbers: training never asks one of their questions."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from task_specs.generate.names import FIRST_NAMES, LAST_NAMES
from task_specs.load import load_samples
from task_specs.questions.vocabulary import WAITING_LINE
from task_specs.spec import builtin_spec

Ints = NDArray[np.int64]


@cache
def _person_codes() -> Ints:
    """Return a random number per pair of a first and a last name, int64 [first names, last names]."""
    codes: Ints = np.random.default_rng(0).integers(2**62, size=(len(FIRST_NAMES), len(LAST_NAMES)))
    return codes


def crowd_codes(firsts: Ints, lasts: Ints, lengths: Ints) -> Ints:
    """Return one number per waiting line that depends on who stands in it, not on the order; int64 [B].

    Equal crowds have equal codes; different ones differ but for an accident of 64 bits, in which a training
    list is drawn again without need.

    Args:
        firsts: Indices of first names, int64 [B, N].
        lasts: Indices of last names, int64 [B, N].
        lengths: How many of the N people stand in each line, int64 [B].
    """
    stands = np.arange(firsts.shape[1]) < lengths[:, None]
    total: Ints = np.where(stands, _person_codes()[firsts, lasts], 0).sum(axis=1)
    return total


@cache
def held_out_crowds() -> Ints:
    """Return the codes of all waiting lines in the frozen samples of all ten tasks, sorted."""
    first = {name: place for place, name in enumerate(FIRST_NAMES)}
    last = {name: place for place, name in enumerate(LAST_NAMES)}
    lines = [sample.facts["items"] for task in WAITING_LINE for sample in load_samples(builtin_spec(task))]
    longest = max(map(len, lines))
    places = np.zeros((2, len(lines), longest), dtype=np.int64)
    for row, people in enumerate(lines):
        for column, person in enumerate(people):
            first_name, last_name = person.split(" ")
            places[:, row, column] = first[first_name], last[last_name]
    lengths = np.array([len(people) for people in lines])
    return np.unique(crowd_codes(places[0], places[1], lengths))


@cache
def held_out_grids() -> Ints:
    """Return the clues of the frozen sudokus as base-5 numbers, sorted."""
    grids = ["".join(sample.facts["grid"]) for sample in load_samples(builtin_spec("sudoku"))]
    return np.unique(np.array([int(grid, 5) for grid in grids], dtype=np.int64))


def grid_codes(cells: Ints) -> Ints:
    """Return the base-5 number of grids of 16 cells, 0 for blank; int64 [B, 16] to [B]."""
    codes: Ints = cells @ (5 ** np.arange(15, -1, -1, dtype=np.int64))
    return codes


@cache
def held_out_symbols() -> Ints:
    """Return the sets of symbols of the frozen Latin squares as bit masks, sorted."""
    samples = load_samples(builtin_spec("latin_square"))
    places = np.array([[int(symbol, 36) for symbol in sample.facts["symbols"]] for sample in samples])
    return np.unique(symbol_codes(places))


def symbol_codes(places: Ints) -> Ints:
    """Return the bit mask of sets of symbols given by their base-36 digits; int64 [B, 4] to [B]."""
    codes: Ints = (np.int64(1) << places).sum(axis=1)
    return codes
