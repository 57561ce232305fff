"""WINO: the cap, the bound on revocations and its consequence for the number of steps, by hand."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode, sweep
from decoders.models.ideal import Ideal
from decoders.rows import Decoded, Row, Setting
from decoders.testing import check_method
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import enumerated
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.wino import WINO, WINOMemory

METHODS = {"default": WINO(), "eager": WINO(tau1=0.1), "never back": WINO(tau2=0.0), "slow": WINO(tau1=1.0)}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_it_obeys_the_rules(method):
    check_method(method)


@pytest.mark.parametrize(("masks", "cap"), [(1, 1), (5, 5), (7, 5), (8, 5), (10, 7), (29, 20), (100, 20)])
def test_at_most_70_percent_are_accepted_but_5_to_20(make_view, masks, cap):
    view = make_view([[0.99] * masks], verified=[[0.0] * masks])
    update, _ = WINO().step(view, WINO().init(view))
    assert update.unmask[0].nonzero().flatten().tolist() == list(range(cap))


def test_the_best_is_accepted_when_none_is_sure(make_view):
    view = make_view([[0.2, 0.5, 0.3], [0.6, 0.59, 0.7]], verified=[[0.0] * 3] * 2)
    update, memory = WINO().step(view, WINO().init(view))
    assert update.unmask.tolist() == [[False, True, False], [True, False, True]]
    assert memory.accepted.tolist() == [1, 2]


def stepped(make_view, confidences, verified, *, accepted, committed=(True, True, True, True), step=1):
    """Return (accepted, revoked) positions of a row; None stands for a visible position."""
    view = make_view([confidences], verified=[verified])
    view = replace(view, step=view.step + step)
    pad = len(confidences) - len(committed)
    memory = WINOMemory(
        committed=torch.tensor([[*committed, *[False] * pad]]), accepted=torch.tensor([accepted])
    )
    update, after = WINO().step(view, memory)
    found = [mask[0].nonzero().flatten().tolist() for mask in (update.unmask, update.remask)]
    standing = after.committed[0].nonzero().flatten().tolist()
    assert set(found[0]) <= set(standing)
    assert not set(found[1]) & set(standing)
    return tuple(found)


SEEN = [None, None, None, None]
VERIFIED = [0.1, 0.95, 0.05, 0.5, 0.0, 0.0]
REVOCATIONS = {
    "those below tau2": ([*SEEN, 0.9, 0.8], 20, {}, ([4, 5], [0, 2, 3])),
    "fewer than accepted before": ([*SEEN, 0.9, 0.8], 3, {}, ([4, 5], [0, 2])),
    "as many would be too many": ([*SEEN, 0.9, 0.8], 2, {}, ([4, 5], [2])),
    "none after a single one": ([*SEEN, 0.9, 0.8], 1, {}, ([4, 5], [])),
    "none when one is accepted": ([*SEEN, 0.9, 0.3], 20, {}, ([4], [])),
    "none in the first step": ([*SEEN, 0.9, 0.8], 20, {"step": 0}, ([4, 5], [])),
    "no template": ([*SEEN, 0.9, 0.8], 20, {"committed": (False, True, True, False)}, ([4, 5], [2])),
}


@pytest.mark.parametrize(("row", "before", "given", "expected"), REVOCATIONS.values(), ids=REVOCATIONS)
def test_revocations_are_bounded_by_what_was_accepted_before(make_view, row, before, given, expected):
    assert stepped(make_view, row, VERIFIED, accepted=before, **given) == expected


def test_equality_with_tau2_holds(make_view):
    assert stepped(make_view, [*SEEN, 0.9, 0.8], [0.9, 0.9 - 1e-4, 1.0, 1.0, 0.0, 0.0], accepted=20)[1] == [1]


def test_what_an_earlier_block_committed_is_forgotten_at_block_entry(make_view):
    """The published allowance of a block's first step is 30, but nothing is committed in it yet."""
    view = make_view([[0.9] * 8], verified=[[0.0] * 8])
    memory = WINOMemory(committed=torch.ones(1, 8, dtype=torch.bool), accepted=torch.tensor([20]))
    update, after = WINO().step(view, memory)
    assert not update.remask.any()
    assert torch.equal(after.committed, update.unmask)


