"""Every rule of the loop names who broke it, where and how; the other rows go on as if alone."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from decoders.budget import Budget
from decoders.loop.batching import sweep
from decoders.loop.loop import BROKEN_RULES
from decoders.rows import Decoded, DecodeError, DeviceLost, Failed, Row, Setting, TimedOut
from decoders.state import StepUpdate
from decoders.testing import HashDenoiser
from decoders.unmasking.top_k import confidence

MASK, BAD, GOOD = 0, 7, 8
LENGTH = 6


@dataclass(frozen=True, kw_only=True)
class Faulty:
    """Commits the best position of every row, and breaks one rule in rows whose template starts with BAD."""

    name: ClassVar[str] = "faulty"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple] = ({},)
    needs: ClassVar[frozenset] = frozenset()
    may_idle: ClassVar[bool] = False

    fault: str
    may_remask: bool = False

    @property
    def moves_block_end(self):
        return self.fault.startswith("block")

    @property
    def enters_by_first(self):
        return self.fault.endswith("by first")

    def init(self, view):
        return None

    def step(self, view, memory):
        bad = (view.tokens[:, 0] == BAD) & (view.step >= (view.block_start == 0).long() * 2)
        bad = bad.unsqueeze(1)
        best = view.by_confidence == 0
        visible = (view.tokens != MASK) & (torch.arange(view.tokens.shape[1]) > 0)
        unmask, tokens, remask = best, view.proposals, None
        if self.fault == "not eligible":
            unmask = best | (bad & ~view.eligible)
        elif self.fault == "mask":
            tokens = torch.where(bad, MASK, tokens)
        elif self.fault == "outside":
            tokens = torch.where(bad, 23, tokens)
        elif self.fault == "negative":
            tokens = torch.where(bad, -1, tokens)
        elif self.fault == "remask":
            remask = bad & visible
        elif self.fault == "remask template":
            remask = bad & (torch.arange(view.tokens.shape[1]) == 0)
        elif self.fault == "remask masked":
            remask = bad & view.eligible
        elif self.fault == "idle":
            unmask = best & ~bad
        elif self.fault == "idle and remask":
            unmask, remask = best & ~bad, bad & visible
        elif self.fault == "no progress":
            remask = bad & visible
        row, end = bad.squeeze(1), None
        if self.fault == "block without positions":
            end = view.block_start.where(row, view.block_end)
        elif self.fault == "block behind its end":
            end = view.block_end + row.long()
        elif self.fault == "block behind what is unmasked":
            unmask = best | bad & view.eligible
            end = (view.block_start + 1).where(row, view.block_end)
        if self.enters_by_first:
            first = view.eligible & (view.eligible.cumsum(dim=1) == 1)
            bad = (view.tokens[:, :1] == BAD) & (self.fault == "not by first")
            unmask = (first.roll(1, dims=1) & bad | first & ~bad).where((view.step == 0).unsqueeze(1), best)
        return StepUpdate(unmask=unmask, tokens=tokens, remask=remask, block_end=end), None


def rows_of(method, n=4, **row):
    """Odd rows are BAD; all are two blocks with one token given."""
    return [
        Row(
            key=f"row{i}",
            prompt_ids=(3, 4 + i),
            gen_length=LENGTH,
            setting=Setting(method=method, block_length=LENGTH, k=1 if method.takes_k else None),
            sample_id=str(i),
            template_ids=((GOOD, BAD)[i % 2], *[MASK] * (LENGTH - 1)),
            **row,
        )
        for i in range(n)
    ]


FAULTS = {
    "not eligible": (False, 2, "it unmasks positions that are not eligible; keep to view.eligible, or"),
    "mask": (False, 2, "it commits MASK or an id outside the vocabulary; commit view.proposals"),
    "outside": (False, 2, "it commits MASK or an id outside the vocabulary; commit view.proposals"),
    "negative": (False, 2, "it commits MASK or an id outside the vocabulary; commit view.proposals"),
    "remask": (
        False,
        2,
        "it masks positions again that it may not; declare may_remask and keep",
    ),
    "remask template": (True, 2, "it masks positions again that it may not; declare may_remask and keep to"),
    "remask masked": (True, 2, "it masks positions again that it may not; declare may_remask and keep to"),
    "idle": (False, 2, "it commits nothing; commit at least one eligible position or declare"),
    "idle and remask": (
        True,
        2,
        "it commits nothing; commit at least one eligible position or declare",
    ),
    "block without positions": (False, 0, "it ends the block before its start or behind its end, or unmasks"),
    "block behind its end": (False, 0, "it ends the block before its start or behind its end, or unmasks"),
    "block behind what is unmasked": (False, 0, "it ends the block before its start or behind its end, or"),
    "not by first": (False, 0, "it enters a block without its first mask; commit that in step 0, or do not"),
    "no progress": (
        True,
        12,
        "it needs more than twice as many steps as there are positions; it does not make",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_rule_names_the_row_and_the_other_rows_go_on(fault):
    may_remask, step, text = FAULTS[fault]
    method = Faulty(fault=fault, may_remask=may_remask)
    sound = Faulty(fault="all by first" if method.enters_by_first else "none", may_remask=may_remask)
    outcomes = {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows_of(method))}
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows_of(sound))}
    for key in ("row0", "row2"):
        assert outcomes[key] == expected[key]
    for key in ("row1", "row3"):
        assert isinstance(outcomes[key], Failed)
        error = outcomes[key].error
        where = f"model hash, method faulty, row '{key}', block 0, step {step}: {text}"
        assert str(error).startswith(where)
        assert error.kind == "method_error"


def test_the_block_of_a_broken_rule_is_named():
    row = Row(
        key=1,
        prompt_ids=(),
        gen_length=4,
        setting=Setting(method=Faulty(fault="idle"), block_length=2),
        template_ids=(BAD, 9, MASK, MASK),
    )
    (failed,) = sweep(HashDenoiser(), [row])
    assert "row 1, block 1, step 0: it commits nothing" in str(failed.error)


class Diverging(HashDenoiser):
    """Gives logits that are no distribution for rows whose prompt ends with 5, from forward 3 on."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def __call__(self, canvas, attend, query, contexts):
        logits = super().__call__(canvas, attend, query, contexts)
        late = (canvas[:, -LENGTH:] == MASK).sum(dim=1) <= LENGTH - 3
        broken = (canvas[:, -LENGTH - 1] == 5) & late
        logits[broken[query[:, 0]]] = self.value
        return logits


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("method", [confidence(), Faulty(fault="none")], ids=lambda method: method.name)
def test_logits_that_are_not_finite_fail_their_row_only(value, method):
    outcomes = {outcome.key: outcome for outcome in sweep(Diverging(value), rows_of(method))}
    failed = outcomes.pop("row1")
    assert failed.error.kind == "model_error"
    assert str(failed.error) == (
        f"model hash, method {method.name}, row 'row1', block 0, step 2: "
        "the denoiser gave logits that are not finite; check the checkpoint and its dtype"
    )
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows_of(method))}
    assert outcomes == {key: expected[key] for key in outcomes}
    assert len(outcomes) == 3


