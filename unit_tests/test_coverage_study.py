"""The coverage study knows when an interval holds the truth, and sees intervals that are too narrow."""

import numpy as np
import pytest

from bench_tests import coverage_study
from bench_tests.coverage_study import Pool, holds, study
from pb_plugin.statistics.curve_draws import PBxInterval
from pb_plugin.statistics.pbx import PBx
from pb_plugin.statistics.resample import Resample


@pytest.mark.parametrize(
    ("low", "high", "truth", "held"),
    [
        (PBx(value=2.0), PBx(value=4.0), PBx(value=3.0), True),
        (PBx(value=2.0), PBx(value=4.0), PBx(value=4.5), False),
        (PBx(value=2.0), PBx(value=4.0, censored="at_least"), PBx(value=9.0), True),
        (PBx(value=0.0, censored="never"), PBx(value=4.0), PBx(value=0.0, censored="never"), True),
        (PBx(value=1.0), PBx(value=4.0), PBx(value=0.0, censored="never"), False),
    ],
)
def test_an_end_that_is_not_known_holds_all_behind_it(low, high, truth, held):
    assert holds(PBxInterval(low=low, high=high, p_reached=1.0, level=0.95), truth) is held


@pytest.fixture
def pools():
    """Two tasks, right by chance in 30 and 80 %, and surely wrong or right at the other settings."""
    chances = np.array([[0.3, 1.0, 1.0, 0.0], [0.8, 1.0, 1.0, 0.0]])
    return {f"t{i}": Pool(chances=row[None], rates=np.full((1, 4), 2.0)) for i, row in enumerate(chances)}


def test_intervals_of_too_few_draws_hold_the_truth_too_rarely(pools, monkeypatch):
    assert 90.0 <= study("random", pools, 50, 300).covered()[0] <= 99.0
    monkeypatch.setattr(coverage_study, "Resample", lambda: Resample(draws=4))
    assert study("random", pools, 50, 300).covered()[0] < 90.0
