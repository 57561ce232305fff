"""DAWN: five positions by hand, what it is without support, its limits, and what it refuses."""

import pytest
import torch

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.dawn import DAWN
from decoders.unmasking.threshold import Threshold

PROMPTS = [(3,), (4, 5), (6, 7, 8)]


@pytest.mark.parametrize(
    "method", [DAWN(), DAWN(tau_sink=1.0, tau_edge=0.02, tau_induce=0.2, tau_low=0.1, layers=1)]
)
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [DAWN(**params).tau_low for params in DAWN.sweep] == [0.5, 0.6, 0.7, 0.75, 0.8, 0.9]


def committed(make_view, method, confidence, edges, *, prompt=0.95, block_end=None):
    """Return what *method* commits in a row of one prompt token and masks; *edges* are pairs that look."""
    length = len(confidence) + 1
    look = torch.zeros(1, length, length)
    for i, j in edges:
        look[0, i + 1, j + 1] = 0.3
    odds = torch.tensor([[prompt, *[0.0 if p is None else p for p in confidence]]]).double().logit()
    view = make_view([confidence], row_attention=look.tolist(), row_log_odds=odds.tolist())
    update, memory = method.step(view, method.init(view))
    assert memory is None
    assert torch.equal(update.tokens, view.proposals)
    return update.unmask[0].nonzero().flatten().tolist()


PROMPT = -1


@pytest.mark.parametrize(
    ("confidence", "edges", "expected"),
    [
        ([0.5, 0.6, 0.4], [], [1]),
        ([0.95, 0.75, 0.8], [], [0, 1, 2]),
        ([0.95, 0.75, 0.8], [(1, 2)], [0, 2]),
        ([0.95, 0.75, 0.8], [(2, 1)], [0, 2]),
        ([0.5, 0.6, 0.4], [(0, PROMPT)], [1]),
        ([0.72, 0.6, 0.4], [(0, PROMPT)], [0]),
        ([0.95, 0.75, 0.4], [(1, 0)], [0, 1]),
        ([0.95, 0.85, 0.4], [(0, PROMPT), (1, 0)], [0]),
        ([0.75, 0.85, 0.8], [(0, 1), (0, 2)], [1, 2]),
        ([0.75, 0.85, 0.8], [(1, 0), (0, 2)], [1, 2]),
        ([0.75, 0.85, 0.8], [(2, 1), (0, 2)], [0, 1]),
    ],
    ids=[
        "nothing is sure: the best",
        "no edges: all that reach tau_low",
        "the surer one of a pair",
        "whichever of them looks",
        "too unsure to follow the prompt",
        "sure enough to follow the prompt",
        "on what is sure but follows nothing one may depend",
        "on what is sure and follows one may not",
        "the best is taken first",
        "whichever of them looks, again",
        "who was in conflict with one refused is free",
    ],
)
def test_by_hand(make_view, confidence, edges, expected):
    method = DAWN(tau_sink=0.2, tau_edge=0.3 - 1e-6, tau_low=0.73, tau_induce=0.7)
    assert committed(make_view, method, confidence, edges) == expected


def test_an_unsure_prompt_supports_nothing(make_view):
    method = DAWN(tau_sink=0.2, tau_low=0.9)
    assert committed(make_view, method, [0.72, 0.8], [(0, PROMPT)]) == [0]
    assert committed(make_view, method, [0.72, 0.8], [(0, PROMPT)], prompt=0.8) == [1]


def test_who_is_looked_at_by_all_supports_nothing(make_view):
    """Two of three positions look at the prompt by 0.3, which is 0.2 in the mean."""
    edges = [(0, PROMPT), (1, PROMPT)]
    assert committed(make_view, DAWN(tau_sink=0.201, tau_low=0.9), [0.72, 0.8], edges) == [0, 1]
    assert committed(make_view, DAWN(tau_sink=0.199, tau_low=0.9), [0.72, 0.8], edges) == [1]


def test_padding_does_not_count_in_the_mean(make_view):
    look = torch.zeros(1, 5, 5)
    look[0, 3, 2] = look[0, 4, 2] = 0.3
    odds = torch.tensor([[float("-inf"), float("-inf"), 3.0, 1.0, 2.0]]).double()
    view = make_view([[0.72, 0.8]], row_attention=look.tolist(), row_log_odds=odds.tolist())
    for tau_sink, expected in ((0.199, [1]), (0.201, [0, 1])):
        update, _ = DAWN(tau_sink=tau_sink, tau_low=0.9).step(view, None)
        assert update.unmask[0].nonzero().flatten().tolist() == expected


@pytest.mark.parametrize("tau_low", [0.3, 0.7, 0.9])
@pytest.mark.parametrize("tau_sink", [0.0, 0.01])
def test_without_support_it_is_threshold(tau_low, tau_sink):
    """Rows of less than 1 / tau_sink positions have sinks alone; above 0.9 a position waits for nobody."""
    knobs = {"gen_length": 8, "block_length": 4}
    method = DAWN(tau_low=tau_low, tau_sink=tau_sink)
    expected = decode(HashDenoiser(), PROMPTS, Threshold(gamma=tau_low), **knobs)
    assert decode(HashDenoiser(), PROMPTS, method, **knobs) == expected


def test_dependence_costs_forwards():
    def nfe(tau_edge):
        method = DAWN(tau_sink=1.0, tau_edge=tau_edge, tau_low=0.05, tau_induce=1.0)
        return sum(row.nfe for row in decode(HashDenoiser(), PROMPTS, method, gen_length=8))

    assert nfe(1.0) < nfe(0.1) < nfe(0.01)


REFUSED = {
    "tau_sink": (
        {"tau_sink": -0.1},
        r"tau_sink must be in \[0, 1\], got -0\.1; 0\.01 is the published default",
    ),
    "tau_edge": (
        {"tau_edge": 0.0},
        r"tau_edge must be in \(0, 1\], got 0\.0; 0\.07 is the published default",
    ),
    "tau_induce": ({"tau_induce": 2.0}, r"tau_induce must be in \(0, 1\], got 2\.0; 0\.7 is the published"),
    "tau_low": ({"tau_low": 0.0}, r"tau_low must be in \(0, 1\], got 0\.0; 0\.7 is the published default"),
    "layers": (
        {"layers": 0},
        "layers must be a whole number of at least 1, got 0; 4 is the published default",
    ),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        DAWN(**given)
