"""What the theory functions refuse, and what they say."""

import math

import pytest

from decoders.theory.total_correlation import (
    AnswersGiven,
    best_bound,
    best_input_dependent_bound,
    best_partition,
    conditional_marginal,
    divergence,
    error_bound,
    input_dependent_bound,
    total_correlation,
)


def test_answers_must_be_a_table_of_token_ids():
    with pytest.raises(ValueError, match=r"answers must be token ids .* got int64 of shape \(2,\); pad all"):
        total_correlation([1, 2], [1, 1])
    with pytest.raises(ValueError, match=r"answers must be token ids .* got float64"):
        total_correlation([[0.5, 1.0]], [1])
    with pytest.raises(ValueError, match="answers must be token ids"):
        total_correlation([[0, -1]], [1])


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -1], [1, math.nan], [[1, 1]]], ids=repr)
def test_weights_must_be_positive_and_one_per_answer(weights):
    with pytest.raises(ValueError, match="weights must be 2 positive numbers, one per answer, got"):
        total_correlation([[0], [1]], weights)


@pytest.mark.parametrize(
    "partition",
    [[(0,)], [(0, 1), (1,)], [(0, 1), ()], [(0, 2)], []],
    ids=["gap", "twice", "empty", "far", "none"],
)
def test_a_partition_names_every_position_once(partition):
    with pytest.raises(
        ValueError, match="partition must have non-empty steps that name every position below 2"
    ):
        error_bound([[0, 0], [1, 1]], [1, 1], partition)


@pytest.mark.parametrize(("positions", "known"), [((0, 0), ()), ((0,), (0,)), ((2,), ()), ((-1,), ())])
def test_chosen_and_given_positions_are_distinct(positions, known):
    with pytest.raises(ValueError, match="positions and given must be distinct positions below 2, got"):
        total_correlation([[0, 0], [1, 1]], [1, 1], positions, known)


def test_marginals_must_sum_to_one():
    with pytest.raises(
        ValueError, match=r"marginals must give probabilities that sum to 1, got .* at position 0"
    ):
        divergence([[0], [1]], [1, 1], [(0,)], lambda p, known: {0: 0.5})
    with pytest.raises(ValueError, match="marginals must give probabilities"):
        divergence([[0], [1]], [1, 1], [(0,)], lambda p, known: {0: 1.5, 1: -0.5})


def test_given_tokens_must_be_possible():
    with pytest.raises(ValueError, match=r"given must agree with an answer, got \{0: 2\}"):
        conditional_marginal([[0, 0], [1, 1]], [1, 1], 1, {0: 2})


@pytest.mark.parametrize("n_steps", [0, 3])
def test_every_step_commits_a_position(n_steps):
    with pytest.raises(ValueError, match=rf"n_steps must be in 1\.\.2, got {n_steps}"):
        best_bound([[0, 0], [1, 1]], [1, 1], n_steps)


def test_the_search_refuses_long_answers():
    with pytest.raises(ValueError, match="answers must have at most 10 positions, got 11"):
        best_partition([[0] * 11], [1], 2)


def test_inputs_need_positive_weights_and_one_number_of_steps():
    law = AnswersGiven(weight=1, answers=[[0, 0], [1, 1]], weights=[1, 1])
    with pytest.raises(ValueError, match=r"partitions must all have the same number of steps, got \[1, 2\]"):
        input_dependent_bound({1: law, 2: law}, lambda n: [(0, 1)] if n == 1 else [(0,), (1,)])
    with pytest.raises(
        ValueError, match=r"inputs must be one or more with positive finite weights, got \[\]"
    ):
        best_input_dependent_bound({}, 1)
    none = AnswersGiven(weight=0, answers=[[0, 0]], weights=[1])
    with pytest.raises(
        ValueError, match=r"inputs must be one or more with positive finite weights, got \[0\]"
    ):
        best_input_dependent_bound({1: none}, 1)
