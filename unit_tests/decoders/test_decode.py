"""The front door: plain ids in, decoded rows out in order, and an error for what does not fit."""

from dataclasses import replace

import pytest
import torch

from decoders.loop.batching import decode, sweep
from decoders.rows import DecodeError, Row, Setting
from decoders.testing import HashDenoiser
from decoders.unmasking.hierarchy_remask import HierarchyRemask
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence
from decoders.unmasking.wino import WINO


class Full(HashDenoiser):
    """Has no room for any canvas."""

    def __call__(self, canvas, attend, query, contexts):
        raise torch.OutOfMemoryError("tried to allocate")


def test_decode_returns_the_rows_in_the_order_of_the_prompts():
    prompts = [(5,) * 40, (3,), (4, 6), ()]
    done = decode(HashDenoiser(), prompts, confidence(), gen_length=6, k=4, seed=2)
    assert [row.key for row in done] == [0, 1, 2, 3]
    assert [row.nfe for row in done] == [2, 2, 2, 2]
    assert decode(HashDenoiser(), [], confidence(), gen_length=6, k=4) == []


@pytest.mark.parametrize("name", ["templates", "contexts"])
def test_decode_refuses_lists_that_do_not_pair_up(name):
    with pytest.raises(ValueError, match=rf"{name} must be one per prompt \(2\), got 1; pair them up"):
        decode(HashDenoiser(), [(3,), (4,)], confidence(), gen_length=2, k=1, **{name: [(0, 0)]})


def test_decode_refuses_a_setting_that_does_not_fit():
    with pytest.raises(ValueError, match="method 'confidence' needs k or max_steps"):
        decode(HashDenoiser(), [(3,)], confidence(), gen_length=2)


def test_decode_raises_the_first_failure():
    with pytest.raises(DecodeError, match="ran out of memory on row 0 alone") as caught:
        decode(Full(), [(), ()], confidence(), gen_length=2, k=1)
    assert caught.value.kind == "oom"


def replayed(history, length, mask_id):
    """Return the ids, the forward of each last commit, and the number of re-masks that *history* tells of."""
    ids, commit_step, n_remasked = [mask_id] * length, [-1] * length, 0
    for forward, step in enumerate(history):
        for position, token in step.committed:
            ids[position], commit_step[position] = token, forward
        for position in step.remasked:
            ids[position], commit_step[position] = mask_id, -1
        n_remasked += len(step.remasked)
    return tuple(ids), tuple(commit_step), n_remasked


@pytest.mark.parametrize("method", [WINO(tau1=0.3, tau2=0.6), ReMDM(), HierarchyRemask(back=0.6)])
def test_the_history_tells_what_every_forward_committed_and_masked_again(method):
    prompts, knobs = [(5, 4), (3,), (4, 6, 7)], {"gen_length": 12}
    if method.takes_k:
        knobs["k"] = 2
    plain = decode(HashDenoiser(), prompts, method, **knobs)
    told = decode(HashDenoiser(), prompts, method, history=True, **knobs)
    assert sum(row.remasks for row in told) > 0
    for row, without in zip(told, plain, strict=True):
        assert without.history is None
        assert replace(row, history=None) == without
        assert len(row.history) == row.nfe
        assert replayed(row.history, 12, HashDenoiser.mask_id) == (row.ids, row.commit_step, row.remasks)
        for step in row.history:
            assert len(step.confidence) == len(step.committed)
            assert all(0.0 <= sure <= 1.0 for sure in step.confidence)


def test_the_history_has_the_confidence_by_which_a_threshold_decides():
    (row,) = decode(HashDenoiser(), [(3,)], Threshold(gamma=0.3), gen_length=12, history=True)
    for step in row.history:
        assert len(step.confidence) == 1 or min(step.confidence) >= 0.3
    assert any(len(step.confidence) > 1 for step in row.history)


def test_a_row_that_does_not_ask_for_its_history_has_none_beside_one_that_does():
    rows = [
        Row(key=k, prompt_ids=(3,), gen_length=4, setting=Setting(method=confidence(), k=k), history=k > 1)
        for k in (1, 2, 4)
    ]
    found = {row.key: row.history for row in sweep(HashDenoiser(), rows)}
    assert found[1] is None
    assert [[len(step.committed) for step in found[k]] for k in (2, 4)] == [[2, 2], [4]]
