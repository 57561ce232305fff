"""The closed forms of the list operations equal what is computed from the enumerated answers."""

import itertools
import math

import pytest

from decoders.theory.closed_forms import (
    quotas,
    replace_random_accuracy,
    replace_random_correlation,
    replace_random_threshold_accuracy,
    shuffle_accuracy,
    shuffle_bound,
    shuffle_correlation,
    shuffle_threshold_accuracy,
)
from decoders.theory.exact_law import correct_probability
from decoders.theory.total_correlation import error_bound, total_correlation

SIZES_AND_K = [(n, k) for n in range(2, 7) for k in range(1, n + 1)]


def shuffle(n):
    answers = list(itertools.permutations(range(n)))
    return answers, [1] * len(answers)


def replace_random(n):
    return [[n if i == j else i for i in range(n)] for j in range(n)], [1] * n


def steps_of(sizes):
    """The step of each position, left to right."""
    return [step for step, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize(
    ("n", "k", "expected"),
    [
        (10, 4, (4, 3, 3)),
        (10, 1, (1,) * 10),
        (10, 10, (10,)),
        (10, 16, (10,)),
        (7, 2, (2, 2, 2, 1)),
        (9, 5, (5, 4)),
    ],
)
def test_quotas_split_as_evenly_as_possible_larger_first(n, k, expected):
    assert quotas(n, k) == expected


@pytest.mark.parametrize("n", range(2, 7))
def test_correlations_equal_the_enumerated_ones(n):
    assert replace_random_correlation(n) == pytest.approx(total_correlation(*replace_random(n)))
    assert shuffle_correlation(n) == pytest.approx(total_correlation(*shuffle(n)))


def test_correlations_equal_values_worked_by_hand():
    """Replace random, n=2: 1 bit. Shuffle: n=2, 1 bit; n=4, 8 - log2 24."""
    assert replace_random_correlation(2) == pytest.approx(1.0)
    assert shuffle_correlation(1) == 0.0
    assert shuffle_correlation(2) == pytest.approx(1.0)
    assert shuffle_correlation(4) == pytest.approx(8.0 - math.log2(24.0))


def test_replace_random_correlation_rises_to_log2_e_and_shuffle_grows_without_bound():
    sizes = [2, 3, 10, 1000, 10**6]
    values = [replace_random_correlation(n) for n in sizes]
    assert values == sorted(values)
    assert values[-1] < math.log2(math.e)
    assert values[-1] == pytest.approx(math.log2(math.e), abs=1e-5)
    assert shuffle_correlation(200) > 1.4 * 190


@pytest.mark.parametrize(("n", "k"), SIZES_AND_K)
def test_shuffle_bound_equals_the_enumerated_one(n, k):
    sizes = quotas(n, k)
    steps = steps_of(sizes)
    partition = [[p for p in range(n) if steps[p] == step] for step in range(len(sizes))]
    assert shuffle_bound(n, sizes) == pytest.approx(error_bound(*shuffle(n), partition), abs=1e-9)


def test_shuffle_bound_of_pairs_is_a_ratio_of_double_factorials():
    """Paper, below Eq. 4: log2(n!! / (n-1)!!); n = 6 gives 48/15."""
    assert shuffle_bound(6, (2, 2, 2)) == pytest.approx(math.log2(48 / 15))


def test_shuffle_bound_takes_steps_of_any_sizes():
    """Four items in steps of 1 and 3: log2 4 + 3 log2 3 - log2 24."""
    assert shuffle_bound(4, (1, 3)) == pytest.approx(2 + 3 * math.log2(3) - math.log2(24))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(("n", "k"), SIZES_AND_K)
def test_shuffle_accuracy_equals_the_exact_law(n, k, temperature):
    law = correct_probability(*shuffle(n), steps_of(quotas(n, k)), temperature)
    assert shuffle_accuracy(n, k) == pytest.approx(law)


def test_shuffle_accuracy_equals_values_worked_by_hand():
    """k=n: n!/n^n. k=2: prod (r-1)/r over r = n, n-2, ... n=10, k=4: quotas 4, 3, 3."""
    assert shuffle_accuracy(6, 1) == 1.0
    assert shuffle_accuracy(4, 4) == pytest.approx(24 / 256)
    assert shuffle_accuracy(6, 2) == pytest.approx(5 / 6 * 3 / 4 * 1 / 2)
    assert shuffle_accuracy(10, 4) == pytest.approx(5040 / 10**4 * 120 / 216 * 6 / 27)


@pytest.mark.parametrize(("n", "k"), SIZES_AND_K)
def test_greedy_replace_random_accuracy_equals_the_exact_law(n, k):
    law = correct_probability(*replace_random(n), steps_of(quotas(n, k)))
    assert replace_random_accuracy(n, k, greedy=True) == pytest.approx(law)


@pytest.mark.parametrize(("k", "expected"), [(1, 1.0), (2, 0.5), (3, 0.0), (4, 0.0), (6, 0.0), (12, 0.0)])
def test_greedy_replace_random_where_k_divides_n(k, expected):
    assert replace_random_accuracy(12, k, greedy=True) == expected


@pytest.mark.parametrize(("n", "k", "expected"), [(5, 2, 1.0), (5, 4, 0.5), (7, 4, 0.0)])
def test_greedy_replace_random_depends_on_the_last_quota(n, k, expected):
    """Quotas 2,2,1 then 3,2 then 4,3."""
    assert replace_random_accuracy(n, k, greedy=True) == expected


@pytest.mark.parametrize("n", range(2, 7))
def test_sampled_replace_random_accuracy_equals_the_exact_law(n):
    one_step = correct_probability(*replace_random(n), [0] * n, temperature=1.0)
    assert replace_random_accuracy(n, n, greedy=False) == pytest.approx(one_step)
    assert replace_random_accuracy(n, 1, greedy=False) == 1.0


def test_sampled_replace_random_in_one_step_tends_to_one_over_e():
    assert replace_random_accuracy(10**6, 10**6, greedy=False) == pytest.approx(math.exp(-1.0), abs=1e-5)


@pytest.mark.parametrize(
    ("gamma", "expected"),
    [
        (1.0, 1.0),
        (0.51, 1.0),
        (0.5, 2 / 4),
        (0.34, 2 / 4),
        (1 / 3, 6 / 27),
        (0.2, 120 / 3125),
        (0.01, 120 / 3125),
    ],
)
def test_shuffle_of_five_under_a_threshold(gamma, expected):
    """1/r reaches gamma with r = 1, 2, 3 or 5 items left; they come out at once."""
    assert shuffle_threshold_accuracy(5, gamma) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gamma", "expected"), [(1.0, 1.0), (0.91, 1.0), (0.9, 0.0), (0.89, 0.0), (0.1, 0.0)]
)
def test_replace_random_of_ten_under_a_threshold_turns_at_nine_tenths(gamma, expected):
    """The tie itself goes with "reaches", so 0.9 gives 0."""
    assert replace_random_threshold_accuracy(10, gamma) == expected


