"""The scoring tools of one process: looked for once, asked in batches, a reason where they cannot say."""

import os
import threading
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from pb_plugin.running import tools as measure
from pb_plugin.running.tools import BERTSCORE, GRAMMAR, Tools
from task_specs.sample import Sample
from task_specs.scoring.languagetool import checker as languagetool
from task_specs.scoring.languagetool.checker import Backend, ServerStartError
from task_specs.scoring.languagetool.client import checksum
from unit_tests.languagetool_stand_in import FIRST_TEXT, StandIn, reply

pytest.importorskip("language_tool_python", reason="needs language-tool-python")

SAMPLE = Sample(
    id="a", fields={}, facts={"text": "source"}, shots=(), example="", answers=None, template=None, length=1
)


@pytest.fixture
def stand_in():
    started = []

    def start(*args):
        started.append(StandIn(*args))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def tools(tmp_path):
    made = []

    def make(grammar="none", bertscore=None, env=None):
        made.append(Tools(grammar=grammar, bertscore=bertscore, folder=tmp_path, env=env or {}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def asked(*texts):
    return [(text, SAMPLE) for text in texts]


def test_nothing_is_looked_for_before_it_is_needed(tools):
    found = tools("http://127.0.0.1:1")
    found.check(())
    assert found.key(()) == ""
    assert found.measure((), asked("a", "b")) == [{}, {}]
    with pytest.raises(ValueError, match=r"^grammar server must be a LanguageTool that answers at"):
        found.check({GRAMMAR})


def test_what_cannot_be_used_is_tried_once(tools, monkeypatch):
    calls = []

    def refuse(spec, env):
        calls.append(spec)
        raise ValueError("grammar server must be there")

    monkeypatch.setattr(measure, "resolve", refuse)
    found = tools("http://127.0.0.1:1")
    uses = (lambda: found.check({GRAMMAR}), lambda: found.key({GRAMMAR}), lambda: found.unscored)
    for use in uses:
        with pytest.raises(ValueError, match="grammar server must be there"):
            use()
    assert calls == ["http://127.0.0.1:1"]


def test_a_server_that_does_not_start_is_started_once(tools, monkeypatch):
    calls = []

    def fail(backend, *, directory, env):
        calls.append(backend)
        raise ServerStartError("no Java")

    monkeypatch.setattr(measure, "launch", fail)
    found = tools(Backend(kind="folder", name="languagetool", folder="lt", java="java"))
    found.check({GRAMMAR})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^--pb-grammar: no Java$"):
            found.measure({GRAMMAR}, asked("a"))
    assert len(calls) == 1


def test_a_missing_client_is_told_before_anything_is_asked(tools, monkeypatch, stand_in):
    monkeypatch.setattr(measure, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"language_tool_python, which is not installed; pip install '.*text"
    ):
        tools(stand_in().url).check({GRAMMAR})


def test_a_batch_is_judged_in_order_and_the_key_names_server_and_version(tools, stand_in):
    server = stand_in()
    found = tools(server.url)
    assert found.measure({GRAMMAR}, asked("a", "xx", "a", "")) == [
        {GRAMMAR: {"matches": 0, "rules": [], "version": "6.8"}},
        {GRAMMAR: {"matches": 2, "rules": ["X", "X"], "version": "6.8"}},
        {GRAMMAR: {"matches": 0, "rules": [], "version": "6.8"}},
        {GRAMMAR: {"reason": "the text is empty"}},
    ]
    assert sorted(server.asked) == sorted([FIRST_TEXT, "a", "xx"])
    said = f"grammar=languagetool:6.8+{checksum(*['X'] * FIRST_TEXT.count('x'))}:en-US"
    assert found.key({GRAMMAR}) == f"/{said}"
    assert found.key({GRAMMAR, BERTSCORE}) == f"/bertscore=none/{said}"
    assert found.unscored is None


def test_answers_of_another_version_than_the_key_names_are_no_answers(tools, stand_in):
    server = stand_in(lambda text: reply(version="6.8" if text == FIRST_TEXT else "6.9"))
    (found,) = tools(server.url).measure({GRAMMAR}, asked("a"))
    assert found == {GRAMMAR: {"reason": "LanguageTool answered as version 6.9, it began as 6.8; run again"}}


def test_a_backend_that_is_handed_on_is_not_looked_for_again(tools, stand_in):
    server = stand_in()
    first = tools(server.url)
    second = tools(Backend(**asdict(first.backend)))
    assert second.measure({GRAMMAR}, asked("x"))[0][GRAMMAR]["matches"] == 1
    assert server.asked.count(FIRST_TEXT) == 1


def test_a_set_stop_asks_nothing_more(tools, stand_in):
    server = stand_in()
    stop = threading.Event()
    stop.set()
    (found,) = tools(server.url).measure({GRAMMAR}, asked("a"), stop)
    assert found[GRAMMAR] == {"reason": "not asked: LanguageTool stopped answering"}
    assert server.judged == []


def test_calls_that_share_a_stop_share_an_outage(tools, stand_in, monkeypatch):
    monkeypatch.setattr(languagetool, "PAUSES_S", ())
    server = stand_in()
    found, stop = tools(server.url), threading.Event()
    assert found.backend.version == "6.8"
    server.stop()
    assert "did not answer" in found.measure({GRAMMAR}, asked("a"), stop)[0][GRAMMAR]["reason"]
    assert stop.is_set()
    assert "not asked" in found.measure({GRAMMAR}, asked("b"), stop)[0][GRAMMAR]["reason"]


@pytest.mark.parametrize("env", [{}, {"HOME": os.devnull, "PATH": ""}], ids=["none", "auto"])
def test_without_a_backend_the_ways_out_are_told_once(tools, env):
    found = tools("auto" if env else "none", env=env)
    for way in ("name a server", "a folder of it", "--pb-grammar download"):
        assert found.unscored.count(way) == 1


def test_later_names_the_command_and_no_ways_out():
    found = Tools(grammar="later", bertscore=None, folder=Path("none"), env={})
    assert found.unscored == "grammar is left for later (--pb-grammar later); score it with pb rescore"
    assert found.key({GRAMMAR}) == "/grammar=later:later"


def test_without_an_encoder_bertscore_is_a_reason(tools):
    (found,) = tools().measure({BERTSCORE}, asked("a"))
    assert found == {
        BERTSCORE: {
            "reason": "BERTScore: no encoder was named (--pb-bertscore roberta-large, or FOLDER@LAYER)"
        }
    }


def test_a_layer_that_is_no_number_is_refused_before_anything_is_decoded(tools):
    with pytest.raises(
        ValueError, match=r"^--pb-bertscore must be ENCODER or .*, got 'roberta@six'; correct"
    ):
        tools(bertscore="roberta@six").check({BERTSCORE})


def test_an_encoder_that_does_not_load_is_an_error_and_is_tried_once(tools, monkeypatch):
    from task_specs.scoring import bertscore

    calls = []

    def fail(encoder, layer):
        calls.append((encoder, layer))
        raise ValueError("encoder must be a folder")

    monkeypatch.setattr(bertscore, "load_bert_scorer", fail)
    found = tools(bertscore="dir@6")
    found.check({BERTSCORE})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^--pb-bertscore: encoder must be a folder$"):
            found.measure({BERTSCORE}, asked("a"))
    assert calls == [("dir", 6)]


def test_bertscore_compares_with_the_source(tools, monkeypatch):
    from task_specs.scoring import bertscore

    pairs = []
    scorer = SimpleNamespace(score=lambda given: [pairs.append(pair) or {"f1": 0.5} for pair in given])
    monkeypatch.setattr(bertscore, "load_bert_scorer", lambda encoder, layer: scorer)
    found = tools(bertscore="dir")
    assert found.measure({BERTSCORE}, asked("a", "b")) == [{BERTSCORE: {"f1": 0.5}}] * 2
    assert pairs == [("a", "source"), ("b", "source")]


def test_closing_ends_a_server_that_was_started_here(tools, monkeypatch):
    closed = []
    server = SimpleNamespace(close=lambda: closed.append(1))
    backend = Backend(kind="folder", name="languagetool", folder="lt", java="java")
    monkeypatch.setattr(
        measure, "launch", lambda found, **_: (found.at("http://127.0.0.1:1/", "6.8", "ab12"), server)
    )
    found = tools(backend)
    assert found.key({GRAMMAR}) == "/grammar=languagetool:6.8+ab12:en-US"
    found.close()
    found.close()
    assert closed == [1]
