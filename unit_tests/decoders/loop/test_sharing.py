"""Rows of a sample share the forwards of the canvases they meet on, and nothing of a result changes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.budget import Budget
from decoders.loop import sharing
from decoders.loop.batching import ACTIVE_PER_FORWARD, sweep
from decoders.models.ideal import Ideal
from decoders.rows import Decoded, Failed, Row, Setting
from decoders.testing import HashDenoiser
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import enumerated
from decoders.unmasking.credit import Credit
from decoders.unmasking.eb import EB
from decoders.unmasking.klass import KLASS
from decoders.unmasking.prophet import Prophet
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK, confidence, entropy, left_to_right, margin, random

MASK, LENGTH = HashDenoiser.mask_id, 8
METHODS = [
    *(make() for make in (random, left_to_right, confidence, margin, entropy)),
    Threshold(gamma=0.3),
    Threshold(gamma=0.6),
    EB(gamma=1.0),
    Prophet(),
    ReMDM(),
    Credit(),
    KLASS(tau=0.2, eps=2.0),
]


def exact_model():
    vocabulary = PieceTokenizer()
    return Ideal(vocabulary, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(vocabulary))


def answers(*texts):
    give = {"gen_length": LENGTH, "eos_id": EOS_ID, "sample": "s"}
    return enumerated(PieceTokenizer(), list(texts), [1.0] * len(texts), **give)


CONTEXTS = [answers("ab", "ba", "cab"), answers("abcdefgh", "hgfedcba", "xyzwvuts")]


def row(key, setting, sample="s", **more):
    return Row(
        key=key, prompt_ids=(3, 4), gen_length=LENGTH, setting=setting, **{"sample_id": sample, **more}
    )


def decoded(denoiser, rows, **given):
    """The results by key, and the canvases of every forward."""
    sizes = []
    return {d.key: d for d in sweep(denoiser, rows, on_step=sizes.append, **given)}, sizes


@st.composite
def settings_of_samples(draw):
    """The same settings of two samples, one after the other, as a run gives them."""
    chosen = [
        Setting(
            method=method,
            k=draw(st.sampled_from([1, 2, 3, 8])) if method.takes_k else None,
            block_length=draw(st.sampled_from([None, None, 4])),
            temperature=draw(st.sampled_from([0.0, 0.0, 1.0])),
        )
        for method in draw(st.lists(st.sampled_from(METHODS), min_size=2, max_size=8))
    ]
    template = draw(st.none() | st.lists(st.sampled_from([MASK, MASK, 1]), min_size=8, max_size=8).map(tuple))
    return chosen, template


@pytest.mark.parametrize("exact", [False, True], ids=["hashes", "exact model"])
@given(drawn=settings_of_samples(), max_rows=st.sampled_from([None, 1, 2, 5]), order=st.randoms())
@settings(deadline=None, max_examples=25)
def test_shared_forwards_change_no_result_and_are_never_more(exact, drawn, max_rows, order):
    chosen, template = drawn
    rows = [
        row((sample, index), setting, str(sample), **given)
        for sample in range(2)
        for index, setting in enumerate(chosen)
        for given in [{"context": CONTEXTS[sample]} if exact else {"template_ids": template}]
    ]
    model = exact_model() if exact else HashDenoiser()
    alone, counted = decoded(model, rows, share=False)
    assert all(isinstance(outcome, Decoded) for outcome in alone.values()), alone
    order.shuffle(rows)
    shared, computed = decoded(model, rows, budget=Budget(tokens=10_000, max_rows=max_rows))
    assert shared == alone
    assert sum(computed) <= sum(counted) + len(rows), (
        "once more where a method reads a score for the first time"
    )
    assert max_rows is None or max(computed, default=0) <= max_rows


class Steady(HashDenoiser):
    """Proposes the same token at a position whatever stands elsewhere, so that all settings share a path."""

    def __call__(self, canvas, attend, query, contexts):
        return super().__call__(torch.ones_like(canvas), attend, query, contexts)


class Tight(Steady):
    """Has memory for forwards of *room* canvases."""

    def __init__(self, room):
        super().__init__()
        self.room = room
        self.refused = 0

    def __call__(self, canvas, attend, query, contexts):
        if len(canvas) > self.room:
            self.refused += 1
            raise torch.OutOfMemoryError("tried to allocate")
        return super().__call__(canvas, attend, query, contexts)


IN_ORDER = [row(k, Setting(method=left_to_right(), k=k)) for k in (1, 2, 4)]


def test_a_canvas_that_several_settings_come_to_is_evaluated_once():
    """k=1 walks over 8 canvases, k=2 over every other of them, k=4 over two."""
    found, computed = decoded(Steady(), IN_ORDER)
    assert [found[k].nfe for k in (1, 2, 4)] == [8, 4, 2]
    assert [found[k].evaluated_positions for k in (1, 2, 4)] == [80, 40, 20]
    assert computed == [1, 3, 2, 1, 1]


def test_rows_that_wait_for_known_canvases_leave_room_for_the_next_samples():
    """Forwards of 3 canvases: all settings of three samples enter at once."""
    rows = [row((name, r.key), r.setting, name) for name in "abcdef" for r in IN_ORDER]
    found, computed = decoded(Steady(), rows, budget=Budget(tokens=10_000, max_rows=3))
    assert len(found) == len(rows)
    assert sum(computed) == 6 * 8
    assert max(computed) == computed[0] == 3
    assert len(computed) < 6 * 5


def test_canvases_that_do_not_fill_a_forward_wait_for_the_next_one():
    """Seven rows of 8 canvases, 3 in a forward: 56 canvases need 19 forwards at the least."""
    rows = [row(name, Setting(method=left_to_right(), k=1), name) for name in "abcdefg"]
    rows.append(row("again", Setting(method=left_to_right(), k=2), "a"))
    found, computed = decoded(Steady(), rows, budget=Budget(tokens=10_000, max_rows=3))
    assert found == decoded(Steady(), rows, share=False)[0]
    assert len(computed) == 19
    assert sum(computed) == 56


@pytest.mark.parametrize("blocks", [None, 4])
def test_rows_with_the_most_steps_ahead_go_first(blocks):
    """The last row asks for 8 forwards one after the other; the others' 12 canvases fit in beside it."""
    short = Setting(method=left_to_right(), k=4, block_length=blocks)
    rows = [row((name, turn), short, name) for name in "abcdef" for turn in range(2)]
    rows.append(row("long", Setting(method=left_to_right(), k=1, block_length=blocks), "z"))
    _, computed = decoded(Steady(), rows, budget=Budget(tokens=10_000, max_rows=4))
    assert computed == [4] * 4 + [1] * 4


