"""PBx in every draw is PBx of the drawn points; its interval knows what is censored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pb_plugin.statistics.curve_draws import CurveDraws, PBxDraws
from pb_plugin.statistics.pbx import PBx, pbx

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5))
KIND = {"never": -1, "none": 0, "at_least": 1}


@st.composite
def drawn_curves(draw):
    shape = draw(SHAPES)
    tps = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([1.0, 1.5, 2.0, 4.0, 7.25])))
    scores = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 79.5, 80.0, 81.0, 99.0])))
    return CurveDraws(scores=scores, tps={"canvas": tps})


@given(curve=drawn_curves(), rule=st.sampled_from(["published", "uniform"]), static=st.booleans())
def test_every_draw_follows_the_rule_of_the_measured_curve(curve, rule, static):
    drawn = curve.pbx(80.0, "canvas", rule, static)
    for i, (tps, scores) in enumerate(zip(curve.tps["canvas"], curve.scores, strict=True)):
        expected = pbx(list(zip(tps, scores, strict=True)), 80.0, rule, static)
        assert drawn.kinds[i] == KIND[expected.censored]
        assert drawn.values[i] == pytest.approx(expected.value, rel=1e-12)


def test_rounding_does_not_lose_a_point_that_reaches_x():
    below = np.array([[np.nextafter(80.0, 0.0)]])
    curve = CurveDraws(scores=below, tps={"canvas": np.array([[2.0]])})
    assert curve.pbx(80.0, "canvas", "published", True).kinds[0] == 1


def draws_of(*values):
    kinds = {"never": -1, "": 0, "+": 1}
    return PBxDraws(
        values=np.array([value for value, _ in values], dtype=np.float64),
        kinds=np.array([kinds[kind] for _, kind in values], dtype=np.int8),
    )


def test_an_interval_may_end_where_nothing_is_known():
    found = draws_of(*[(0.0, "never")] * 100, *[(3.0, "")] * 1700, *[(4.0, "+")] * 200).interval()
    assert found.low == PBx(value=0.0, censored="never")
    assert found.high == PBx(value=4.0, censored="at_least")
    assert (found.p_reached, found.level) == (0.95, 0.95)
    found = draws_of(*[(2.0, "")] * 60, *[(3.0, "")] * 1940).interval()
    assert (found.low.value, found.high.value) == (2.0, 3.0)
    assert found.to_json()["low"] == {"value": 2.0, "censored": None}


@pytest.mark.parametrize(
    ("one", "other", "sign"),
    [
        ((3.0, ""), (2.0, ""), 1),
        ((2.0, ""), (2.0, ""), 0),
        ((0.0, "never"), (2.0, ""), -1),
        ((0.0, "never"), (0.0, "never"), 0),
        ((3.0, "+"), (2.0, ""), 1),
        ((3.0, "+"), (4.0, ""), 0),
        ((3.0, "+"), (3.0, "+"), 0),
        ((3.0, "+"), (4.0, "+"), 0),
    ],
)
def test_which_of_two_draws_is_higher(one, other, sign):
    assert np.sign(draws_of(one).differences(draws_of(other))) == [sign]
    assert np.sign(draws_of(other).differences(draws_of(one))) == [-sign]