@given(
    length=st.sampled_from([4, 8, 12]),
    blocks=st.sampled_from([1, 2]),
    tau1=st.sampled_from([0.05, 0.3, 0.6]),
    sharpness=st.sampled_from([2.0, 6.0, 30.0]),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_m_masks_take_at_most_m_steps(length, blocks, tau1, sharpness, seed):
    (row,) = decode(
        HashDenoiser(sharpness=sharpness),
        [(2 + seed % 20, 2 + seed // 20)],
        WINO(tau1=tau1, tau2=1.0),
        gen_length=length,
        block_length=length // blocks,
    )
    assert 1 <= row.nfe <= length


def test_tau2_of_0_is_a_threshold_with_a_cap():
    prompts = [(3,), (4, 5), (6, 7, 8)]
    wino = decode(HashDenoiser(), prompts, WINO(tau1=0.3, tau2=0.0), gen_length=5)
    plain = decode(HashDenoiser(), prompts, Threshold(gamma=0.3), gen_length=5)
    for ours, theirs in zip(wino, plain, strict=True):
        assert (ours.ids, ours.commit_step, ours.remasks) == (theirs.ids, theirs.commit_step, 0)
        assert ours.evaluated_positions == theirs.evaluated_positions + 5 * ours.nfe


def test_what_a_template_fixed_is_never_revoked():
    template = (5, 0, 0, 6, 0, 0, 0, 7) * 2
    rows = [
        Row(
            key=i,
            prompt_ids=(3, 4 + i),
            gen_length=16,
            setting=Setting(method=WINO(tau1=0.05, tau2=1.0)),
            template_ids=template,
        )
        for i in range(6)
    ]
    outcomes = list(sweep(HashDenoiser(), rows))
    assert all(isinstance(outcome, Decoded) for outcome in outcomes), outcomes
    for outcome in outcomes:
        assert [outcome.ids[i] for i in (0, 3, 7, 8, 11, 15)] == [5, 6, 7] * 2
    assert sum(outcome.remasks for outcome in outcomes) > 0


def exact(texts, weights, method, n):
    """Decode *n* rows from the exact law of two-letter answers; return {text: how often} and the outcomes."""
    tokenizer = PieceTokenizer()
    model = Ideal(tokenizer, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(tokenizer))
    answers = enumerated(tokenizer, texts, weights, gen_length=len(texts[0]), eos_id=EOS_ID, sample="s")
    decoded = decode(model, [()] * n, method, gen_length=len(texts[0]), contexts=[answers] * n)
    return Counter(tokenizer.decode(row.ids) for row in decoded), decoded


def test_the_exact_model_keeps_what_agrees():
    """An a is 4/7 and accepted; given it the second letter is b or x, and a stays certain."""
    found, decoded = exact(["ab", "ax", "cd"], [2.0, 2.0, 3.0], WINO(tau1=0.5), 20)
    assert set(found) == {"ab", "ax"}
    assert {(row.nfe, row.remasks) for row in decoded} == {(2, 0)}


def test_the_exact_model_revokes_what_was_committed_together_and_does_not_agree():
    """Eight answers, shifts of each other: tau1 = 0 accepts five letters at once, mostly nonsense.

    A letter that most others contradict has a verified probability of 0, so the second step revokes, but
    fewer than five: what is left decides the answer.
    """
    shifts = ["abcdefgh"[i:] + "abcdefgh"[:i] for i in range(8)]
    found, decoded = exact(shifts, [1.0] * 8, WINO(tau1=0.0), 40)
    plain, _ = exact(shifts, [1.0] * 8, WINO(tau1=0.0, tau2=0.0), 40)
    assert sum(row.remasks for row in decoded) > 0
    assert sum(found[text] for text in shifts) > sum(plain[text] for text in shifts)


REFUSED = {
    "tau1": ({"tau1": -0.1}, r"tau1 must be in \[0, 1\], got -0\.1; 0\.6 is the published default"),
    "tau2": ({"tau2": float("nan")}, r"tau2 must be in \[0, 1\], got nan; 0\.9 is the published default"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        WINO(**given)
