"""Hierarchy: runs by hand and by a naive scan, its limits, and how it splits a stretch of masks."""

from itertools import groupby

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.hierarchy import Hierarchy
from decoders.unmasking.threshold import Threshold

PROMPTS = [(3,), (4, 5), (6, 7, 8)]


@pytest.mark.parametrize("method", [Hierarchy(), Hierarchy(low=0.0), Hierarchy(gamma=0.3, low=0.3)])
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [Hierarchy(**params).low for params in Hierarchy.sweep] == [0.3, 0.4, 0.5, 0.6, 0.75]


def chosen(make_view, method, row):
    update, memory = method.step(make_view([row]), None)
    assert memory is None
    return update.unmask[0].nonzero().flatten().tolist()


BY_HAND = {
    "one run gives one": (Hierarchy(), [0.4, 0.6, 0.5], [1]),
    "every run gives its best": (Hierarchy(), [0.4, 0.6, None, 0.35, 0.3, None, 0.5], [1, 3, 6]),
    "the best of a run must reach low": (Hierarchy(), [0.4, 0.6, None, 0.2, 0.29], [1]),
    "what is sure needs no run": (Hierarchy(), [0.95, 0.97, 0.91, 0.6], [0, 1, 2]),
    "none reaches low": (Hierarchy(), [0.1, 0.2, None, 0.15], [1]),
    "equality passes": (Hierarchy(gamma=0.5, low=0.3), [0.6, 0.5, None, 0.3], [0, 1, 3]),
    "without bounds": (Hierarchy(gamma=1.0, low=0.0), [0.1, 0.2, None, 0.01, None, 0.999], [1, 3, 5]),
    "ties of a run": (Hierarchy(), [0.5, 0.5, None, 0.5, 0.5], [0, 3]),
}


@pytest.mark.parametrize(("method", "row", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_runs_by_hand(make_view, method, row, expected):
    assert chosen(make_view, method, row) == expected


@given(
    row=st.lists(st.none() | st.integers(0, 20), min_size=1, max_size=12).filter(
        lambda values: any(v is not None for v in values)
    ),
    gamma=st.integers(1, 20),
    data=st.data(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_the_rule_scanned_run_by_run(make_view, row, gamma, data):
    low = data.draw(st.integers(0, gamma))
    expected = {i for i, v in enumerate(row) if v is not None and v >= gamma}
    expected.add(max((v, -i) for i, v in enumerate(row) if v is not None)[1] * -1)
    for is_run, members in groupby(enumerate(row), key=lambda pair: pair[1] is not None):
        if is_run:
            best, place = max((v, -i) for i, v in members)
            expected |= {-place} if best >= low else set()
    values = [None if v is None else v / 20 for v in row]
    assert chosen(make_view, Hierarchy(gamma=gamma / 20, low=low / 20), values) == sorted(expected)


def test_a_low_as_high_as_gamma_is_threshold():
    for gamma in (0.2, 0.4):
        ours = decode(HashDenoiser(), PROMPTS, Hierarchy(gamma=gamma, low=gamma), gen_length=8)
        assert ours == decode(HashDenoiser(), PROMPTS, Threshold(gamma=gamma), gen_length=8)


def test_a_stretch_whose_middles_are_surest_takes_the_logarithm_of_its_length(play):
    """Fifteen masks: 1, 2, 4 and 8 at a step."""
    height = [1, 2, 1, 3, 1, 2, 1, 4, 1, 2, 1, 3, 1, 2, 1]
    outcome, _ = play(Hierarchy(), [[0.4 + 0.1 * h for h in height]] * 4)
    assert outcome.commit_step == tuple(4 - h for h in height)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"gamma": 0.0}, r"gamma must be in \(0, 1\], got 0\.0; 0\.9 is the published default"),
        ({"low": 0.95}, r"low must be in \[0, gamma=0\.9\], got 0\.95; 0\.3 is a published value"),
        ({"low": -0.1}, r"low must be in \[0, gamma=0\.9\], got -0\.1"),
    ],
)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        Hierarchy(**given_)
