"""The score at a speed, and accuracy under parallelism, by hand and against numpy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.statistics.derived import aup, score_at

TPS, SCORES = np.array([[1.0, 2.0, 4.0]]), np.array([[100.0, 90.0, 50.0]])


@given(st.floats(1.0, 4.0))
def test_the_score_at_a_speed_is_on_the_line(rate):
    assert score_at(TPS[:, ::-1], SCORES[:, ::-1], rate)[0] == pytest.approx(
        np.interp(rate, TPS[0], SCORES[0]), abs=1e-9
    )


def test_every_draw_may_have_its_own_speed():
    tps, scores = np.repeat(TPS, 3, axis=0), np.repeat(SCORES, 3, axis=0)
    found = score_at(tps, scores, np.array([1.0, 3.0, 9.0]))
    assert found[:2].tolist() == [100.0, 70.0]
    assert np.isnan(found[2])


@pytest.mark.parametrize("rate", [0.5, 4.5])
def test_nothing_is_extrapolated(rate):
    assert np.isnan(score_at(TPS, SCORES, rate)[0])


def test_a_single_setting_has_a_score_at_its_own_speed():
    one = (np.array([[2.0]]), np.array([[70.0]]))
    assert score_at(*one, 2.0)[0] == 70.0
    assert np.isnan(score_at(*one, 2.1)[0])


def test_aup_by_hand():
    """96 and 80: 80 lies more than 5 below 96 and is left out; 94 is kept."""
    tps, scores = np.array([[1.0, 2.0, 3.0]]), np.array([[96.0, 80.0, 94.0]])
    weight = {y: min(math.exp(-3 * (1 - y / 96)), 1.0) for y in (96.0, 94.0)}
    expected = 1.0 * 96 + 0.5 * (3 - 1) * (94 * weight[94.0] + 96 * weight[96.0])
    assert aup(tps, scores, 96.0)[0] == pytest.approx(expected)


def test_aup_of_every_draw_is_that_of_its_own_points():
    tps = np.array([[1.0, 2.0, 4.0], [1.0, 3.0, 2.0]])
    scores = np.array([[90.0, 89.0, 86.0], [50.0, 49.0, 20.0]])
    whole = aup(tps, scores, 90.0)
    for i in range(2):
        assert whole[i] == pytest.approx(aup(tps[i : i + 1], scores[i : i + 1], 90.0)[0])