def test_every_rule_is_broken_by_a_test_above():
    texts = [text for _, _, text in FAULTS.values()]
    untested = [rule for kind, rule in BROKEN_RULES if not any(rule.startswith(text) for text in texts)]
    assert len(untested) == 1
    assert untested[0].startswith("the denoiser gave logits that are not finite")


@dataclass(frozen=True, kw_only=True)
class Raising(Faulty):
    """Fails as a whole: raises, or gives tensors that are no update."""

    def step(self, view, memory):
        update, _ = Faulty(fault="none").step(view, None)
        if self.fault == "raise":
            raise KeyError("position")
        if self.fault == "no update":
            return None
        if self.fault == "narrow":
            return StepUpdate(unmask=update.unmask[:, 1:], tokens=update.tokens), None
        if self.fault == "few tokens":
            return StepUpdate(unmask=update.unmask, tokens=update.tokens[:1]), None
        return update, Short(rows=view.step[1:])


@dataclass(frozen=True, kw_only=True)
class Short:
    rows: torch.Tensor


WHOLE = {
    "raise": "method faulty raised KeyError: 'position' (first row 'row0')",
    "no update": "method faulty raised TypeError: cannot unpack",
    "narrow": "method faulty raised ValueError: unmask must have the shape (4, 6) of the view, got (4, 5)",
    "few tokens": "method faulty raised ValueError: tokens must have the shape (4, 6) of the view, got",
    "short memory": "method faulty raised ValueError: memory must hold the 4 rows of the view, got 3; keep",
}


@pytest.mark.parametrize("fault", WHOLE)
def test_a_method_that_raises_fails_its_own_rows_only(fault):
    others = [
        Row(key=i, prompt_ids=(9,), gen_length=LENGTH, setting=Setting(method=confidence(), k=2))
        for i in range(3)
    ]
    outcomes = {
        outcome.key: outcome for outcome in sweep(HashDenoiser(), [*rows_of(Raising(fault=fault)), *others])
    }
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), others)}
    assert {key: outcomes[key] for key in expected} == expected
    for key in ("row0", "row1", "row2", "row3"):
        error = outcomes[key].error
        assert str(error).startswith(WHOLE[fault])
        assert (error.kind, type(error)) == ("method_error", DecodeError)
        assert error.__cause__ is not None


