"""Hierarchy that masks again: a naive second implementation, its limits, and what a method may rewrite."""

from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode, sweep
from decoders.rows import Failed, Row, Setting
from decoders.state import StepUpdate
from decoders.testing import HashDenoiser, check_method, example_slots, example_view
from decoders.unmasking.hierarchy import Hierarchy
from decoders.unmasking.hierarchy_remask import HierarchyRemask
from decoders.unmasking.top_k import TopK

PROMPTS = [(3,), (4, 5), (6, 7, 8)]


@pytest.mark.parametrize("method", [HierarchyRemask(), HierarchyRemask(gamma=0.5, low=0.1, back=0.9)])
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [HierarchyRemask(**params).back for params in HierarchyRemask.sweep] == [0.2, 0.4, 0.6]


def naively(model, prompt, length, method):
    """The rule with sets, one block: ids, forwards, and how often a token became a mask."""
    start, mask = len(prompt), model.mask_id
    canvas, forwards, remasks = [*prompt, *[mask] * length], 0, 0
    places = range(start, start + length)
    while mask in canvas:
        row = torch.tensor([canvas])
        query = torch.tensor([[0, i] for i in places])
        probs = model(row, torch.ones_like(row).bool(), query, [None]).double().softmax(dim=1)
        q = dict(zip(places, probs.max(dim=1).values.tolist(), strict=True))
        best = dict(zip(places, probs.argmax(dim=1).tolist(), strict=True))
        masks = {i for i in places if canvas[i] == mask}
        doubtful = {i for i in places if i not in masks and q[i] < method.back}
        is_open = masks | doubtful
        chosen = {i for i in is_open if q[i] >= method.gamma}
        for among, members in groupby(places, key=lambda i: i in is_open):
            top = max(members, key=lambda i: (q[i], -i))
            if among and q[top] >= method.low:
                chosen.add(top)
        for i in sorted(is_open - chosen, key=lambda i: (-q[i], i)):
            if len(chosen) <= len(doubtful):
                chosen.add(i)
        for i in doubtful - chosen:
            canvas[i] = mask
            remasks += 1
        for i in chosen:
            canvas[i] = best[i]
        assert canvas.count(mask) < len(masks)
        forwards += 1
    return tuple(canvas[start:]), forwards, remasks


@given(
    gamma=st.sampled_from([0.4, 0.9]),
    low=st.sampled_from([0.0, 0.3]),
    back=st.sampled_from([0.0, 0.2, 0.4, 1.0]),
    sharpness=st.sampled_from([2.0, 6.0, 20.0]),
)
@settings(deadline=None, max_examples=25)
def test_it_is_the_rule_written_down_naively(gamma, low, back, sharpness):
    model = HashDenoiser(sharpness=sharpness)
    method = HierarchyRemask(gamma=gamma, low=low, back=back)
    for prompt, row in zip(PROMPTS, decode(model, PROMPTS, method, gen_length=9), strict=True):
        assert (row.ids, row.nfe, row.remasks) == naively(model, prompt, 9, method)


def test_without_doubt_it_is_hierarchy():
    ours = decode(HashDenoiser(), PROMPTS, HierarchyRemask(low=0.2, back=0.0), gen_length=12, block_length=4)
    assert ours == decode(HashDenoiser(), PROMPTS, Hierarchy(low=0.2), gen_length=12, block_length=4)


def test_what_a_template_fixed_is_not_evaluated():
    slots = example_slots(HierarchyRemask())
    view = example_view(slots, range(4))
    assert torch.equal(view.evaluated, view.eligible), "nothing is committed yet"
    assert (~slots.fillable).any()


@dataclass(frozen=True, kw_only=True)
class Rewriter(TopK):
    """Top-k by confidence that also gives another token to all that is committed in the block."""

    score: str = "confidence"
    scope: ClassVar[str] = "whole_block"
    may_rewrite: ClassVar[bool] = True

    def step(self, view, memory):
        update, _ = super().step(view, memory)
        written = update.unmask | view.evaluated & ~view.eligible
        return StepUpdate(unmask=written, tokens=view.proposals), None


@dataclass(frozen=True, kw_only=True)
class Undeclared(Rewriter):
    may_rewrite: ClassVar[bool] = False


def outcomes_of(method):
    rows = [
        Row(
            key=i,
            prompt_ids=prompt,
            gen_length=8,
            setting=Setting(method=method, k=2, block_length=4),
            template_ids=(5, *[0] * 7),
        )
        for i, prompt in enumerate(PROMPTS)
    ]
    return sorted(sweep(HashDenoiser(), rows), key=lambda outcome: outcome.key)


def test_a_rewritten_position_counts_as_committed_when_it_was_written_last():
    for outcome in outcomes_of(Rewriter()):
        assert outcome.ids[0] == 5
        assert outcome.commit_step == (-1, 1, 1, 1, 3, 3, 3, 3)
        assert outcome.remasks == 0


def test_a_method_that_rewrites_must_say_so():
    for outcome in outcomes_of(Undeclared()):
        assert isinstance(outcome, Failed)
        assert outcome.error.kind == "method_error"
        assert (
            "not eligible; keep to view.eligible, or declare may_rewrite and keep to view.evaluated"
            in str(outcome.error)
        )


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"back": 1.5}, r"back must be in \[0, 1\], got 1\.5; 0\.4 is a published value"),
        ({"low": 0.95}, r"low must be in \[0, gamma=0\.9\], got 0\.95"),
    ],
)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        HierarchyRemask(**given_)
