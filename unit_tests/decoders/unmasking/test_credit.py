"""Credit: a naive second implementation, its limits, and what a hundred thousandth of probability means."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method, example_slots, example_view
from decoders.unmasking.credit import Credit
from decoders.unmasking.threshold import Threshold

PROMPTS = [(3,), (4, 5), (6, 7, 8)]


@pytest.mark.parametrize("method", [Credit(), Credit(gamma=0.5, alpha=5.0, boost=0.5, beta=1.0)])
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [Credit(**params).gamma for params in Credit.sweep] == [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]


def naively(model, prompt, length, method):
    """The rule with dictionaries, one position at a time: ids, and the forward of each commit."""
    canvas, credit = [*prompt, *[model.mask_id] * length], {}
    commit_step = [-1] * length
    for forward in range(length):
        masked = [i for i in range(len(prompt), len(canvas)) if canvas[i] == model.mask_id]
        if not masked:
            break
        row = torch.tensor([canvas])
        query = torch.tensor([[0, i] for i in masked])
        logits = model(row, torch.ones_like(row).bool(), query, [None]).double()
        raised = {}
        for i, of_position in zip(masked, logits, strict=True):
            p = of_position.softmax(dim=0)
            own = credit.setdefault(i, {})
            for token in own:
                own[token] *= method.beta
            best = int(p.argmax())
            own[best] = own.get(best, 0.0) + float(p[best]) ** method.boost
            more = of_position.clone()
            for token, amount in own.items():
                more[token] += method.alpha * math.log(1.0 + amount)
            q = more.softmax(dim=0)
            raised[i] = (float(q.max()), int(q.argmax()))
        cut = min(method.gamma, max(p for p, _ in raised.values()) - 1e-5)
        for i, (p, token) in raised.items():
            if p >= cut:
                canvas[i], commit_step[i - len(prompt)] = token, forward
    return tuple(canvas[len(prompt) :]), tuple(commit_step)


@given(
    gamma=st.sampled_from([0.3, 0.6, 0.9]),
    alpha=st.sampled_from([0.0, 0.7, 4.0]),
    boost=st.sampled_from([0.0, 0.2, 1.0]),
    beta=st.sampled_from([0.0, 0.8, 1.0]),
    sharpness=st.sampled_from([2.0, 6.0, 20.0]),
)
@settings(deadline=None, max_examples=25)
def test_it_is_the_rule_written_down_naively(gamma, alpha, boost, beta, sharpness):
    model = HashDenoiser(sharpness=sharpness)
    method = Credit(gamma=gamma, alpha=alpha, boost=boost, beta=beta)
    for prompt, row in zip(PROMPTS, decode(model, PROMPTS, method, gen_length=8), strict=True):
        assert (row.ids, row.commit_step) == naively(model, prompt, 8, method)


def test_without_weight_it_is_threshold():
    for gamma in (0.3, 0.8):
        ours = decode(HashDenoiser(), PROMPTS, Credit(gamma=gamma, alpha=0.0), gen_length=8, block_length=4)
        rule = Threshold(gamma=gamma, rule="dinfer")
        assert ours == decode(HashDenoiser(), PROMPTS, rule, gen_length=8, block_length=4)


def test_credit_needs_fewer_forwards_than_threshold():
    of_credit, of_threshold = (
        sum(row.nfe for row in decode(HashDenoiser(), PROMPTS, method, gen_length=12))
        for method in (Credit(gamma=0.9, alpha=5.0, beta=1.0), Threshold(gamma=0.9))
    )
    assert of_credit < of_threshold


@pytest.mark.parametrize("unbiased", [False, True])
def test_nothing_on_the_logits_changes_no_proposal(unbiased):
    slots = example_slots(Credit())
    view = example_view(slots, range(4), unbiased=unbiased)
    tokens, log_odds = view.raised(torch.zeros_like(view.probs))
    assert torch.equal(tokens, view.proposals)
    assert torch.equal(log_odds, view.log_odds)
    part = example_view(slots, [1, 3], unbiased=unbiased)
    bonus = torch.zeros_like(part.probs)
    bonus[:, :, 7] = 50.0
    tokens, log_odds = part.raised(bonus)
    assert tokens[part.eligible].unique().tolist() == [7]
    assert (log_odds[part.eligible] > 40.0).all()


REFUSED = {
    "gamma": ({"gamma": 0.0}, r"gamma must be in \(0, 1\], got 0\.0; 0\.9 is the published default"),
    "alpha": ({"alpha": -1.0}, r"alpha must be at least 0 and finite, got -1\.0; 0\.7 is the published"),
    "boost": (
        {"boost": float("inf")},
        r"boost must be at least 0 and finite, got inf; 0\.2 is the",
    ),
    "beta": ({"beta": 1.5}, r"beta must be in \[0, 1\], got 1\.5; 0\.8 is the published default"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Credit(**given)
