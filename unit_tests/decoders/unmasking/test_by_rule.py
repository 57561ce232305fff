"""DAPD and DAWN against a second implementation from their rules, decode by decode on hashed networks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser
from decoders.unmasking.dapd import DAPD
from decoders.unmasking.dawn import DAWN
from unit_tests import by_rule

PROMPTS = [(3, 9), (4, 5, 11), (6, 7, 8, 2, 19)]
LENGTH = 12


class Focused(HashDenoiser):
    """Its attention goes to few positions, and nowhere to none."""

    def with_attention(self, canvas, attend, query, first, contexts, layers=None):
        logits, weights = super().with_attention(canvas, attend, query, 0, contexts, layers)
        weights = weights**2 + 1e-6
        weights = weights / weights.sum(dim=2, keepdim=True)
        return logits, weights[:, first:, first:]


def decoded_by_rule(model, prompt, block_length, choose):
    """Return ids and the forward of each commit; *choose* maps (p, look, masked, eligible) to positions."""
    canvas = [*prompt, *[model.mask_id] * LENGTH]
    commit_step, forward = [-1] * LENGTH, 0
    for start in range(len(prompt), len(canvas), block_length):
        end = start + block_length
        while model.mask_id in canvas[start:end]:
            row = torch.tensor([canvas])
            everywhere = torch.tensor([[0, i] for i in range(len(canvas))])
            logits, weights = model.with_attention(row, torch.ones_like(row).bool(), everywhere, 0, [None])
            p = logits.double().softmax(dim=1).amax(dim=1).tolist()
            masked = [i for i, token in enumerate(canvas) if token == model.mask_id]
            eligible = [i for i in masked if start <= i < end]
            for i in choose(p, weights[0].tolist(), masked, eligible, end):
                canvas[i] = int(logits[i].argmax())
                commit_step[i - len(prompt)] = forward
            forward += 1
    return tuple(canvas[len(prompt) :]), tuple(commit_step)


def compare(method, block_length, sharpness, choose):
    model = Focused(sharpness=sharpness)
    found = decode(model, PROMPTS, method, gen_length=LENGTH, block_length=block_length)
    for prompt, row in zip(PROMPTS, found, strict=True):
        expected = decoded_by_rule(model, prompt, block_length, choose)
        assert (row.ids, row.commit_step) == expected, prompt
    return found


@given(
    variant=st.sampled_from(["staged", "direct"]),
    taus=st.sampled_from([(0.002, 0.002), (0.01, 0.15), (0.1, 0.6), (0.3, 0.9)]),
    sharpness=st.sampled_from([3.0, 8.0, 40.0]),
    block_length=st.sampled_from([4, 6, 12]),
)
@settings(deadline=None, max_examples=20)
def test_dapd_is_its_rule(variant, taus, sharpness, block_length):
    given = {"variant": variant, "tau_min": taus[0], "tau_max": taus[1]}

    def choose(p, look, masked, eligible, end):
        return by_rule.dapd(p, look, masked, LENGTH, eligible=eligible, **given)

    compare(DAPD(**given), block_length, sharpness, choose)


@given(
    tau_sink=st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    tau_edge=st.sampled_from([0.02, 0.07, 0.3]),
    tau_induce=st.sampled_from([0.3, 0.7]),
    tau_low=st.sampled_from([0.05, 0.3, 0.7]),
    sharpness=st.sampled_from([3.0, 8.0, 40.0]),
    block_length=st.sampled_from([4, 6, 12]),
)
@settings(deadline=None, max_examples=20)
def test_dawn_is_its_rule(tau_sink, tau_edge, tau_induce, tau_low, sharpness, block_length):
    given = {"tau_sink": tau_sink, "tau_edge": tau_edge, "tau_induce": tau_induce, "tau_low": tau_low}

    def choose(p, look, masked, eligible, end):
        return by_rule.dawn(p, look, set(range(end)) - set(eligible), eligible, **given)

    compare(DAWN(**given), block_length, sharpness, choose)


@pytest.mark.parametrize(
    ("p", "expected"), [(0.99, 0.98828125), (0.998, 0.99609375), (0.9985, 1.0), (0.25, 0.25)]
)
def test_rounding_to_bfloat16_is_that_of_torch(p, expected):
    assert by_rule.round_to_bfloat16(p) == expected
    if p >= 0.5:
        assert torch.tensor(p, dtype=torch.float64).to(torch.bfloat16).item() == expected
