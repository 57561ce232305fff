"""The block cache changes no result: a block-causal model computes the columns of finished blocks once."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.budget import Budget
from decoders.loop.batching import sweep
from decoders.rows import Decoded, NotSupported, Row, Setting
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.unmasking.factor import Factor
from decoders.unmasking.klass import KLASS
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence, left_to_right
from decoders.unmasking.wino import WINO
from unit_tests.block_hash import BlockHash

METHODS = [
    confidence(),
    left_to_right(),
    Threshold(gamma=0.3),
    Threshold(gamma=0.9, at_least=2),
    Factor(f=1.3),
    KLASS(tau=0.1, eps=5.0),
]


def with_cache(rows, cache="block"):
    return [replace(row, setting=replace(row.setting, cache=cache)) for row in rows]


def expected_windows(row, outcome, block, margin=0):
    """Return the window of every forward, from the block in which its commits fall and the one before."""
    prompt, n_columns = len(row.prompt_ids), len(row.prompt_ids) + row.gen_length
    places = {step: prompt + place for place, step in enumerate(outcome.commit_step) if step >= 0}
    windows, stored = [], 0
    for forward in range(outcome.nfe):
        begin = places[forward] // block * block
        windows.append((max(0, stored - margin), min(begin + block, n_columns)))
        stored = begin
    return windows


@st.composite
def mixtures(draw):
    rows = []
    for index in range(draw(st.integers(1, 7))):
        method = draw(st.sampled_from(METHODS))
        length = draw(st.sampled_from([8, 12]))
        ids = st.lists(st.sampled_from([0, 0, 1, 5]), min_size=length // 2, max_size=length // 2)
        rows.append(
            Row(
                key=index,
                prompt_ids=tuple(draw(st.lists(st.integers(1, 22), max_size=40))),
                gen_length=length,
                setting=Setting(
                    method=method,
                    k=draw(st.integers(1, 5)) if method.takes_k else None,
                    block_length=draw(st.sampled_from([None, 4])),
                    temperature=draw(st.sampled_from([0.0, 0.0, 0.8])),
                ),
                sample_id=str(index),
                template_ids=draw(st.none() | ids.map(lambda half: tuple(t for t in half for _ in "ab"))),
                context=index,
            )
        )
    return rows


BUDGETS = st.builds(Budget, tokens=st.integers(1, 300), max_rows=st.none() | st.integers(1, 4))


@given(rows=mixtures(), budget=BUDGETS, trained=st.sampled_from([2, 4]), margin=st.integers(0, 1))
@settings(deadline=None)
def test_the_block_cache_changes_only_what_is_evaluated(rows, budget, trained, margin):
    expected = {outcome.key: outcome for outcome in sweep(BlockHash(trained), rows)}
    denoiser = BlockHash(trained, margin=margin)
    for outcome in sweep(denoiser, with_cache(rows), budget=budget):
        assert isinstance(outcome, Decoded), outcome
        row = rows[outcome.key]
        block = row.setting.block_length or trained
        windows = expected_windows(row, outcome, block, margin)
        assert denoiser.windows.get(outcome.key, []) == windows
        evaluated = sum(end - start for start, end in windows)
        assert outcome == replace(expected[outcome.key], evaluated_positions=evaluated)


def decode_one(*, prompt, length, template=None, cache="block", k=1, block=4, **setting):
    denoiser = BlockHash(block)
    row = Row(
        key=0,
        prompt_ids=(3, 4, 5, 6, 7, 8, 9)[:prompt],
        gen_length=length,
        setting=Setting(method=left_to_right(), k=k, cache=cache, **setting),
        template_ids=template,
        context=0,
    )
    (outcome,) = sweep(denoiser, [row])
    return outcome, denoiser.windows.get(0)


def test_evaluated_positions_by_hand():
    """Prompt of 6, blocks of 4: columns 4-7 hold 2 masks, 8-11 and 12-15 hold 4; a forward fills one."""
    outcome, windows = decode_one(prompt=6, length=10)
    assert windows == [(0, 8), (4, 8), (4, 12), *[(8, 12)] * 3, (8, 16), *[(12, 16)] * 3]
    assert outcome.evaluated_positions == 8 + 4 + 8 + 3 * 4 + 8 + 3 * 4 == 52
    assert (outcome.nfe, outcome.nfe_other) == (10, 0)
    plain, _ = decode_one(prompt=6, length=10, cache="none")
    assert plain == replace(outcome, evaluated_positions=10 * 16)


def test_a_prompt_of_whole_blocks_and_no_prompt():
    assert decode_one(prompt=4, length=8, k=2)[1] == [(0, 8), (4, 8), (4, 12), (8, 12)]
    assert decode_one(prompt=0, length=8, k=2)[1] == [(0, 4), (0, 4), (0, 8), (4, 8)]


def test_a_last_block_that_the_canvas_cuts_short():
    assert decode_one(prompt=4, length=6, k=4)[1] == [(0, 8), (4, 10)]


def test_blocks_of_several_trained_ones_are_evaluated_whole():
    assert decode_one(prompt=4, length=8, k=4, block=2, block_length=4)[1] == [(0, 8), (4, 12)]


def test_a_template_that_skips_blocks_has_their_columns_evaluated_with_the_next_masks():
    template = (0,) * 4 + (5,) * 8 + (0,) * 4
    outcome, windows = decode_one(prompt=4, length=16, template=template, k=2)
    assert windows == [(0, 8), (4, 8), (4, 20), (16, 20)]
    assert outcome == replace(
        decode_one(prompt=4, length=16, template=template, k=2, cache="none")[0], evaluated_positions=32
    )
    assert decode_one(prompt=2, length=10, template=(5,) * 6 + (0,) * 4, k=4)[1] == [(0, 12)]
    assert decode_one(prompt=2, length=6, template=(5,) * 6)[1] is None


def test_a_row_without_keys_and_rows_with_keys_are_two_forwards_however_they_came():
    """Three rows of 1, 4 and 2 forwards with room for two: the third joins while the second is at work."""
    rows = [
        Row(
            key=n,
            prompt_ids=(3,) * (n + 4),
            gen_length=4,
            setting=Setting(method=left_to_right(), k=(4, 1, 4)[n]),
            sample_id=str(n),
            context=n,
        )
        for n in range(3)
    ]
    denoiser = BlockHash(4)
    list(sweep(denoiser, with_cache(rows), budget=Budget(tokens=1000, max_rows=2)))
    assert denoiser.forwards == [(0, 1), (2,), (1,), (1, 2), (1,)]
    assert denoiser.windows[2] == [(0, 8), (4, 10)]


class FullOnce(BlockHash):
    """Runs out of memory once, at its call number *at*."""

    def __init__(self, at):
        super().__init__(4)
        self.left = at

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        self.left -= 1
        if self.left == 0:
            raise torch.OutOfMemoryError("tried to allocate")
        return super().with_cache(canvas, attend, query, contexts, cache, rows, window)


@pytest.mark.parametrize("at", range(1, 16))
def test_rows_keep_their_keys_when_the_batch_is_split(at):
    rows = [
        Row(
            key=i,
            prompt_ids=(2 + i,) * (1 + i % 5),
            gen_length=8,
            setting=Setting(method=confidence(), k=(1, 4, 2)[i % 3]),
            sample_id=str(i),
        )
        for i in range(10)
    ]
    expected = {outcome.key: outcome for outcome in sweep(BlockHash(4), with_cache(rows))}
    plain = {outcome.key: outcome for outcome in sweep(BlockHash(4), rows)}
    budget = Budget(tokens=1000, max_rows=5)
    found = {outcome.key: outcome for outcome in sweep(FullOnce(at), with_cache(rows), budget=budget)}
    assert found == expected
    for key, outcome in plain.items():
        assert found[key] == replace(outcome, evaluated_positions=found[key].evaluated_positions)


def refused(denoiser, message, **setting):
    asked = Setting(**{"method": confidence(), "k": 1, "cache": "block", **setting})
    with pytest.raises(NotSupported, match=message):
        list(sweep(denoiser, [Row(key=0, prompt_ids=(3,), gen_length=12, setting=asked)]))


def test_full_attention_has_no_block_cache():
    refused(
        HashDenoiser(),
        r"model must have block-causal attention for cache=block, got 'hash' with full attention; "
        "use cache=none, prefix or dual",
    )


def test_blocks_that_are_none_of_the_model_have_no_block_cache():
    for length in (2, 3, 6):
        refused(
            BlockHash(4),
            f"block_length must be a multiple of 4, the block .* got {length}; leave",
            block_length=length,
        )


def test_a_method_that_masks_again_has_no_block_cache():
    refused(
        BlockHash(4), "cache must be none for method wino, got 'block'; it masks again", method=WINO(), k=None
    )
