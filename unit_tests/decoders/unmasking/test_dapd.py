"""DAPD: a graph of four positions by hand, the threshold of its edges, both variants, and limits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.testing import check_method
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.unmasking.dapd import DAPD

METHODS = {
    "staged": DAPD(),
    "direct": DAPD(variant="direct"),
    "loose": DAPD(tau_min=0.5, tau_max=0.9),
    "everything": DAPD(tau_min=1.0, tau_max=1.0),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_it_obeys_the_rules(method):
    check_method(method)


WEIGHT = [
    [0.00, 0.40, 0.02, 0.01],
    [0.40, 0.00, 0.01, 0.02],
    [0.02, 0.01, 0.00, 0.30],
    [0.01, 0.02, 0.30, 0.00],
]
"""Mean attention between four masked positions: 0 and 1 belong together, 2 and 3 as well.

Degrees .43 .43 .33 .33; with confidences .9 .8 .6 .5 the scan is 0, 1, 2, 3. Position 2 has an edge of
.02 / .3 = .067 to 0, position 3 of .01 / .3 = .033 to 0, and 1 of 1 to 0.
"""
CONFIDENCE = [0.9, 0.8, 0.6, 0.5]


def committed(make_view, method, *, confidence=CONFIDENCE, visible=0, skew=0.0):
    """Return what *method* commits of the four, with *visible* positions after them already filled.

    *skew* moves attention from one direction to the other, which leaves the mean as it is.
    """
    length = 4 + visible
    attention = torch.zeros(length, length)
    attention[:4, :4] = torch.tensor(WEIGHT)
    lower = torch.ones(4, 4).tril(-1)
    attention[:4, :4] += skew * torch.tensor(WEIGHT) * (lower - lower.T)
    attention.fill_diagonal_(0.7)
    attention[:, 4:] = 0.9
    row = [*confidence, *[None] * visible]
    masked = [[value is not None for value in row]]
    view = make_view([row], attention=[attention.tolist()], masked=masked)
    update, memory = method.step(view, method.init(view))
    assert memory is None
    assert torch.equal(update.tokens, view.proposals)
    return update.unmask[0].nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("tau", "expected"),
    [
        (0.0, [0]),
        (0.03, [0]),
        (0.04, [0, 3]),
        (0.06, [0, 3]),
        (0.07, [0, 2]),
        (0.99, [0, 2]),
        (1.0, [0, 1, 2, 3]),
    ],
)
@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_a_scan_by_priority_accepts_what_has_no_edge_to_what_is_accepted(make_view, tau, expected, skew):
    assert committed(make_view, DAPD(tau_min=tau, tau_max=tau), skew=skew) == expected


@pytest.mark.parametrize(("visible", "expected"), [(0, [0]), (1, [0, 3]), (4, [0, 2])])
def test_tau_grows_with_the_share_that_is_filled(make_view, visible, expected):
    """From .01 to .15: .01 at 0 of 4, .038 at 1 of 5, .08 at 4 of 8 (.067 passes)."""
    assert committed(make_view, DAPD(variant="direct"), visible=visible) == expected


@pytest.mark.parametrize(("tau_max", "expected"), [(0.1235, [0, 2]), (0.1225, [0, 3])])
def test_half_filled_is_half_way(make_view, tau_max, expected):
    """2/30 = .0667 against .01 + (tau_max - .01) / 2."""
    assert committed(make_view, DAPD(variant="direct", tau_max=tau_max), visible=4) == expected


def test_from_half_on_staged_adds_what_is_sure(make_view):
    sure = [0.95, 0.91, 0.6, 0.9]
    assert committed(make_view, DAPD(tau_max=0.02), confidence=sure, visible=3) == [0]
    assert committed(make_view, DAPD(tau_max=0.02), confidence=sure, visible=4) == [0, 1, 3]


def test_direct_takes_what_is_certain_first_and_scans_the_others(make_view):
    """Without 0 and 1 the scan is 2, 3; without 0 it is 2, 3, 1: 1 is then the least central.

    0.998 rounds to less than 1 in bfloat16, 0.9985 to 1.
    """
    method = DAPD(variant="direct", tau_min=0.0)
    assert committed(make_view, method, confidence=[0.999, 0.9985, 0.6, 0.5]) == [0, 1, 2]
    assert committed(make_view, method, confidence=[0.999, 0.998, 0.6, 0.5]) == [0, 2]


def test_degree_counts_in_the_scan_beside_confidence(make_view):
    """Position 2 is a little surer than 0, but .33 / .43 as central: 0 stays first.

    With 2 first, 1 is accepted too: its edge to 2 is .01 / .4, that of 0 is .02 / .4.
    """
    method = DAPD(tau_min=0.03, tau_max=0.03)
    assert committed(make_view, method, confidence=[0.8, 0.1, 0.9, 0.1]) == [0]
    assert committed(make_view, method, confidence=[0.6, 0.1, 0.9, 0.1]) == [1, 2]


def test_positions_without_attention_to_each_other_are_independent(make_view):
    view = make_view([[0.2, 0.3]], attention=[[[0.0, 0.0], [0.0, 0.0]]], masked=[[True, True]])
    update, _ = DAPD().step(view, None)
    assert update.unmask.tolist() == [[True, True]]


@given(seed=st.integers(0, 20), variant=st.sampled_from(["staged", "direct"]))
@settings(deadline=None, max_examples=20)
def test_limits(seed, variant):
    def nfe(**taus):
        prompt = (2 + seed % 20,)
        (row,) = decode(HashDenoiser(), [prompt], DAPD(variant=variant, **taus), gen_length=9)
        return row.nfe

    assert nfe(tau_min=1.0, tau_max=1.0) == 1
    assert nfe(tau_min=0.0, tau_max=0.0) == 9
    assert 1 < nfe(tau_min=0.2, tau_max=0.9) < 9


REFUSED = {
    "variant": ({"variant": "best"}, r"variant must be one of staged, direct, got 'best'; pick one"),
    "tau_min": ({"tau_min": -0.1}, r"tau_min must be in \[0, 1\], got -0\.1; 0\.01 is the published default"),
    "tau_max": ({"tau_max": 0.001}, r"tau_max must be in \[tau_min, 1\], got 0\.001; 0\.15 is the published"),
}


@pytest.mark.parametrize(("given_", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        DAPD(**given_)
