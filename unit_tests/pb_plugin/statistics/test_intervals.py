"""The Wilson interval against an independent implementation and its closed forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pb_plugin.statistics.intervals import Interval, wilson

Z = 1.959963984540054


@given(n=st.integers(1, 5000), share=st.floats(0.0, 1.0), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_equals_that_of_scipy(n, share, level):
    successes = round(share * n)
    expected = binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    found = wilson(successes, n, level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.low <= successes / n <= found.high


def test_no_success_in_n_samples_is_bounded_by_its_closed_form():
    """With no success the equation is p^2 = z^2 p (1 - p) / n: p = z^2 / (n + z^2)."""
    found = wilson(0, 100)
    assert found.low == 0.0
    assert found.high == pytest.approx(Z**2 / (100 + Z**2), abs=1e-15)
    assert wilson(100, 100).high == 1.0
    assert wilson(100, 100).low == pytest.approx(1 - found.high, abs=1e-15)


def test_json_carries_the_level():
    assert Interval(low=0.25, high=0.5, level=0.95).to_json() == {"low": 0.25, "high": 0.5, "level": 0.95}


@pytest.mark.parametrize(
    ("successes", "n", "level", "message"),
    [
        (0, 0, 0.95, "n must be at least 1, got 0; without samples there is no interval"),
        (5, 4, 0.95, "successes must be between 0 and n=4, got 5; count 0/1 scores only"),
        (-1, 4, 0.95, "successes must be between 0 and n=4, got -1"),
        (1, 4, 95, r"level must be in \(0, 1\), got 95; use 0.95 for 95 %"),
    ],
)
def test_a_bad_argument_is_named(successes, n, level, message):
    with pytest.raises(ValueError, match=message):
        wilson(successes, n, level)


def test_an_interval_is_widened_to_what_was_measured():
    assert Interval(low=97.0, high=99.9, level=0.95).holding(100.0) == Interval(
        low=97.0, high=100.0, level=0.95
    )
    assert Interval(low=0.1, high=3.0, level=0.95).holding(0.0) == Interval(low=0.0, high=3.0, level=0.95)
    assert Interval(low=0.1, high=3.0, level=0.95).holding(1.0) == Interval(low=0.1, high=3.0, level=0.95)
