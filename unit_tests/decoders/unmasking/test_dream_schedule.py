"""Dream's timestep schedule: the counts it is known for, and what it refuses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.unmasking.dream_schedule import DreamSchedule


@pytest.fixture(scope="module")
def counts_of():
    """Return a function that gives how many positions each forward of a decoded row commits."""
    import torch

    from decoders.loop.batching import decode
    from decoders.testing.hash_denoiser import HashDenoiser

    torch.set_num_threads(1)

    def counts(method, *, gen_length, **setting):
        (outcome,) = decode(HashDenoiser(), [(3, 4)], method, gen_length=gen_length, **setting)
        return [outcome.commit_step.count(forward) for forward in range(outcome.nfe)]

    return counts


@pytest.mark.parametrize(
    ("steps", "eps", "expected"),
    [
        (1, 0.0, [32]),
        (2, 0.0, [16, 16]),
        (8, 0.0, [4, 3, 4, 4, 4, 4, 4, 5]),
        (16, 0.0, [2, 1, *[2] * 13, 3]),
        (32, 0.001, [0, *[1] * 30, 2]),
    ],
)
def test_the_counts_are_the_known_ones(counts_of, steps, eps, expected):
    assert counts_of(DreamSchedule(eps=eps), gen_length=32, max_steps=steps) == expected


def test_at_one_token_per_step_a_forward_is_wasted_and_the_last_commits_two(counts_of):
    counts = counts_of(DreamSchedule(), gen_length=32, k=1)
    assert (len(counts), counts.count(0), counts[-1]) == (32, 1, 2)


def test_every_block_has_the_schedule_of_its_own_steps(counts_of):
    whole = counts_of(DreamSchedule(), gen_length=8, k=2)
    assert counts_of(DreamSchedule(), gen_length=32, k=2, block_length=8) == whole * 4


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 24), k=st.integers(1, 24), eps=st.sampled_from([0.0, 1e-12, 1e-3, 0.05, 0.5]))
def test_the_steps_are_those_of_k_and_all_is_committed(counts_of, length, k, eps):
    counts = counts_of(DreamSchedule(eps=eps, score="margin"), gen_length=length, k=k)
    assert (len(counts), sum(counts)) == (-(-length // k), length)


@pytest.mark.parametrize("eps", [-0.1, 1.0, float("nan")])
def test_eps_is_a_time_before_the_first(eps):
    with pytest.raises(ValueError, match=r"eps must be in \[0, 1\), got .*; published are 0 and 0\.001"):
        DreamSchedule(eps=eps)


def test_a_score_must_be_known():
    with pytest.raises(ValueError, match=r"score must be one of random, .*, got 'origin'; choose"):
        DreamSchedule(score="origin")
