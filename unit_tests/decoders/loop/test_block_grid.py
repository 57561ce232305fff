"""Rows of a model that was trained with blocks are decoded on its grid, which starts with the prompt."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode, sweep
from decoders.loop.block_grid import BlockGrid, grids_of
from decoders.rows import NotSupported, Row, Setting
from decoders.state import StepUpdate
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.unmasking.dus import DUS
from decoders.unmasking.eb import EB
from decoders.unmasking.factor import Factor
from decoders.unmasking.klass import KLASS
from decoders.unmasking.rcr import RCR
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.slowfast import SlowFast
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK, confidence, random

torch.set_num_threads(1)


class Trained(HashDenoiser):
    """A model of any logits that says it was trained with blocks."""

    def __init__(self, block_length):
        super().__init__(sharpness=2.0)
        self.block_length = block_length


def row(method, *, prompt=3, length=12, **setting):
    return Row(
        key=0,
        prompt_ids=(5,) * prompt,
        gen_length=length,
        setting=Setting(method=method, k=1 if method.takes_k else None, **setting),
    )


def blocks_by_order(outcome):
    """Return the sizes of the stretches of which each was committed before the next one."""
    steps, ends = outcome.commit_step, []
    for end in range(1, len(steps) + 1):
        if end == len(steps) or max(steps[:end]) < min(steps[end:]):
            ends.append(end)
    return ends


@settings(max_examples=40, deadline=None)
@given(
    prompt=st.integers(0, 9),
    trained=st.sampled_from([2, 3, 4, 6]),
    times=st.integers(1, 2),
    n=st.integers(1, 3),
)
def test_every_border_of_the_grid_is_kept(prompt, trained, times, n):
    block = trained * times
    asked = row(random(), prompt=prompt, length=block * n, block_length=block)
    (outcome,) = sweep(Trained(trained), [asked])
    borders = {end for end in range(1, block * n + 1) if (prompt + end) % block == 0}
    assert borders <= set(blocks_by_order(outcome))
    assert outcome.nfe == block * n


def test_without_a_block_length_the_trained_one_is_used():
    (outcome,) = sweep(Trained(4), [row(random(), prompt=3, length=10)])
    assert {1, 5, 9} <= set(blocks_by_order(outcome))
    (whole,) = sweep(HashDenoiser(sharpness=2.0), [row(random(), prompt=3, length=10)])
    assert not {1, 5, 9} <= set(blocks_by_order(whole))


def test_rows_of_other_prompts_have_other_borders_in_one_batch():
    rows = [
        Row(key=n, prompt_ids=(5,) * n, gen_length=8, setting=Setting(method=random(), k=1), sample_id=str(n))
        for n in range(8)
    ]
    for outcome in sweep(Trained(4), rows):
        borders = {end for end in range(1, 9) if (outcome.key + end) % 4 == 0}
        assert borders <= set(blocks_by_order(outcome))


def test_k_above_the_block_fills_a_block_per_step():
    (outcome,) = decode(Trained(4), [(5, 5, 5)], confidence(), gen_length=10, k=32)
    assert outcome.commit_step == (0, 1, 1, 1, 1, 2, 2, 2, 2, 3)


def test_a_budget_is_shared_out_among_the_blocks_of_the_grid():
    (outcome,) = decode(Trained(4), [(5, 5, 5)], confidence(), gen_length=10, max_steps=8)
    assert [outcome.commit_step.count(step) for step in range(outcome.nfe)] == [1, 2, 2, 2, 2, 1]
    with pytest.raises(
        ValueError, match=r"max_steps must be a multiple of the 4 blocks of 4 that row 0 has under .*, got 6"
    ):
        decode(Trained(4), [(5, 5, 5)], confidence(), gen_length=10, max_steps=6)


def test_blocks_that_are_none_of_the_model_are_refused():
    message = r"block_length must be a multiple of 4, the block that .* was trained with, got 6; leave it out"
    with pytest.raises(NotSupported, match=message):
        decode(Trained(4), [(5,)], confidence(), gen_length=12, k=1, block_length=6)


def test_a_model_without_blocks_counts_from_the_generated_region():
    asked = row(random(), prompt=3, length=12, block_length=4)
    assert grids_of(HashDenoiser(), [asked]) == [BlockGrid(length=4, offset=0, n_blocks=3)]
    assert grids_of(Trained(4), [asked]) == [BlockGrid(length=4, offset=3, n_blocks=4)]


@pytest.mark.parametrize(
    "method",
    [
        confidence(),
        DUS(),
        DUS(order="binary"),
        EB(gamma=0.5),
        Factor(f=1.0),
        KLASS(),
        RCR(),
        ReMDM(),
        SlowFast(),
        Threshold(gamma=0.6),
    ],
    ids=str,
)
@pytest.mark.parametrize("prompt", [0, 1, 5, 7])
def test_every_kind_of_method_fills_short_blocks(method, prompt):
    (outcome,) = sweep(Trained(8), [row(method, prompt=prompt, length=20)])
    assert getattr(outcome, "error", None) is None
    assert -1 not in outcome.commit_step


def test_a_block_of_dus_has_the_levels_of_its_own_length():
    (outcome,) = sweep(Trained(8), [row(DUS(tau=0.0), prompt=4, length=20)])
    first, second, third = (outcome.commit_step[a:b] for a, b in ((0, 4), (4, 12), (12, 20)))
    offset = min(second)
    assert [step - offset for step in second] == [0, 2, 1, 2, 0, 2, 1, 2]
    assert [step - min(third) for step in third] == [0, 2, 1, 2, 0, 2, 1, 2]
    assert max(first) < offset


def test_what_a_method_sees_of_a_block_lies_in_the_generated_region():
    seen = []

    class Watching(TopK):
        def step(self, view, memory):
            seen.append((int(view.block_start[0]), int(view.block_end[0]), int(view.remaining[0])))
            return StepUpdate(unmask=view.eligible, tokens=view.proposals), None

    sweep_of = sweep(Trained(4), [row(Watching(score="random"), prompt=3, length=10)])
    assert len(list(sweep_of)) == 1
    assert seen == [(0, 1, 1), (1, 5, 4), (5, 9, 4), (9, 10, 1)]
