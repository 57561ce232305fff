"""Differences between curves: p-values of pairs, adjusted for all of them, letters for what is not shown."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.statistics.curve_draws import PBxDraws
from pb_plugin.statistics.groups import SHOWN_AT, letters, p_values


def exact(values):
    return PBxDraws(values=np.array(values, dtype=np.float64), kinds=np.zeros(len(values), dtype=np.int8))


def test_a_difference_in_every_draw_is_shown_and_a_mixed_one_is_not():
    base = np.linspace(1.0, 2.0, 999)
    found = p_values({"a": exact(base + 1), "b": exact(base), "c": exact(base[::-1])})
    assert found["a", "b"] == pytest.approx(1 / 1000)
    assert found["b", "c"] == 1.0
    assert p_values({"a": exact(base)}) == {}


def test_draws_that_do_not_tell_speak_for_neither():
    same = exact(np.full(999, 2.0))
    assert p_values({"a": same, "b": same}) == {("a", "b"): 1.0}


def naive(draws):
    """Return the adjusted p-values by the rule, one pair after the other."""
    pairs = list(itertools.combinations(draws, 2))
    of = {pair: draws[pair[0]].values - draws[pair[1]].values for pair in pairs}
    size = {pair: abs(of[pair].mean()) / of[pair].std() for pair in pairs}
    found, before, left = {}, 0.0, sorted(pairs, key=lambda pair: -size[pair])
    while left:
        largest = [
            max(abs(of[p][d] - of[p].mean()) / of[p].std() for p in left) for d in range(len(of[left[0]]))
        ]
        before = max(before, (1 + sum(one >= size[left[0]] for one in largest)) / (1 + len(largest)))
        found[left.pop(0)] = before
    return found


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_rule_written_down_naively(seed):
    rng = np.random.default_rng(seed)
    draws = {name: exact(rng.normal(place, 1.0, 60)) for place, name in enumerate("abcd")}
    assert p_values(draws) == pytest.approx(naive(draws))


def test_a_curve_far_from_many_others_is_shown_however_many_pairs_there_are():
    """24 methods around 2 and one at 29: 300 pairs."""
    rng = np.random.default_rng(0)
    draws = {f"m{number}": exact(rng.choice([1.0, 2.0, 4.0], 2000)) for number in range(24)}
    draws["far"] = exact(rng.normal(29.0, 0.3, 2000))
    p_of = p_values(draws)
    assert max(p for pair, p in p_of.items() if "far" in pair) < SHOWN_AT
    assert min(p for pair, p in p_of.items() if "far" not in pair) >= SHOWN_AT


def test_equal_curves_are_rarely_told_apart():
    """Ten curves with one truth: a pair is shown in at most 5 % of 300 runs, and three deviations of that."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        measured = rng.normal(10.0, 1.0, 10)
        draws = {str(number): exact(rng.normal(value, 1.0, 500)) for number, value in enumerate(measured)}
        wrong += min(p_values(draws).values()) < SHOWN_AT
    assert 0 < wrong <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5


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
