"""Grammar as a tool: looked for once, asked in batches, a reason where it cannot say."""

import os
import threading
from types import SimpleNamespace

import pytest

from task_specs.sample import Sample
from task_specs.scoring.languagetool import checker as languagetool
from task_specs.scoring.languagetool import tool as module
from task_specs.scoring.languagetool.checker import Backend, ServerStartError
from task_specs.scoring.languagetool.client import checksum
from task_specs.scoring.languagetool.tool import GrammarTool
from unit_tests.languagetool_stand_in import FIRST_TEXT, reply

pytest.importorskip("language_tool_python", reason="needs language-tool-python")

SAMPLE = Sample(
    id="a", fields={}, facts={"text": "source"}, shots=(), example="", answers=None, template=None, length=1
)


@pytest.fixture
def grammar(tmp_path):
    made = []

    def make(named="none", env=None):
        made.append(GrammarTool(named, folder=tmp_path, env=env or {}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def asked(*texts):
    return [(text, SAMPLE) for text in texts]


def test_what_cannot_be_used_is_tried_once(grammar, monkeypatch):
    calls = []

    def refuse(spec, env):
        calls.append(spec)
        raise ValueError("grammar server must be there")

    monkeypatch.setattr(module, "resolve", refuse)
    found = grammar("http://127.0.0.1:1")
    uses = (lambda: found.check(), lambda: found.key(), lambda: found.missing)
    for use in uses:
        with pytest.raises(ValueError, match="grammar server must be there"):
            use()
    assert calls == ["http://127.0.0.1:1"]


def test_a_server_that_does_not_start_is_started_once(grammar, monkeypatch):
    calls = []

    def fail(backend, *, directory, env):
        calls.append(backend)
        raise ServerStartError("no Java")

    monkeypatch.setattr(module, "launch", fail)
    found = grammar(Backend(kind="folder", name="languagetool", folder="lt", java="java"))
    found.check()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^--pb-grammar: no Java$"):
            found.measure(asked("a"))
    assert len(calls) == 1


def test_a_missing_client_is_told_before_anything_is_asked(grammar, monkeypatch, stand_in):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"language_tool_python, which is not installed; pip install '.*text"
    ):
        grammar(stand_in().url).check()


def test_a_batch_is_judged_in_order_and_the_key_names_server_and_version(grammar, stand_in):
    server = stand_in()
    found = grammar(server.url)
    assert found.measure(asked("a", "xx", "a", "")) == [
        {"matches": 0, "rules": [], "version": "6.8"},
        {"matches": 2, "rules": ["X", "X"], "version": "6.8"},
        {"matches": 0, "rules": [], "version": "6.8"},
        {"reason": "the text is empty"},
    ]
    assert sorted(server.asked) == sorted([FIRST_TEXT, "a", "xx"])
    said = f"languagetool:6.8+{checksum(*['X'] * FIRST_TEXT.count('x'))}:en-US"
    assert found.key() == said
    assert found.missing is None


def test_answers_of_another_version_than_the_key_names_are_no_answers(grammar, stand_in):
    server = stand_in(lambda text: reply(version="6.8" if text == FIRST_TEXT else "6.9"))
    (found,) = grammar(server.url).measure(asked("a"))
    assert found == {"reason": "LanguageTool answered as version 6.9, it began as 6.8; run again"}


def test_a_backend_that_is_handed_on_is_not_looked_for_again(grammar, stand_in):
    server = stand_in()
    first = grammar(server.url)
    second = grammar(Backend(**first.shared()))
    assert second.measure(asked("x"))[0]["matches"] == 1
    assert server.asked.count(FIRST_TEXT) == 1


def test_a_set_stop_asks_nothing_more(grammar, stand_in):
    server = stand_in()
    stop = threading.Event()
    stop.set()
    (found,) = grammar(server.url).measure(asked("a"), stop)
    assert found == {"reason": "not asked: LanguageTool stopped answering"}
    assert server.judged == []


def test_calls_that_share_a_stop_share_an_outage(grammar, stand_in, monkeypatch):
    monkeypatch.setattr(languagetool, "PAUSES_S", ())
    server = stand_in()
    found, stop = grammar(server.url), threading.Event()
    assert found.backend.version == "6.8"
    server.stop()
    assert "did not answer" in found.measure(asked("a"), stop)[0]["reason"]
    assert stop.is_set()
    assert "not asked" in found.measure(asked("b"), stop)[0]["reason"]


@pytest.mark.parametrize("env", [{}, {"HOME": os.devnull, "PATH": ""}], ids=["none", "auto"])
def test_without_a_backend_the_ways_out_are_told_once(grammar, env):
    found = grammar("auto" if env else "none", env=env)
    for way in ("name a server", "a folder of it", "--pb-grammar download"):
        assert found.missing.count(way) == 1


def test_closing_ends_a_server_that_was_started_here(grammar, monkeypatch):
    closed = []
    server = SimpleNamespace(close=lambda: closed.append(1))
    backend = Backend(kind="folder", name="languagetool", folder="lt", java="java")
    monkeypatch.setattr(
        module, "launch", lambda found, **_: (found.at("http://127.0.0.1:1/", "6.8", "ab12"), server)
    )
    found = grammar(backend)
    assert found.key() == "languagetool:6.8+ab12:en-US"
    found.close()
    found.close()
    assert closed == [1]


def test_later_names_the_command_and_no_ways_out(grammar):
    found = grammar("later")
    assert found.is_later
    assert found.missing == "grammar is left for later (--pb-grammar later); score it with pb rescore"
    assert found.key() == "later:later"
