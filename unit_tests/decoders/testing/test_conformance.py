"""The public conformance kit passes what obeys the rules and names the law that is broken."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from decoders.rows import Decoded
from decoders.state import StepUpdate
from decoders.testing import HashDenoiser, check_denoiser, check_generator, check_method
from decoders.unmasking.threshold import Threshold


@dataclass(frozen=True, kw_only=True)
class Memory:
    steps: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Best:
    """Commits the best position, and breaks the rule called *fault*."""

    name: ClassVar[str] = "best"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple] = ({},)
    needs: ClassVar[frozenset] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    fault: str = ""

    def init(self, view):
        if self.fault == "memory is a list":
            return [0] * len(view.step)
        return Memory(steps=view.step[:1]) if self.fault == "memory of one row" else None

    def step(self, view, memory):
        unmask, tokens, remask = view.by_confidence == 0, view.proposals, None
        if self.fault == "not eligible":
            unmask = unmask | ~view.eligible
        elif self.fault == "idle":
            unmask = unmask & False
        elif self.fault == "mask":
            tokens = tokens * 0
        elif self.fault == "writes its input":
            view.proposals.fill_(5)
        elif self.fault == "reads its mates":
            unmask = view.by_confidence < len(view.step)
        elif self.fault == "draws its own numbers":
            unmask = view.rank(torch.rand(view.eligible.shape)) == 0
        elif self.fault == "remasks":
            remask = ~view.eligible & (view.tokens == 2)
        elif self.fault == "not bool":
            unmask = unmask.long()
        elif self.fault == "memory of mates":
            return StepUpdate(unmask=unmask, tokens=tokens), Memory(steps=view.step + len(view.step))
        return StepUpdate(unmask=unmask, tokens=tokens, remask=remask), memory


LAWS = {
    "not eligible": "a step unmasks only eligible positions",
    "idle": "a step commits at least one position of every row",
    "mask": "a decode finishes: .*commits MASK",
    "writes its input": "a step changes no input, but proposals changed",
    "reads its mates": r"a row's update does not depend on its batch mates \(row 0\)",
    "draws its own numbers": "the same view gives the same update",
    "remasks": "only a method that declares may_remask masks again",
    "not bool": r"unmask must be bool, got torch\.int64",
    "memory of mates": r"a row's memory does not depend on its batch mates \(row 0\)",
    "memory is a list": "memory is None or a frozen dataclass of tensors, got list",
    "memory of one row": r"memory\.steps must be a tensor with the 4 rows as dimension 0",
}


def test_a_sound_method_passes():
    check_method(Best())


@pytest.mark.parametrize("fault", LAWS)
def test_a_method_that_breaks_a_law_is_told_which(fault):
    with pytest.raises(AssertionError, match=LAWS[fault]):
        check_method(Best(fault=fault))


@dataclass(frozen=True, kw_only=True)
class Listed(Best):
    values: tuple = (1,)


def declaring(**attributes):
    return type("Declared", (Best,), attributes)()


DECLARATIONS = {
    "no dataclass": (lambda: object(), "a method is a frozen dataclass of plain parameters, got object"),
    "plain": (lambda: Listed(), r"parameter values must be plain, got \(1,\)"),
    "name": (lambda: declaring(name=""), "name must be a text, got ''"),
    "family": (lambda: declaring(family="other"), "family must be static or adaptive, got 'other'"),
    "flag": (lambda: declaring(takes_k=1), "takes_k must be True or False, got 1"),
    "needs": (lambda: declaring(needs=()), r"needs must be a frozenset, got \(\)"),
    "unknown need": (
        lambda: declaring(needs=frozenset({"probs"})),
        r"needs must be among \['attention', 'probabilities', 'row_attention', 'shadow'\], got \['probs'\]",
    ),
    "scope": (lambda: declaring(scope="row"), "scope must be one of block, generated, .*, got 'row'"),
    "sweep": (lambda: declaring(sweep=()), "sweep must hold at least one parameter set"),
    "sweep of numbers": (lambda: declaring(sweep=(1,)), "sweep must hold mappings of parameters"),
}


@pytest.mark.parametrize(("build", "law"), DECLARATIONS.values(), ids=DECLARATIONS)
def test_a_declaration_that_means_nothing_is_named(build, law):
    with pytest.raises(AssertionError, match=law):
        check_method(build())


def test_a_method_that_can_be_changed_is_refused():
    @dataclass(kw_only=True, unsafe_hash=True)
    class Loose:
        fault: str = ""

    with pytest.raises(AssertionError, match="a method is frozen, but fault can be set"):
        check_method(Loose())


class Wrong(HashDenoiser):
    """A denoiser that breaks the rule called *fault*."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.calls = 0
        if fault == "mask is eos":
            self.eos_ids = frozenset({self.mask_id})
        if fault == "no eos":
            self.eos_ids = frozenset()

    def encode_prompt(self, messages):
        ids = super().encode_prompt(messages)
        return [token + 23 for token in ids] if self.fault == "prompt outside" else ids

    def __call__(self, canvas, attend, query, contexts):
        self.calls += 1
        everything = torch.ones_like(attend) if self.fault == "reads padding" else attend
        logits = super().__call__(canvas, everything, query, contexts)
        if self.fault == "writes the canvas":
            canvas[:, -1] = 5
        elif self.fault == "mask proposed":
            logits[:, self.mask_id] = 0.0
        elif self.fault == "nan":
            logits[0, 3] = float("nan")
        elif self.fault == "narrow":
            logits = logits[:, 1:]
        elif self.fault == "shifted":
            logits = logits.roll(1, dims=0)
        elif self.fault == "other each time":
            logits = logits * self.calls
        return logits


