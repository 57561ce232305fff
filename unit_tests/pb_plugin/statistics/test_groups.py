"""Differences between curves: p-values of pairs, Holm's rule, letters for what is not shown."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.statistics.curve_draws import PBxDraws
from pb_plugin.statistics.groups import SHOWN_AT, holm, letters, p_values


def exact(values):
    return PBxDraws(values=np.array(values, dtype=np.float64), kinds=np.zeros(len(values), dtype=np.int8))


def test_a_difference_in_every_draw_is_shown_and_a_mixed_one_is_not():
    base = np.linspace(1.0, 2.0, 999)
    found = p_values({"a": exact(base + 1), "b": exact(base), "c": exact(base[::-1])})
    assert found["a", "b"] == pytest.approx(3 * 2 / 1000)
    assert found["b", "c"] == 1.0


def test_draws_that_do_not_tell_speak_for_neither():
    same = exact(np.full(999, 2.0))
    assert p_values({"a": same, "b": same}) == {("a", "b"): 1.0}


def test_holm_by_hand():
    """0.01 * 3 = 0.03; 0.02 * 2 = 0.04; 0.03 * 1 stays at the 0.04 before it."""
    raw = {("a", "b"): 0.03, ("a", "c"): 0.01, ("b", "c"): 0.02}
    assert holm(raw) == pytest.approx({("a", "b"): 0.04, ("a", "c"): 0.03, ("b", "c"): 0.04})


@given(st.data())
def test_two_names_share_a_letter_exactly_where_no_difference_is_shown(data):
    names = ["A", "B", "C", "D", "E"][: data.draw(st.integers(1, 5))]
    p_of = {pair: data.draw(st.sampled_from([0.001, 0.5])) for pair in itertools.combinations(names, 2)}
    found = letters(names, p_of)
    assert "a" in found[names[0]]
    for (one, other), p in p_of.items():
        assert bool(set(found[one]) & set(found[other])) == (p >= SHOWN_AT)
    assert all(found.values())
    members = [{name for name in names if letter in found[name]} for letter in set("".join(found.values()))]
    assert not any(one < other for one in members for other in members), "no letter says nothing new"
    assert len({frozenset(group) for group in members}) == len(members)