@pytest.mark.parametrize(
    "other",
    [
        {"sample": "t"},
        {"seed": 1},
        {"context": object()},
    ],
    ids=lambda other: next(iter(other)),
)
def test_rows_that_differ_in_what_a_forward_or_a_draw_depends_on_share_nothing(other):
    rows = [IN_ORDER[0], row("other", IN_ORDER[0].setting, **other)]
    found, computed = decoded(Steady(), rows)
    assert sum(computed) == sum(d.nfe for d in found.values())


@pytest.mark.parametrize(
    "setting",
    [
        Setting(method=left_to_right(), k=1, temperature=1.0),
        Setting(method=left_to_right(), k=1, cache="dual"),
        Setting(method=KLASS()),
    ],
    ids=["sampled tokens", "a cache", "whole distributions"],
)
def test_what_a_forward_says_of_such_rows_is_not_kept(setting):
    found, computed = decoded(Steady(), [row(index, setting) for index in range(2)])
    assert sum(computed) == sum(d.nfe for d in found.values())


def test_other_blocks_ask_for_other_positions_and_share_the_rest():
    """The block of 4 asks for less on its first 4 canvases; then both ask for the same masks."""
    rows = [row(b, Setting(method=left_to_right(), k=1, block_length=b)) for b in (None, 4)]
    assert sum(decoded(Steady(), rows)[1]) == 4 + 8


def test_when_memory_runs_out_forwards_get_smaller_and_rows_stay():
    budget = Budget(tokens=10_000)
    rows = [row((name, r.key), r.setting, name) for name in "abcdef" for r in IN_ORDER]
    model = Tight(3)
    found, computed = decoded(model, rows, budget=budget)
    assert found == decoded(Steady(), rows, share=False)[0]
    assert max(computed) <= 3
    assert budget.tokens == 3 * 10
    assert model.refused == 1, "half of what was tried fits, whatever the budget was"


def test_a_canvas_that_does_not_fit_alone_fails_its_rows_one_by_one():
    found, computed = decoded(Tight(0), IN_ORDER, budget=Budget(tokens=10_000))
    assert computed == []
    assert all(isinstance(outcome, Failed) and outcome.error.kind == "oom" for outcome in found.values())
    assert "model hash ran out of memory on row 1 alone (10 tokens)" in str(found[1].error)


def test_a_method_that_runs_out_of_memory_takes_fewer_rows_at_a_time(monkeypatch):
    rows = [row((name, r.key), r.setting, name) for name in "abcdef" for r in IN_ORDER]
    expected, _ = decoded(Steady(), rows, share=False)
    inside = TopK.step

    def tight(self, view, memory):
        if len(view.eligible) > 2:
            raise torch.OutOfMemoryError("tried to allocate")
        return inside(self, view, memory)

    monkeypatch.setattr(TopK, "step", tight)
    assert decoded(Steady(), rows)[0] == expected


def test_a_full_memory_forgets_and_computes_again(monkeypatch):
    plain = decoded(Steady(), IN_ORDER)
    monkeypatch.setattr(sharing, "MEMORY_BYTES", 8 * 5 * LENGTH * 3)
    found, computed = decoded(Steady(), IN_ORDER)
    assert found == plain[0]
    assert sum(plain[1]) < sum(computed) <= 14


def test_what_is_remembered_goes_with_the_last_row_of_its_sample():
    """Twenty samples one after the other take the room of the first ones."""
    rows = [row((name, r.key), r.setting, name) for name in "abcdefghijklmnopqrst" for r in IN_ORDER]
    kept = []
    inside = sharing.Shared.hear

    def noted(self, *given, **more):
        found = inside(self, *given, **more)
        kept.append((len(self._places), len({key[0] for key in self._places})))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing.Shared, "hear", noted)
        decoded(Steady(), rows, budget=Budget(tokens=10_000, max_rows=1))
    assert max(n_samples for _, n_samples in kept) <= ACTIVE_PER_FORWARD
    assert max(n_places for n_places, _ in kept) <= ACTIVE_PER_FORWARD * 8


def test_logits_that_are_not_finite_fail_the_rows_of_their_canvas_only():
    class Half(Steady):
        def __call__(self, canvas, attend, query, contexts):
            logits = super().__call__(canvas, attend, query, contexts)
            filled = (canvas[:, -LENGTH:] != MASK).sum(dim=1)
            return logits.masked_fill((filled == 2)[query[:, 0]].unsqueeze(1), float("nan"))

    found, _ = decoded(Half(), IN_ORDER)
    assert [type(found[k]) for k in (1, 2, 4)] == [Failed, Failed, Decoded]
    assert {found[k].error.kind for k in (1, 2)} == {"model_error"}