RULES = {
    "mask is eos": "MASK is no end of text",
    "no eos": "there is at least one end of text",
    "prompt outside": "prompt ids lie inside the vocabulary",
    "writes the canvas": "a forward does not change the canvas",
    "mask proposed": "MASK is never proposed: its logit is -inf",
    "nan": "logits are finite somewhere in every row and never NaN",
    "narrow": r"logits are \[N, V\] = \(16, 23\), got \(16, 22\)",
    "shifted": "logits belong to the queried position, whatever else is asked",
    "other each time": "the same canvas gives the same logits",
    "reads padding": "padding and batch mates change nothing",
}


def test_a_sound_denoiser_passes():
    check_denoiser(HashDenoiser())


@pytest.mark.parametrize("fault", RULES)
def test_a_denoiser_that_breaks_a_law_is_told_which(fault):
    with pytest.raises(AssertionError, match=RULES[fault]):
        check_denoiser(Wrong(fault))


class Repeating:
    """A generator that repeats an id, with *changed* fields in its results."""

    name = "repeating"
    owns_loop = True
    eos_ids = frozenset({1})
    tokenizer = HashDenoiser().tokenizer

    def __init__(self, **changed):
        self.changed = changed
        self.calls = 0

    def encode_prompt(self, messages):
        return HashDenoiser().encode_prompt(messages)

    def generate(self, rows, params):
        self.calls += 1
        n = params["steps"]
        done = [Decoded(key=row.key, ids=(5,) * row.gen_length, nfe=n, commit_step=None) for row in rows]
        changed = dict(self.changed)
        if changed.pop("reverse", False):
            done.reverse()
        if changed.pop("fresh", False):
            changed["nfe"] = self.calls
        return [replace(row, **changed) for row in done]


RESULTS = {
    "order": ({"reverse": True}, "one result per row, in order"),
    "long": ({"ids": (5,) * 9}, "at most gen_length=8 ids, got 9"),
    "kind": (
        {"nfe_kind": "guess"},
        "nfe_kind must be one of counted, commanded, bounds, unknown, got 'guess'",
    ),
    "unknown": ({"nfe_kind": "unknown"}, "nfe is None exactly when its kind is bounds or unknown"),
    "none": ({"nfe": None}, "nfe is None exactly when its kind is bounds or unknown"),
    "zero": ({"nfe": 0}, "nfe counts forwards, got 0"),
    "steps": ({"commit_step": (0,)}, "one commit step per id"),
    "seed": ({"fresh": True}, "the same seed gives the same result"),
}


def test_a_sound_generator_passes():
    check_generator(Repeating(), {"steps": 4})
    check_generator(Repeating(nfe=None, nfe_kind="unknown", commit_step=(0,) * 8), {"steps": 4})


@pytest.mark.parametrize(("changed", "law"), RESULTS.values(), ids=RESULTS)
def test_a_generator_that_breaks_a_law_is_told_which(changed, law):
    with pytest.raises(AssertionError, match=law):
        check_generator(Repeating(**changed), {"steps": 4})


def test_the_kit_accepts_parameters_of_every_plain_kind():
    check_method(Threshold(gamma=0.9, confidence="confidence"))