class Broken(HashDenoiser):
    """Raises, or gives logits of a wrong shape, for the longer of two canvases."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def __call__(self, canvas, attend, query, contexts):
        logits = super().__call__(canvas, attend, query, contexts)
        if canvas.shape[1] < 40:
            return logits
        if self.fault == "raise":
            raise ZeroDivisionError("no device")
        return logits[1:] if self.fault == "rows" else logits[:, 1:]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", r"model hash raised ZeroDivisionError: no device"),
        (
            "rows",
            r"model hash raised ValueError: logits must have the shape \(6, 23\), got \(5, 23\); give",
        ),
        (
            "columns",
            r"model hash raised ValueError: logits must have the shape \(6, 23\), got \(6, 22\); give",
        ),
    ],
)
def test_a_model_that_raises_fails_the_rows_of_that_forward_and_other_forwards_go_on(fault, message):
    setting = Setting(method=confidence(), k=2)
    lengths = {"short": 3, "long": 40}
    rows = [
        Row(key=(name, i), prompt_ids=(5,) * n, gen_length=LENGTH, setting=setting, sample_id=str(i))
        for name, n in lengths.items()
        for i in range(2)
    ]
    outcomes = {outcome.key: outcome for outcome in sweep(Broken(fault), rows)}
    assert all(isinstance(outcomes["short", i], Decoded) for i in range(2))
    for i in range(2):
        error = outcomes["long", i].error
        assert error.kind == "model_error"
        assert error.__cause__ is not None
        with pytest.raises(DecodeError, match=message):
            raise error


class Picky(HashDenoiser):
    """Raises for a canvas with one id in its prompt, whatever else is in the batch."""

    def __init__(self, error, at=9):
        super().__init__()
        self.error, self.at = error, at

    def __call__(self, canvas, attend, query, contexts):
        if ((canvas == self.at) & attend)[:, :-LENGTH].any():
            raise self.error
        return super().__call__(canvas, attend, query, contexts)


def picky_rows():
    """Eight samples in two settings each; the prompt of sample 5 is the one that is not liked."""
    prompts = {i: (9 if i == 5 else 3, 4) for i in range(8)}
    return [
        Row(
            key=(i, k),
            prompt_ids=prompts[i],
            gen_length=LENGTH,
            sample_id=str(i),
            setting=Setting(method=confidence(), k=k),
        )
        for i in range(8)
        for k in (1, 2)
    ]


@pytest.mark.parametrize("share", [True, False], ids=["shared forwards", "each its own"])
def test_a_model_that_raises_for_one_sample_fails_that_sample_and_no_mate(share):
    rows = picky_rows()
    alone = {d.key: d for r in rows for d in sweep(HashDenoiser(), [r])}
    found = {d.key: d for d in sweep(Picky(ValueError("not that one")), rows, share=share)}
    assert {key for key, outcome in found.items() if isinstance(outcome, Failed)} == {(5, 1), (5, 2)}
    assert {key: d for key, d in found.items() if key[0] != 5} == {
        key: d for key, d in alone.items() if key[0] != 5
    }


@pytest.mark.parametrize(
    "said",
    ["CUDA error: device-side assert triggered", "CUDA error: an illegal memory access was encountered"],
)
def test_an_error_after_which_the_device_refuses_every_call_is_no_fault_of_a_row(said):
    with pytest.raises(DeviceLost, match=said):
        list(sweep(Picky(RuntimeError(said)), picky_rows()))


def test_the_time_a_step_takes_is_limited_from_outside_and_the_blame_is_named():
    """Rows that were decoded before are there, and those of the step that took too long are known."""
    guarded = []

    @contextmanager
    def guard(rows):
        guarded.append([row.key for row in rows])
        yield

    found = sweep(Picky(TimedOut(2.0)), picky_rows(), guard=guard, budget=Budget(tokens=1000, max_rows=1))
    done = []
    with pytest.raises(TimedOut, match="not back within 2 s") as late:
        done.extend(outcome.key for outcome in found)
    assert late.value.who == "model hash"
    assert (5, 1) in guarded[-1]
    assert {key[0] for key in done} == set(range(4)), "the next two samples were under way"


def test_a_method_that_takes_too_long_is_named(monkeypatch):
    def late(self, view, memory):
        raise TimedOut(2.0)

    monkeypatch.setattr(type(confidence()), "step", late)
    with pytest.raises(TimedOut) as found:
        list(sweep(HashDenoiser(), picky_rows()))
    assert found.value.who == "method confidence"
