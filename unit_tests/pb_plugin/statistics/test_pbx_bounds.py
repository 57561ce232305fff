"""Bounds of PBx over boxes: no curve through them lies outside, and a gate that is certain stays so."""

from operator import ge, gt, le, lt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.statistics.pbx import pbx
from pb_plugin.statistics.pbx_bounds import Box, fastest_reaches, highest, holds, lowest, that_matter

X = 80.0
GRID = [0.0, 60.0, 79.0, 80.0, 81.0, 95.0, 100.0]
RATES = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0]


@st.composite
def ends(draw, values):
    low, high = sorted((draw(st.sampled_from(values)), draw(st.sampled_from(values))))
    return low, high


boxes = st.lists(st.builds(Box, ends(RATES), ends(GRID)), min_size=1, max_size=5)


def inside(data, box):
    """Draw a point of the box, its corners and what lies on the grid often."""

    def value(low, high, grid):
        return data.draw(
            st.one_of(st.sampled_from([g for g in grid if low <= g <= high]), st.floats(low, high))
        )

    return value(*box.tps, RATES), value(*box.score, GRID)


@given(boxes, st.booleans(), st.data())
def test_no_curve_through_the_boxes_lies_outside_the_bounds(found, static, data):
    value = pbx([inside(data, box) for box in found], X, "published", static).value
    assert lowest(found, X, static=static) <= value <= highest(found, X, static=static)


@given(boxes, st.booleans())
def test_complete_settings_have_equal_bounds(found, static):
    fixed = [Box((box.tps[0], box.tps[0]), (box.score[0], box.score[0])) for box in found]
    value = pbx([(box.tps[0], box.score[0]) for box in fixed], X, "published", static)
    assert lowest(fixed, X, static=static) == highest(fixed, X, static=static) == value.value
    assert fastest_reaches(fixed, X) is (value.censored == "at_least")


@given(boxes, st.booleans(), st.data())
def test_the_bounds_are_reached(found, static, data):
    """The corners of boxes and the places of the other ends reach both bounds, up to limits."""
    low, high = lowest(found, X, static=static), highest(found, X, static=static)
    assert low <= high
    if all(box.tps[0] == box.tps[1] for box in found):
        for end, place in ((low, 0), (high, 1)):
            curve = [(box.tps[0], box.score[place]) for box in found]
            assert end == pbx(curve, X, "published", static).value


def gate_of(curve, compare, bound, static):
    """Return what a gate says of a complete curve."""
    value = pbx(curve, X, "published", static)
    return compare(value.value, bound) and not (value.censored == "at_least" and compare in (le, lt))


compares = st.sampled_from([ge, gt, le, lt])
bounds = st.one_of(st.sampled_from([0.0, *RATES, 9.0]), st.floats(0.0, 9.0))


@given(boxes, compares, bounds, st.booleans(), st.data())
def test_what_is_certain_is_what_every_curve_says(found, compare, bound, static, data):
    certain = holds(found, X, compare, bound, static=static)
    curve = [inside(data, box) for box in found]
    if certain is not None:
        assert gate_of(curve, compare, bound, static) is certain


@given(boxes, compares, bounds, st.booleans(), st.data())
def test_what_does_not_matter_changes_no_gate(found, compare, bound, static, data):
    """The settings that matter, complete, decide as the whole curve does, wherever the others lie."""
    kept = that_matter(found, X, compare, bound, static=static)
    curve = [inside(data, box) for box in found]
    fixed = [Box((curve[i][0],) * 2, (curve[i][1],) * 2) for i in kept]
    assert holds(fixed, X, compare, bound, static=static) is gate_of(curve, compare, bound, static)


@given(boxes, compares, bounds, st.booleans(), st.data())
def test_what_does_not_matter_never_matters_later(found, compare, bound, static, data):
    before = that_matter(found, X, compare, bound, static=static)
    shrunk = []
    for box in found:
        (t1, s1), (t2, s2) = inside(data, box), inside(data, box)
        shrunk.append(Box((min(t1, t2), max(t1, t2)), (min(s1, s2), max(s1, s2))))
    assert set(that_matter(shrunk, X, compare, bound, static=static)) <= set(before)


def fixed(tps, low, high):
    return Box((tps, tps), (low, high))


@pytest.mark.parametrize(
    ("found", "static", "expected"),
    [
        ([fixed(2.0, 85.0, 100.0), fixed(4.0, 0.0, 100.0)], True, (2.0, 4.0)),
        ([fixed(2.0, 90.0, 100.0), fixed(4.0, 60.0, 75.0)], False, (2 + 10 / 30 * 2, 2 + 20 / 25 * 2)),
        ([fixed(2.0, 90.0, 90.0), Box((3.0, 5.0), (70.0, 70.0))], False, (2.5, 3.5)),
        ([fixed(2.0, 90.0, 90.0), Box((1.0, 6.0), (70.0, 70.0))], False, (2.0, 4.0)),
        (
            [Box((1.0, 10.0), (0.0, 80.0)), fixed(9.0, 100.0, 100.0), fixed(20.0, 60.0, 60.0)],
            False,
            (9.0, 14.5),
        ),
        ([], False, (0.0, 0.0)),
        ([fixed(2.0, 81.0, 81.0), fixed(4.0, 95.0, 95.0), fixed(6.0, 60.0, 60.0)], False, (34 / 7, 34 / 7)),
    ],
)
def test_bounds_computed_by_hand(found, static, expected):
    """The fifth: the first box may stay left of 9, and 9 + 20 / 40 * (20 - 9) = 14.5."""
    assert (lowest(found, X, static=static), highest(found, X, static=static)) == pytest.approx(expected)


def test_a_static_gate_needs_only_settings_that_are_fast_enough():
    unknown = [fixed(float(k), 0.0, 100.0) for k in (1, 2, 4, 8)]
    assert that_matter(unknown, X, ge, 1.9, static=True) == [1, 2, 3]
    reached = [unknown[0], fixed(2.0, 80.0, 99.0), *unknown[2:]]
    assert holds(reached, X, ge, 1.9, static=True) is True
