"""Which samples ``--samples m`` takes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.choose import choose
from task_specs.sample import Sample


def sample(number, length):
    return Sample(
        id=f"s{number}",
        fields={},
        facts={},
        shots=(),
        example=None,
        answers=None,
        template=None,
        length=length,
    )


STRATA = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def samples_of(sizes):
    lengths = [length for length, size in enumerate(sizes, 3) for _ in range(size)]
    return [sample(number, length) for number, length in enumerate(lengths)]


@given(sizes=STRATA, seed=st.integers(0, 5))
def test_a_smaller_choice_is_a_prefix_of_every_larger_one(sizes, seed):
    samples = samples_of(sizes)
    choices = [choose(samples, m, seed) for m in range(1, len(samples))]
    for smaller, larger in pairwise(choices):
        assert larger[: len(smaller)] == smaller
    for m, chosen in enumerate(choices, 1):
        assert len({entry.id for entry in chosen}) == len(chosen) == m


@given(sizes=STRATA, seed=st.integers(0, 5))
def test_every_choice_gives_each_length_its_share_rounded_up_or_down(sizes, seed):
    samples = samples_of(sizes)
    for m in range(1, len(samples)):
        chosen = choose(samples, m, seed)
        for length, size in enumerate(sizes, 3):
            share = m * size / len(samples)
            assert abs(sum(entry.length == length for entry in chosen) - share) < 1


def test_the_order_is_fixed_by_the_seed_and_moves_with_it():
    samples = samples_of([25, 25, 25, 25])
    assert choose(samples, 10, 1) == choose(list(samples), 10, 1)
    assert len({tuple(entry.id for entry in choose(samples, 10, seed)) for seed in range(20)}) == 20
    assert {choose(samples, 1, seed)[0].length for seed in range(40)} == {3, 4, 5, 6}


@pytest.mark.parametrize("m", [None, 7, 8])
def test_all_samples_come_in_file_order(m):
    samples = samples_of([3, 4])
    assert choose(samples, m, 0) == tuple(samples)


def test_at_least_one_sample_is_chosen():
    with pytest.raises(ValueError, match="samples must be at least 1, got 0; leave it out for all"):
        choose(samples_of([2]), 0, 0)
