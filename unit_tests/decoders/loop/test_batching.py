"""Results do not depend on how rows are batched; running out of memory halves the batch and is remembered."""

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.budget import Budget, Filled
from decoders.loop import sampling
from decoders.loop.batching import default_budget, sweep
from decoders.models.ideal import Ideal
from decoders.rows import Decoded, Failed, Row, Setting
from decoders.state import StepUpdate
from decoders.testing import HashDenoiser, check_method
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import enumerated, permutations
from decoders.unmasking.dapd import DAPD
from decoders.unmasking.dawn import DAWN
from decoders.unmasking.factor import Factor
from decoders.unmasking.freedave import FreeDave
from decoders.unmasking.klass import KLASS
from decoders.unmasking.lopa import LoPA
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK, confidence, entropy
from decoders.unmasking.wino import WINO

MASK = HashDenoiser.mask_id


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """Memory of `Frozen`: the block, the confidences at its entry, and the steps since."""

    block: torch.Tensor
    first: torch.Tensor
    steps: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Commits in the order of the confidences at block entry; *group* only tells methods apart."""

    name: ClassVar[str] = "frozen"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple] = ({},)
    needs: ClassVar[frozenset] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    group: int = 0

    def init(self, view):
        steps = torch.zeros(len(view.step), dtype=torch.long)
        return Remembered(block=view.block_start, first=view.confidence.clone(), steps=steps)

    def step(self, view, memory):
        entered = memory.block != view.block_start
        steps = memory.steps.masked_fill(entered, 0)
        if not torch.equal(steps, view.step):
            raise AssertionError(f"memory of other rows: {steps.tolist()} and {view.step.tolist()}")
        first = torch.where(entered.unsqueeze(1), view.confidence, memory.first)
        update = StepUpdate(unmask=view.rank(first) == 0, tokens=view.proposals)
        return update, Remembered(block=view.block_start, first=first, steps=steps + 1)


METHODS = [
    *[TopK(score=score) for score in ("random", "left_to_right", "confidence", "margin", "entropy")],
    Threshold(gamma=0.4),
    Threshold(gamma=-1.0, confidence="entropy"),
    Factor(f=1.6),
    Frozen(),
    Frozen(group=1),
    KLASS(tau=0.2, eps=2.0),
    KLASS(tau=0.2, eps=2.0, history=1, upstream_exact=True),
    WINO(tau1=0.2),
    FreeDave(draft_steps=3),
    LoPA(gamma=0.3, size=4, alpha=0.5),
]
WITH_ATTENTION = [DAPD(tau_min=0.3, tau_max=0.9), DAWN(tau_sink=0.3, tau_low=0.1, tau_induce=0.2)]


def answer_contexts():
    """Answer sets of different sizes in one vocabulary, 8 positions each."""
    tokenizer = PieceTokenizer()
    give = {"gen_length": 8, "eos_id": EOS_ID, "sample": "s"}
    orders = partial(
        permutations, tokenizer, opening="", separator="", closing="", exclude_input=False, **give
    )
    return [
        enumerated(tokenizer, ["ab", "ba", "cab"], [1.0, 2.0, 1.0], **give),
        enumerated(tokenizer, ["abcdefgh", "hgfedcba", "xyzwvuts"], [1.0, 1.0, 1.0], **give),
        enumerated(tokenizer, ["q"], [1.0], **give),
        orders(list("klmnopqr")),
    ]


CONTEXTS = answer_contexts()


@st.composite
def mixtures(draw, exact=False):
    rows = []
    for index in range(draw(st.integers(2, 9))):
        method = draw(st.sampled_from(METHODS if exact else METHODS + WITH_ATTENTION))
        length = 8 if exact else draw(st.sampled_from([4, 8]))
        setting = Setting(
            method=method,
            k=draw(st.integers(1, 8)) if method.takes_k else None,
            block_length=draw(st.sampled_from([None, 4])),
            temperature=draw(st.sampled_from([0.0, 0.5, 1.5])),
        )
        ids = st.lists(st.sampled_from([MASK, MASK, 1]), min_size=length, max_size=length)
        rows.append(
            Row(
                key=index,
                prompt_ids=tuple(draw(st.lists(st.integers(1, 22), max_size=40))),
                gen_length=length,
                setting=setting,
                sample_id=draw(st.sampled_from("xyz")),
                seed=draw(st.integers(0, 1)),
                template_ids=None if exact else draw(st.none() | ids.map(tuple)),
                context=draw(st.sampled_from(CONTEXTS)) if exact else None,
            )
        )
    return rows


BUDGETS = st.builds(Budget, tokens=st.integers(1, 200), max_rows=st.none() | st.integers(1, 4))


@pytest.mark.parametrize("exact", [False, True], ids=["network", "exact model"])
@given(data=st.data(), budget=BUDGETS)
@settings(deadline=None, max_examples=40)
def test_results_do_not_depend_on_batch_size_order_or_mates(exact, data, budget):
    vocabulary = PieceTokenizer()
    denoiser = (
        Ideal(vocabulary, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(vocabulary))
        if exact
        else HashDenoiser()
    )
    rows = data.draw(mixtures(exact=exact))
    alone = {row.key: next(iter(sweep(denoiser, [row]))) for row in rows}
    assert all(isinstance(outcome, Decoded) for outcome in alone.values()), alone
    shuffled = data.draw(st.permutations(rows))
    assert {outcome.key: outcome for outcome in sweep(denoiser, shuffled, budget=budget)} == alone


def test_rows_of_one_sample_and_setting_decode_alike_and_another_seed_differs():
    setting = Setting(method=confidence(), k=2, temperature=1.0)
    rows = [
        Row(key=i, prompt_ids=(3,), gen_length=16, setting=setting, sample_id="a", seed=seed)
        for i, seed in enumerate((0, 0, 1))
    ]
    ids = {outcome.key: outcome.ids for outcome in sweep(HashDenoiser(), rows)}
    assert ids[0] == ids[1] != ids[2]


class Small(HashDenoiser):
    """Has room for so many canvas tokens after so many calls, and counts what it was asked for."""

    def __init__(self, room, after=0):
        super().__init__()
        self.room = room
        self.after = after
        self.asked = []

    def __call__(self, canvas, attend, query, contexts):
        self.asked.append(canvas.numel())
        if canvas.numel() > self.room and len(self.asked) > self.after:
            raise torch.OutOfMemoryError("tried to allocate")
        return super().__call__(canvas, attend, query, contexts)


def rows_with(method, n=13, length=5, **setting):
    return [
        Row(
            key=i,
            prompt_ids=(),
            gen_length=length,
            setting=Setting(method=method, **setting),
            sample_id=str(i),
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(
    "rows",
    [
        rows_with(confidence(), k=1),
        rows_with(Frozen()),
        [*rows_with(entropy(), k=1), *rows_with(Frozen(group=2))][::-1],
    ],
    ids=["no memory", "memory", "mixed"],
)
@pytest.mark.parametrize("after", [0, 1])
def test_running_out_of_memory_halves_the_batch_and_is_remembered(rows, after):
    """Rows finish at different times, so that those put aside join others in the middle of a decode."""
    rows = [
        replace(row, key=i, sample_id=str(i), template_ids=(MASK,) * (2 + i % 4) + (5,) * (3 - i % 4))
        for i, row in enumerate(rows)
    ]
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows)}
    small, budget = Small(room=20, after=after), Budget(tokens=100)
    assert {outcome.key: outcome for outcome in sweep(small, rows, budget=budget)} == expected
    assert budget.tokens <= 20
    refused = [size for size in small.asked[after:] if size > 20]
    assert 1 <= len(refused) <= 4
    small.asked.clear()
    assert {outcome.key: outcome for outcome in sweep(small, rows, budget=budget)} == expected
    assert max(small.asked) <= 20, "the next sweep starts with what fits"


def test_a_method_that_runs_out_of_memory_has_its_rows_split_and_not_failed(monkeypatch):
    """Entropy over a large vocabulary is computed when the method asks for it."""
    rows = rows_with(entropy(), k=1)
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows)}
    inside = sampling.neg_entropy

    def tight(logits):
        if len(logits) > 15:
            raise torch.OutOfMemoryError("tried to allocate")
        return inside(logits)

    monkeypatch.setattr(sampling, "neg_entropy", tight)
    budget = Budget(tokens=1000)
    assert {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows, budget=budget)} == expected
    assert budget.tokens < 65


def test_a_single_row_that_does_not_fit_fails_with_its_reason():
    long = Row(key="long", prompt_ids=(5,) * 40, gen_length=5, setting=Setting(method=confidence(), k=5))
    outcomes = {
        outcome.key: outcome for outcome in sweep(Small(room=40), [long, *rows_with(confidence(), k=5)])
    }
    failed = outcomes.pop("long")
    assert isinstance(failed, Failed)
    assert failed.error.kind == "oom"
    message = "model hash ran out of memory on row 'long' alone (45 tokens): tried to allocate"
    assert str(failed.error) == message
    assert len(outcomes) == 13
    assert all(isinstance(outcome, Decoded) for outcome in outcomes.values())


@pytest.mark.parametrize("room", [10_000, 20], ids=["enough memory", "out of memory"])
def test_memory_is_started_once_for_every_row(room):
    started = []

    @dataclass(frozen=True, kw_only=True)
    class Counted(Frozen):
        def init(self, view):
            started.append(len(view.step))
            return super().init(view)

    rows = rows_with(Counted()) + rows_with(Counted(), n=4, length=3)
    rows = [Row(key=i, prompt_ids=(), gen_length=r.gen_length, setting=r.setting) for i, r in enumerate(rows)]
    outcomes = list(sweep(Small(room), rows, budget=Budget(tokens=30)))
    assert all(isinstance(outcome, Decoded) for outcome in outcomes), outcomes
    assert sum(started) == len(rows)


def test_a_method_with_memory_obeys_the_rules():
    check_method(Frozen())


def test_a_finished_row_makes_room_for_the_next_at_once():
    quick, slow = rows_with(confidence(), n=6, k=5), rows_with(confidence(), n=1, k=1)
    rows = [
        Row(key=i, prompt_ids=(), gen_length=5, setting=row.setting, sample_id=str(i))
        for i, row in enumerate([*slow, *quick])
    ]
    sizes = []
    list(sweep(HashDenoiser(), rows, budget=Budget(tokens=1000, max_rows=2), on_step=sizes.append))
    assert sizes == [2, 2, 2, 2, 2, 1]


def test_the_default_budget_is_the_models_own():
    assert default_budget(HashDenoiser()) == Budget(tokens=8192)
    tokenizer = PieceTokenizer()
    ideal = Ideal(tokenizer, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(tokenizer))
    assert default_budget(ideal) == Budget(tokens=16_384)


@pytest.mark.parametrize(("name", "value"), [("tokens", 0), ("max_rows", 0), ("max_rows", -3)])
def test_a_budget_without_room_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be at least 1, got {value}; 1 decodes row by row"):
        Budget(**{"tokens": 10, name: value})


@dataclass(frozen=True, kw_only=True)
class Needy(Frozen):
    needs: ClassVar[frozenset] = frozenset({"probs", "attention"})


def test_a_method_that_needs_more_than_the_loop_offers_is_refused():
    message = "method frozen must need only what the loop offers, got needs=attention, probs; choose another"
    with pytest.raises(ValueError, match=message):
        list(sweep(HashDenoiser(), rows_with(Needy())))


def lengths_of_prompts(n_samples, settings):
    """Rows of prompts of 20 to 60 tokens in no order, under some settings each."""
    lengths = [20 + 17 * sample % 41 for sample in range(n_samples)]
    return [
        Row(key=(sample, i), prompt_ids=(5,) * n, gen_length=8, setting=setting, sample_id=str(sample))
        for sample, n in enumerate(lengths)
        for i, setting in enumerate(settings)
    ]


@pytest.mark.parametrize("share", [True, False], ids=["shared", "alone"])
def test_forwards_are_full_and_hardly_padded_over_a_task_of_many_prompt_lengths(share):
    settings = [Setting(method=confidence(), k=k) for k in (1, 2, 4)]
    filled = Filled()
    rows = lengths_of_prompts(100, settings)
    done = list(sweep(HashDenoiser(), rows, budget=Budget(tokens=68 * 8), share=share, filled=filled))
    assert len(done) == len(rows)
    assert filled.padded / filled.positions < 0.03
    assert filled.positions / filled.room > 0.9


def test_padding_and_room_are_counted_in_positions():
    """Two rows of 3 and 1 tokens in one forward of 2 x (3 + 4), and there is room for 3."""
    setting = Setting(method=confidence(), k=4)
    rows = [Row(key=n, prompt_ids=(5,) * n, gen_length=4, setting=setting, sample_id=str(n)) for n in (1, 3)]
    filled = Filled()
    assert len(list(sweep(HashDenoiser(), rows, budget=Budget(tokens=21), filled=filled))) == 2
    assert (filled.positions, filled.padded, filled.room) == (14, 2, 21)
