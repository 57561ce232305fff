"""Which rows a step learns from, and how they become tensors."""

import numpy as np
import torch

from decoders.tuning.batches import Example, collate, rows_of_check, rows_of_step
from decoders.tuning.settings import settings_of

CHOSEN = settings_of("full", {"epochs": 2, "batch": 4, "train_samples": 14, "validation_samples": 6})


def drawn(row):
    return row.split, row.number, row.time, row.rng.random()


def test_an_epoch_shows_samples_once_in_an_order_of_its_own():
    numbers = [[row.number for row in rows_of_step(CHOSEN, step)] for step in range(CHOSEN.steps)]
    assert CHOSEN.steps_of_epoch == 3
    first, second = ([n for step in epoch for n in step] for epoch in (numbers[:3], numbers[3:]))
    assert len(set(first)) == len(set(second)) == 12
    assert {*first, *second} <= set(range(14))
    assert first != second


def test_a_step_is_a_function_of_settings_and_number_alone():
    before = [drawn(row) for row in rows_of_step(CHOSEN, 4)]
    assert [drawn(row) for row in rows_of_step(CHOSEN, 4)] == before
    assert [drawn(row) for row in rows_of_step(CHOSEN, 5)] != before


def test_times_of_a_batch_lie_evenly():
    times = sorted(row.time for row in rows_of_step(CHOSEN, 1))
    assert np.allclose(np.diff(times), 0.25)
    assert 0.0 <= times[0] < 0.25


def test_the_rows_of_the_check_are_always_the_same():
    rows = [drawn(row) for row in rows_of_check(CHOSEN)]
    assert [drawn(row) for row in rows_of_check(CHOSEN)] == rows
    assert [row[:2] for row in rows] == [("validation", number) for number in range(6)]
    assert len({row[2] for row in rows}) == 6


def test_rows_are_padded_on_both_sides():
    short = Example(prompt=(5,), canvas=(7, 8, 1), learned=(True, False, True))
    long = Example(prompt=(5, 6), canvas=(9, 1, 1, 1), learned=(True,) * 4)
    clean = collate([short, long], 0)
    assert clean.ids.tolist() == [[0, 5, 7, 8, 1, 0], [5, 6, 9, 1, 1, 1]]
    assert clean.attend.tolist() == [[False, True, True, True, True, False], [True] * 6]
    assert clean.learned.tolist() == [[True, False, True, False], [True] * 4]
    assert clean.ids.dtype == torch.int64
