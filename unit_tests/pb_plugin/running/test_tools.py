"""The scoring tools of one process, asked together by the names that specs write in ``needs``."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pb_plugin.running.tools import Tools, tools_of


def tool(name, *, later=False, missing=None, shared=None):
    """A tool that says its name of every text, and what was done with it."""
    made = SimpleNamespace(name=name, is_later=later, missing=missing, notes=[f"{name} was used"], done=[])
    made.check = lambda: made.done.append("check")
    made.key = lambda: f"{name}-1"
    made.shared = lambda: shared
    made.measure = lambda asked, stop: [{"said": name, "of": text, "stop": stop} for text, _ in asked]
    made.close = lambda: made.done.append("close")
    return made


def test_nothing_is_looked_for_before_it_is_needed():
    one = tool("one")
    found = Tools(one)
    found.check(())
    assert found.key(()) == ""
    assert found.measure((), [("a", None), ("b", None)]) == [{}, {}]
    assert one.done == []
    found.check({"one"})
    found.close()
    assert one.done == ["check", "close"]


def test_needed_tools_are_asked_with_one_stop_and_answer_by_name():
    found, stop = Tools(tool("two"), tool("one"), tool("three")), threading.Event()
    assert found.measure({"two", "one"}, [("a", None)], stop) == [
        {name: {"said": name, "of": "a", "stop": stop} for name in ("one", "two")}
    ]
    assert found.key({"two", "one"}) == "/one=one-1/two=two-1"
    assert found.notes == ["two was used", "one was used", "three was used"]


def test_a_missing_tool_leaves_its_tasks_out_unless_it_judges_later():
    found = Tools(tool("here"), tool("none", missing="no none"), tool("later", later=True, missing="not now"))
    assert found.unscored({"here"}) is found.not_decoded({"here"}) is None
    assert found.unscored({"here", "none"}) == found.not_decoded({"here", "none"}) == "no none"
    assert found.unscored({"here", "later"}) == "not now"
    assert found.not_decoded({"here", "later"}) is None


def test_only_what_workers_share_is_handed_on():
    found = Tools(tool("one", shared={"url": "there"}), tool("two"), tool("three", shared={"url": "?"}))
    assert found.shared({"one", "two"}) == {"one": {"url": "there"}}


def test_a_backend_that_is_handed_on_takes_the_place_of_what_was_named(tmp_path):
    pytest.importorskip("language_tool_python", reason="needs language-tool-python")
    running = {"kind": "server", "name": "lt", "url": "http://127.0.0.1:1/", "version": "6.8", "rules": "ab"}
    found = tools_of(grammar="none", bertscore=None, folder=tmp_path, shared={"grammar": running}, env={})
    assert found.unscored({"grammar"}) is None
    assert found.key({"grammar"}) == "/grammar=lt:6.8+ab:en-US"


def test_every_tool_of_a_run_is_named_in_its_key():
    found = tools_of(grammar="later", bertscore="dir@6", folder=Path("none"), env={})
    assert found.key({"grammar", "bertscore"}) == "/bertscore=dir@6/grammar=later:later"
