"""What is asked how often, and that a task is the one its prompt names."""

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from task_specs.questions import layout
from task_specs.questions.mixture import PUZZLE_SHARE, ROWS, TASK_WEIGHTS, draw
from task_specs.questions.puzzles import latin, sudokus
from task_specs.questions.vocabulary import EOS, TASK_WORD, TASKS, WAITING_LINE
from task_specs.questions.waiting_lines import joined, waiting_lines

BATCHES = 300
N_LINES = len(WAITING_LINE)


@pytest.fixture(scope="module")
def batches():
    """Batches of one random source each, as in a training."""
    return [draw(np.random.default_rng((7, step))) for step in range(BATCHES)]


def test_a_batch_has_64_rows_whose_tasks_are_those_their_prompts_name(batches):
    for batch in batches:
        assert len(batch.prompts) == len(batch.answers) == ROWS == 64
        assert (batch.tasks == batch.prompts[:, 0] - TASK_WORD).all()


def test_one_batch_in_five_is_puzzles_half_each(batches):
    kinds = [set((batch.tasks >= N_LINES).tolist()) for batch in batches]
    assert all(len(kind) == 1 for kind in kinds), "a batch is of one kind"
    n_puzzles = sum(kind == {True} for kind in kinds)
    assert binomtest(n_puzzles, BATCHES, PUZZLE_SHARE).pvalue > 1e-6
    for batch, kind in zip(batches, kinds, strict=True):
        if kind == {True}:
            counts = np.bincount(batch.tasks, minlength=len(TASKS))[N_LINES:]
            assert counts.tolist() == [ROWS // 2, ROWS // 2]


def test_waiting_lines_come_as_often_as_their_weights_say(batches):
    counts = sum(np.bincount(batch.tasks, minlength=len(TASKS)) for batch in batches)[:N_LINES]
    weights = np.array([TASK_WEIGHTS[task] for task in WAITING_LINE])
    assert chisquare(counts, counts.sum() * weights / weights.sum()).pvalue > 1e-6


def test_what_is_shown_of_an_answer_is_as_wide_as_the_longest_of_its_kind(batches):
    for batch in batches:
        ends = (batch.answers != EOS).sum(axis=1).max()
        assert batch.shown == (32 if (batch.tasks >= N_LINES).any() else 22)
        assert ends <= batch.shown
    longest = max((batch.answers != EOS).sum(axis=1).max() for batch in batches if batch.shown == 22)
    assert longest == layout.LIST_ANSWER


def test_parts_are_joined_in_order_and_only_where_they_show_equally_much():
    rng = np.random.default_rng(0)
    one, other = latin(rng, 3), sudokus(rng, 2)
    both = joined(one, other)
    assert (both.prompts == np.concatenate([one.prompts, other.prompts])).all()
    assert (both.answers == np.concatenate([one.answers, other.answers])).all()
    assert both.tasks.tolist() == [11, 11, 11, 10, 10]
    with pytest.raises(ValueError, match="unpack"):
        joined(one, waiting_lines(rng, np.zeros(2, np.int64)))
