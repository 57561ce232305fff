"""A batch: what is asked how often, what of it is hidden, and what counts how much."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc
from scipy.stats import chisquare

from decoders.training.masked import LOWEST_MASK_RATIO, TAIL, mask
from pb_plugin.cli.train_tiny import lessons
from task_specs.questions import layout
from task_specs.questions.puzzles import latin, sudokus
from task_specs.questions.vocabulary import EOS, MASK, NEWLINE, PIECES
from task_specs.questions.waiting_lines import waiting_lines

LESSONS = lessons()
WEIGHTS = LESSONS.token_weights
ROWS = 64
STEPS = 30
NAMES_ON = 1.0
MARKS_ON = 0.3
FIELDS = ("ids", "positions", "targets", "weights", "tasks")


@pytest.fixture(scope="module")
def batches():
    """The first batches of a training."""
    return [LESSONS.batch_of(7, step) for step in range(STEPS)]


def same(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    steps=st.lists(st.integers(0, 20_000), min_size=2, max_size=3, unique=True),
)
def test_a_batch_depends_on_seed_and_step_and_on_nothing_before(seed, steps):
    found = {step: LESSONS.batch_of(seed, step) for step in steps}
    np.random.default_rng(0).random()
    torch.manual_seed(seed % 1000)
    for step in reversed(steps):
        assert same(LESSONS.batch_of(seed, step), found[step])
        assert not same(LESSONS.batch_of(seed + 1, step), found[step])
    assert not same(found[steps[0]], found[steps[1]])


def test_seed_and_step_are_not_confused():
    assert not same(LESSONS.batch_of(1, 2), LESSONS.batch_of(2, 1))


def test_a_batch_has_64_rows_of_prompt_and_shown_canvas(batches):
    for batch in batches:
        rows, shown = batch.targets.shape
        assert rows == ROWS
        assert shown in {22 + 3, 32 + 3}
        assert batch.ids.shape == batch.positions.shape == (rows, layout.PROMPT + shown)
        assert batch.weights.shape == batch.targets.shape
        assert (batch.ids.dtype, batch.targets.dtype, batch.weights.dtype) == (
            torch.int64,
            torch.int64,
            torch.float32,
        )


def test_a_token_is_hidden_exactly_where_it_counts(batches):
    for batch in batches:
        shown = batch.ids[:, layout.PROMPT :]
        hidden = shown == MASK
        assert ((batch.weights == 0.0) == ~hidden).all()
        assert (shown[~hidden] == batch.targets[~hidden]).all()
        assert not (batch.ids[:, : layout.PROMPT] == MASK).any(), "a prompt is never hidden"
        assert not (batch.targets == MASK).any()


def test_marks_and_eos_count_less_than_names_digits_and_letters(batches):
    mark = torch.tensor([token <= NEWLINE for token in range(len(PIECES))])
    assert {PIECES[token] for token in range(len(PIECES)) if mark[token]} >= {"<eos>", '["', ", ", ",", "\n"}
    assert not any(piece.strip().isalnum() for piece, is_mark in zip(PIECES, mark, strict=True) if is_mark)
    for batch in batches:
        hidden = batch.ids[:, layout.PROMPT :] == MASK
        is_mark = mark[batch.targets]
        assert (batch.weights[hidden & is_mark] == torch.tensor(MARKS_ON)).all()
        assert (batch.weights[hidden & ~is_mark] == NAMES_ON).all()


QUESTIONS = {
    "lines": lambda rng, rows: waiting_lines(rng, np.arange(rows) % 10),
    "sudokus": sudokus,
    "latin": latin,
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_target_is_the_answer_at_its_position(ask):
    asked = ask(np.random.default_rng(1), 200)
    batch = mask(np.random.default_rng(2), asked, MASK, WEIGHTS)
    columns = batch.positions[:, layout.PROMPT :] - layout.PROMPT
    assert (torch.from_numpy(asked.answers).gather(1, columns) == batch.targets).all()
    assert (batch.ids[:, : layout.PROMPT] == torch.from_numpy(asked.prompts)).all()


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_every_answer_is_shown_whole_and_three_positions_of_what_follows(ask):
    asked = ask(np.random.default_rng(1), 5000)
    shown = asked.shown
    assert (asked.answers[:, shown:] == EOS).all(), "an answer ends where the tail begins, or before"
    positions = mask(np.random.default_rng(2), asked, MASK, WEIGHTS).positions
    assert (positions[:, : layout.PROMPT + shown] == torch.arange(layout.PROMPT + shown)).all()
    tail = positions[:, layout.PROMPT + shown :]
    assert tail.shape == (5000, TAIL)
    assert (tail.diff(dim=1) > 0).all()
    counts = torch.bincount(tail.flatten() - layout.PROMPT, minlength=layout.CANVAS)
    assert (counts[:shown] == 0).all()
    assert len(counts) == layout.CANVAS
    assert chisquare(counts[shown:].numpy()).pvalue > 1e-6


def share_of_rows(k, n, low):
    """Return the chance of k hidden of n, the ratio being uniform from *low* to 1.

    C(n, k) times the integral of r^k (1 - r)^(n - k) is an incomplete beta function over n + 1.
    """
    return (1.0 - betainc(k + 1, n - k + 1, low)) / (n + 1) / (1.0 - low)


def test_the_hidden_share_of_a_row_is_uniform_from_its_lower_bound():
    rows = 20_000
    batch = mask(
        np.random.default_rng(3),
        waiting_lines(np.random.default_rng(1), np.zeros(rows, np.int64)),
        MASK,
        WEIGHTS,
    )
    hidden = (batch.ids[:, layout.PROMPT :] == MASK).sum(dim=1)
    n = batch.targets.shape[1]
    expected = [share_of_rows(k, n, LOWEST_MASK_RATIO) for k in range(n + 1)]
    assert sum(expected) == pytest.approx(1.0)
    counts = torch.bincount(hidden, minlength=n + 1).numpy()
    assert chisquare(counts, rows * np.array(expected)).pvalue > 1e-6


def test_positions_of_a_row_are_hidden_alike():
    batch = mask(
        np.random.default_rng(3),
        waiting_lines(np.random.default_rng(1), np.zeros(20_000, np.int64)),
        MASK,
        WEIGHTS,
    )
    counts = (batch.ids[:, layout.PROMPT :] == MASK).sum(dim=0).double()
    error = (20_000 * 0.51 * 0.49) ** 0.5
    assert ((counts - 20_000 * 0.51).abs() < 6 * error).all(), "the mean ratio is (.02 + 1) / 2"
