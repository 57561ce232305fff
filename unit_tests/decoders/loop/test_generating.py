"""Rows through a model that owns its loop: batches by budget, a result each, failures of one batch."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from decoders.budget import Budget
from decoders.loop.generating import generate
from decoders.rows import Decoded, DecodeError, Failed, Row, Setting
from decoders.text.tokenizer import PieceTokenizer
from pb_plugin.planning.native import Native


@dataclass
class Scripted:
    """Answers with as many ids as it is told, and remembers how it was called."""

    name: str = "scripted"
    owns_loop: ClassVar[bool] = True
    eos_ids: frozenset[int] = frozenset({1})
    fails_at: int = -1

    def __post_init__(self):
        self.tokenizer = PieceTokenizer()
        self.calls = []

    def encode_prompt(self, messages):
        return [2]

    def generate(self, rows, params):
        self.calls.append(([row.key for row in rows], dict(params)))
        if any(row.key == self.fails_at for row in rows):
            raise RuntimeError("no luck")
        return [self.answer(row, params) for row in rows]

    def answer(self, row, params):
        ids = (3,) * params.get("length", 2)
        return Decoded(key=row.key, ids=ids, nfe=len(ids), commit_step=tuple(range(len(ids))))


class Forgetful(Scripted):
    """Leaves a row out."""

    def generate(self, rows, params):
        return super().generate(rows, params)[1:]


def rows(*values):
    return [
        Row(key=key, prompt_ids=(2,), gen_length=4, setting=Setting(method=Native(values=value)))
        for key, value in enumerate(values)
    ]


def run(model, asked, *, max_rows=None):
    steps = []
    budget = Budget(tokens=1000, max_rows=max_rows)
    found = list(generate(model, asked, lambda m: dict(m.values), budget=budget, on_step=steps.append))
    return {outcome.key: outcome for outcome in found}, steps


def test_every_row_comes_back_once_with_the_parameters_of_its_own_setting():
    model = Scripted()
    found, steps = run(model, rows((), (("length", 1),), ()))
    assert {key: len(row.ids) for key, row in found.items()} == {0: 2, 1: 1, 2: 2}
    assert model.calls == [([0, 2], {}), ([1], {"length": 1})]
    assert steps == [2, 1]


def test_a_batch_is_as_large_as_the_budget_allows():
    model = Scripted()
    found, steps = run(model, rows(*[()] * 5), max_rows=2)
    assert len(found) == 5
    assert steps == [2, 2, 1]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Scripted(fails_at=0), "model scripted raised RuntimeError: no luck"),
        (Forgetful(), "model scripted raised ValueError: generate must return one result per row, in order"),
    ],
    ids=["raises", "forgets"],
)
def test_a_row_that_fails_fails_alone(model, message):
    found, _ = run(model, rows((), ()))
    assert isinstance(found[0], Failed)
    assert str(found[0].error).startswith(message)
    assert found[0].error.kind == "model_error"
    assert isinstance(found[1], Failed if isinstance(model, Forgetful) else Decoded)


@dataclass
class Cramped(Scripted):
    """Has room for so many rows at once."""

    room: int = 2

    def generate(self, rows, params):
        if len(rows) > self.room:
            raise torch.OutOfMemoryError("no room")
        return super().generate(rows, params)


def test_a_batch_that_does_not_fit_is_halved_and_later_ones_start_smaller():
    model = Cramped()
    budget = Budget(tokens=8 * 5)
    found = list(generate(model, rows(*[()] * 16), lambda m: {}, budget=budget, on_step=lambda n: None))
    assert [outcome.key for outcome in found] == list(range(16))
    assert all(isinstance(outcome, Decoded) for outcome in found)
    assert {len(keys) for keys, _ in model.calls} == {2}
    assert budget.tokens == 2 * 5


def test_a_row_that_does_not_fit_alone_is_out_of_memory():
    found, _ = run(Cramped(room=0), rows((), ()))
    assert [outcome.error.kind for outcome in found.values()] == ["oom", "oom"]


class OneByOne(Scripted):
    """Yields rows in another order than asked, and fails one of them by itself."""

    def generate_each(self, rows, params):
        self.calls.append(([row.key for row in rows], dict(params)))
        for row in reversed(rows):
            if row.key == self.fails_at:
                yield Failed(key=row.key, error=DecodeError("no answer", kind="timeout"))
            else:
                yield self.answer(row, params)


class Forgets(OneByOne):
    """Yields one row, and not the others."""

    def generate_each(self, rows, params):
        yield self.answer(rows[0], params)


class Repeats(OneByOne):
    """Yields a row twice."""

    def generate_each(self, rows, params):
        yield self.answer(rows[0], params)
        yield self.answer(rows[0], params)


class GivesUp(OneByOne):
    """Ends with an error after one row."""

    def generate_each(self, rows, params):
        yield self.answer(rows[0], params)
        raise ValueError("the server is gone")


def test_rows_one_by_one_come_as_they_are_done_and_nothing_is_asked_twice():
    model = OneByOne(fails_at=1)
    found, steps = run(model, rows((), (), ()), max_rows=1)
    assert list(found) == [2, 1, 0]
    assert model.calls == [([0, 1, 2], {})], "one call, whatever the size of a batch"
    assert steps == [1, 1, 1]
    assert found[1].error.kind == "timeout"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (GivesUp(), "model scripted raised ValueError: the server is gone"),
        (Forgets(), "generate_each must yield one result per row, 2 are missing; correct the model"),
        (Repeats(), "generate_each must yield one result per row; correct the model"),
    ],
    ids=["gives up", "forgets", "repeats"],
)
def test_rows_left_by_a_model_that_stops_fail_with_its_reason(model, message):
    found, _ = run(model, rows((), (), ()))
    assert isinstance(found.pop(0), Decoded)
    assert sorted(found) == [1, 2]
    assert all(message in str(outcome.error) for outcome in found.values())
