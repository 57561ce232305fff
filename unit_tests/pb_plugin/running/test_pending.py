"""Scores that come late are stored whenever they come, and an error of one task is told at its own turn."""

import threading
from types import SimpleNamespace

import pytest

from pb_plugin.running.pending import Pending
from pb_plugin.running.scoring import Scoring
from unit_tests.pb_plugin.running.test_scoring import PATIENCE_S, Data, FakeTools, decoded

__all__ = ["decoded"]


@pytest.fixture
def kept():
    return []


@pytest.fixture
def pending(kept):
    return Pending(SimpleNamespace(keep=kept.append))


def asking(tools, *waiting):
    scoring = Scoring(Data(), tools)
    for one in waiting:
        scoring.add(one)
    return scoring


def test_what_comes_is_stored_and_the_rest_is_waited_for_at_its_turn(pending, kept, decoded):
    gate = threading.Event()
    pending.add(("m", "late"), asking(FakeTools(gate), decoded("a")))
    pending.add(("m", "soon"), asking(FakeTools(), decoded("b")))
    waited = threading.Event()
    while not kept and not waited.wait(0.01):
        pending.collect()
    assert [record.text for record in kept] == ["b"]
    gate.set()
    pending.finish(("m", "late"))
    assert [record.text for record in kept] == ["b", "a"]
    pending.finish(("m", "soon"))
    pending.finish(("m", "never begun"))
    assert len(kept) == 2


def test_an_error_of_a_tool_is_raised_at_the_turn_of_its_task_and_at_no_other(pending, kept, decoded):
    failing = asking(FakeTools(error=ValueError("no server")), decoded("a"))
    pending.add(("m", "failing"), failing)
    pending.add(("m", "fine"), asking(FakeTools(), decoded("b")))
    ends = threading.Event()
    while not kept and not ends.wait(0.01):
        pending.collect()
    pending.finish(("m", "fine"))
    assert [record.text for record in kept] == ["b"]
    with pytest.raises(ValueError, match="no server"):
        pending.finish(("m", "failing"))
    pending.finish(("m", "failing"))


def test_at_the_end_of_a_run_nothing_further_is_asked(pending, kept, decoded):
    gate, tools = threading.Event(), FakeTools()
    tools.gate = gate
    scoring = Scoring(Data(), tools)
    for text in ("a", "b"):
        scoring.add(decoded(text))
        scoring.send()
    pending.add(("m", "t"), scoring)
    while not tools.batches:
        assert not gate.wait(0.01)
    threading.Timer(0.2, gate.set).start()
    pending.drop()
    assert gate.wait(PATIENCE_S)
    assert tools.batches == [["a"]]
    assert tools.stops[0].is_set()
    assert not kept