@pytest.mark.parametrize(
    ("form", "arguments", "message"),
    [
        (quotas, (0, 1), "n_masked must be at least 1, got 0"),
        (quotas, (3, 0), "k must be at least 1, got 0"),
        (replace_random_correlation, (1,), "n must be at least 2, got 1"),
        (shuffle_correlation, (0,), "n must be at least 1, got 0"),
        (shuffle_bound, (3, (2, 2)), "step_sizes must be positive and sum to n=3"),
        (shuffle_bound, (3, (3, 0)), "step_sizes must be positive and sum to n=3"),
        (shuffle_accuracy, (3, 0), "k must be at least 1, got 0"),
        (shuffle_threshold_accuracy, (0, 0.9), "n must be at least 1, got 0"),
        (shuffle_threshold_accuracy, (3, 0.0), r"gamma must be in \(0, 1\], got 0.0"),
        (replace_random_threshold_accuracy, (2, 0.9), "n must be at least 3, got 2"),
        (replace_random_threshold_accuracy, (3, 1.1), r"gamma must be in \(0, 1\], got 1.1"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_closed_forms_refuse_what_they_do_not_cover(form, arguments, message):
    with pytest.raises(ValueError, match=message):
        form(*arguments)


def test_replace_random_accuracy_refuses_what_it_does_not_cover():
    with pytest.raises(ValueError, match="n must be at least 2, got 1"):
        replace_random_accuracy(1, 1, greedy=True)
    with pytest.raises(ValueError, match="k must be 1 or at least n=4 with sampling, got 2"):
        replace_random_accuracy(4, 2, greedy=False)
