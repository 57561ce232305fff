"""Drops and what is shown of them: censored PBx by a table, the step-down against its definition."""

import numpy as np
import pytest

from pb_plugin.comparing.drops import Drop, judged, lost
from pb_plugin.statistics.curve_draws import PBxDraws

KINDS = {"never": -1, "": 0, "+": 1}


def one(value, kind):
    return PBxDraws(values=np.array([value]), kinds=np.array([KINDS[kind]], dtype=np.int8))


@pytest.mark.parametrize(
    ("before", "after", "drop"),
    [
        ((4.0, ""), (3.0, ""), 1.0),
        ((0.0, "never"), (0.0, "never"), 0.0),
        ((0.0, "never"), (3.0, ""), -3.0),
        ((4.0, ""), (0.0, "never"), 4.0),
        ((4.0, "+"), (3.0, ""), 1.0),
        ((4.0, "+"), (4.0, "+"), 0.0),
        ((4.0, "+"), (3.0, "+"), 0.0),
        ((4.0, ""), (3.0, "+"), 0.0),
        ((4.0, ""), (5.0, "+"), -1.0),
    ],
)
def test_what_is_known_of_a_drop_of_pbx(before, after, drop):
    assert lost(one(*before), one(*after)) == [drop]


def drop_of(value, draws, margin=1.0, what="score"):
    return Drop(
        what=what, unit="points", before=90.0, after=90.0 - value, value=value, margin=margin, draws=draws
    )


NORMAL = np.random.default_rng(0).standard_normal((2000, 30))


def test_one_drop_is_shown_by_its_one_sided_bound():
    """1.645 standard errors above the margin, up to the noise of 2,000 draws."""
    for value, status in ((1.0 + 1.8, "red"), (1.0 + 1.4, "yellow"), (0.9, "green"), (-3.0, "green")):
        (found,) = judged([drop_of(value, value + NORMAL[:, 0])])
        assert found.status == status
        assert found.bound == pytest.approx(value - 1.645, abs=0.1)


def test_many_drops_are_held_to_the_largest_deviation():
    """Of 30 independent drops the 95 % quantile of the largest is 2.93 standard errors."""
    alone = judged([drop_of(1.0 + 2.5, 3.5 + NORMAL[:, 0])])
    others = [drop_of(0.0, NORMAL[:, i]) for i in range(1, 30)]
    together = judged([drop_of(1.0 + 2.5, 3.5 + NORMAL[:, 0]), *others])
    assert (alone[0].status, together[0].status) == ("red", "yellow")
    assert 1.0 + 2.5 - together[0].bound == pytest.approx(2.93, abs=0.15)


def test_what_is_shown_leaves_and_the_rest_is_judged_again():
    sure = [drop_of(50.0, 50.0 + NORMAL[:, i]) for i in range(29)]
    last = drop_of(1.0 + 2.0, 3.0 + NORMAL[:, 29])
    assert [found.status for found in judged([*sure, last])] == ["red"] * 30


def test_a_certain_drop_is_shown_where_it_exceeds_its_margin():
    flat = np.ones(2000)
    assert judged([drop_of(2.0, 2.0 * flat)])[0].status == "red"
    assert judged([drop_of(1.0, flat)])[0].status == "green"
    assert judged([drop_of(0.1, 0.1 * flat, margin=0.0)])[0].status == "red"


def test_a_yellow_drop_says_how_many_samples_would_show_it():
    """At half of what is needed beyond the margin four times the samples halve the spread."""
    (found,) = judged([drop_of(1.0 + 1.645 / 2, 1.0 + 1.645 / 2 + NORMAL[:, 0])])
    assert found.status == "yellow"
    assert found.needed == pytest.approx(4.0, rel=0.15)
    assert judged([drop_of(0.5, 0.5 + NORMAL[:, 0])])[0].needed is None
