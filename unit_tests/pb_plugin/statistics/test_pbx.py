"""The two PBx rules on curves computed by hand, and the laws both obey."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.statistics.pbx import RULES, PBx, pbx

STATIC_CURVE = [(1.0, 95.0), (2.0, 88.0), (4.0, 80.0), (8.0, 40.0)]
ADAPTIVE_CURVE = [(2.0, 90.0), (3.0, 84.0), (5.0, 74.0), (9.0, 50.0)]

curves = st.lists(
    st.tuples(
        st.floats(0.1, 64.0), st.one_of(st.floats(0.0, 100.0), st.sampled_from([0.0, 70.0, 80.0, 100.0]))
    ),
    min_size=1,
    max_size=8,
)
scores = st.one_of(st.floats(0.0, 100.0), st.sampled_from([70.0, 80.0]))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (90, PBx(value=1.0)),
        (88, PBx(value=2.0)),
        (80, PBx(value=4.0)),
        (79.99, PBx(value=4.0)),
        (80.01, PBx(value=2.0)),
        (96, PBx(value=0.0, censored="never")),
        (40, PBx(value=8.0, censored="at_least")),
    ],
)
def test_a_static_method_gets_the_largest_measured_setting_that_reaches_x(x, expected):
    assert pbx(STATIC_CURVE, x, "published", True) == expected


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (90, PBx(value=2.0)),
        (87, PBx(value=2.5)),
        (84, PBx(value=3.0)),
        (80, PBx(value=3.8)),
        (62, PBx(value=7.0)),
        (91, PBx(value=0.0, censored="never")),
        (50, PBx(value=9.0, censored="at_least")),
    ],
)
@pytest.mark.parametrize(("rule", "static"), [("published", False), ("uniform", False), ("uniform", True)])
def test_an_interpolating_method_gets_the_crossing_between_neighbours(rule, static, x, expected):
    """At 80: 3 + (84 - 80) / (84 - 74) * (5 - 3) = 3.8; at 62: 5 + 12 / 24 * 4 = 7."""
    assert pbx(ADAPTIVE_CURVE, x, rule, static) == expected


def test_the_right_most_crossing_counts_where_a_curve_recovers():
    """It falls below 80 at 2, recovers at 4 and falls for good between 4 and 6: 4 + 5 / 20 * 2 = 4.5."""
    points = [(1.0, 90.0), (3.0, 70.0), (4.0, 85.0), (6.0, 65.0)]
    assert pbx(points, 80, "uniform", False) == PBx(value=4.5)
    assert pbx(points, 80, "published", True) == PBx(value=4.0)


def test_of_two_settings_with_equal_tps_the_better_comes_first():
    """Between (4, 70) and (6, 60) the line is at 65 for tps 5; (4, 90) must not be its left end."""
    points = [(4.0, 70.0), (4.0, 90.0), (6.0, 60.0)]
    assert pbx(points, 65, "uniform", False) == PBx(value=5.0)
    assert pbx(points, 80, "uniform", False) == PBx(value=4.0)


def test_the_fastest_setting_reaching_x_is_censored_even_when_its_twin_does_not():
    points = [(2.0, 95.0), (4.0, 90.0), (4.0, 70.0)]
    for rule in RULES:
        assert pbx(points, 80, rule, True) == PBx(value=4.0, censored="at_least")


def test_a_curve_without_settings_has_no_pbx_but_a_reason():
    assert pbx([], 80, "published", True) == PBx(value=None, reason="no setting was measured")


def test_json_is_null_where_nothing_is_censored():
    assert PBx(value=3.5).to_json() == {"value": 3.5, "censored": None}
    assert PBx(value=0.0, censored="never").to_json() == {"value": 0.0, "censored": "never"}
    assert PBx(value=4.0, censored="at_least").to_json() == {"value": 4.0, "censored": "at_least"}
    assert PBx(value=None, reason="why").to_json() == {"value": None, "censored": None, "reason": "why"}


@given(curve=curves, first=scores, second=scores, rule=st.sampled_from(RULES), static=st.booleans())
def test_pbx_never_grows_with_x(curve, first, second, rule, static):
    low, high = sorted((first, second))
    assert pbx(curve, low, rule, static).value >= pbx(curve, high, rule, static).value


@given(curve=curves, x=scores, rule=st.sampled_from(RULES), static=st.booleans(), power=st.integers(-3, 3))
def test_pbx_scales_with_the_unit_of_tps(curve, x, rule, static, power):
    scaled = [(tps * 2.0**power, score) for tps, score in curve]
    before, after = pbx(curve, x, rule, static), pbx(scaled, x, rule, static)
    assert after.censored == before.censored
    assert after.value == pytest.approx(before.value * 2.0**power, rel=1e-12)


@given(curve=curves, x=scores, rule=st.sampled_from(RULES), static=st.booleans(), data=st.data())
def test_the_order_of_the_points_does_not_matter(curve, x, rule, static, data):
    shuffled = data.draw(st.permutations(curve))
    assert pbx(shuffled, x, rule, static) == pbx(curve, x, rule, static)


@given(curve=curves, x=scores, rule=st.sampled_from(RULES), static=st.booleans())
def test_pbx_lies_among_the_measured_tps_and_says_when_it_is_censored(curve, x, rule, static):
    found = pbx(curve, x, rule, static)
    speeds = [tps for tps, _ in curve]
    if found.censored == "never":
        assert found.value == 0.0
        assert all(score < x for _, score in curve)
    else:
        assert min(speeds) <= found.value <= max(speeds)
        assert (found.censored == "at_least") == any(
            tps == max(speeds) and score >= x for tps, score in curve
        )


@given(curve=curves, x=scores)
def test_interpolation_is_at_least_the_measured_rule(curve, x):
    assert pbx(curve, x, "uniform", True).value >= pbx(curve, x, "published", True).value


@pytest.mark.parametrize(
    ("points", "x", "rule", "message"),
    [
        ([(1.0, 90.0)], 80, "linear", "rule must be one of published, uniform, got 'linear'; choose one"),
        ([(1.0, 90.0)], math.nan, "uniform", "x must be a finite score in percent, got nan"),
        ([(math.inf, 90.0)], 80, "uniform", r"a point must have a finite tps and score, got \(inf, 90.0\)"),
        ([(1.0, math.nan)], 80, "uniform", r"a point must have a finite tps and score, got \(1.0, nan\)"),
    ],
)
def test_a_bad_argument_is_named(points, x, rule, message):
    with pytest.raises(ValueError, match=message):
        pbx(points, x, rule, False)
