"""Texts that a server judges: the order, what is remembered, and what a bad server or reply costs."""

import json
import socket
import threading

import pytest

from task_specs.scoring.languagetool.checker import (
    Backend,
    Grammar,
    GrammarCache,
    GrammarResult,
    resolve,
)
from task_specs.scoring.languagetool.client import version_of
from unit_tests.languagetool_stand_in import reply
from unit_tests.task_specs.scoring.languagetool.launches import backend_of, checked

pytest.importorskip("language_tool_python", reason="needs language-tool-python")


def test_results_come_in_order_and_each_distinct_text_is_asked_once(stand_in):
    server = stand_in()
    found = Grammar(backend_of(server)).check(["a", "xx", " a\n", "bx", "xx"])
    assert found == [checked(), checked("XX"), checked(), checked("X"), checked("XX")]
    assert sorted(server.asked) == ["a", "bx", "xx"]


def test_what_scorers_read():
    assert checked("AB").measured() == {"matches": 2, "rules": ["A", "B"], "version": "6.8"}
    assert GrammarResult(reason="why").measured() == {"reason": "why"}


def test_an_empty_text_is_never_asked(stand_in):
    server = stand_in()
    found = Grammar(backend_of(server)).check(["", " \n"])
    assert [result.reason for result in found] == ["the text is empty"] * 2
    assert server.asked == []


def test_several_texts_are_in_flight_and_never_more_than_asked_for(stand_in):
    barrier = threading.Barrier(4, timeout=60.0)

    def together(text):
        barrier.wait()
        return reply()

    server = stand_in(together)
    found = Grammar(backend_of(server), in_flight=4).check([f"t{n}" for n in range(8)])
    assert found == [checked()] * 8
    assert server.most_in_flight == 4


def test_answers_are_kept_in_memory_and_on_disk_by_backend_version_and_text(stand_in, tmp_path):
    server = stand_in()
    for _ in range(2):
        grammar = Grammar(backend_of(server), cache=GrammarCache(tmp_path / "cache"))
        for _ in range(2):
            assert grammar.check(["a", "x"]) == [checked(), checked("X")]
    assert sorted(server.asked) == ["a", "x"]
    Grammar(backend_of(server, "other"), cache=GrammarCache(tmp_path / "cache")).check(["a"])
    assert sorted(server.asked) == ["a", "a", "x"]


def test_a_server_of_another_version_is_asked_again_and_named(stand_in):
    server = stand_in(lambda text: reply(version="6.9"))
    grammar = Grammar(backend_of(server))
    assert grammar.check(["a"]) == grammar.check(["a"]) == [checked(version="6.9")]
    assert server.asked == ["a", "a"]


def test_a_torn_or_foreign_line_of_the_cache_is_skipped_and_ends_with_the_next_answer(tmp_path):
    key = ("test", "6.8", "a")
    GrammarCache(tmp_path).put(key, ("X",))
    with (tmp_path / "grammar.jsonl").open("a") as file:
        file.write(
            '{"backend": "test", "version": null, "text": "n", "rules": []}\n5\n{"rules": "text"}\n{"bac'
        )
    assert GrammarCache(tmp_path).get(key) == ("X",)
    GrammarCache(tmp_path).put(("test", "6.8", "\ud800 b\n"), ())
    again = GrammarCache(tmp_path)
    assert (again.get(key), again.get(("test", "6.8", "\ud800 b\n"))) == (("X",), ())


def test_a_snapshot_is_named_with_its_build():
    assert version_of(json.loads(reply(version="6.9-SNAPSHOT")[1])) == "6.9-SNAPSHOT (today)"


@pytest.mark.parametrize("spec", ["none", "later"])
def test_without_a_server_every_text_has_the_reason(spec):
    backend = resolve(spec, {})
    assert backend.reason is not None
    assert Grammar(backend).check(["a"]) == [GrammarResult(reason=backend.reason)]


def test_a_folder_whose_server_was_not_started_is_a_reason():
    found = Grammar(Backend(kind="folder", name="languagetool", folder="lt")).check(["a"])
    assert found[0].reason == "the grammar server was not started"


def test_a_server_that_dies_in_between_gives_reasons_and_is_asked_again_later(stand_in):
    server = stand_in()
    grammar = Grammar(backend_of(server), in_flight=2)
    assert grammar.check(["a"]) == [checked()]
    server.stop()
    found = grammar.check(["a", *(f"t{n}" for n in range(20))])
    assert found[0] == checked()
    assert all("did not answer" in result.reason or "not asked" in result.reason for result in found[1:])
    assert sum("did not answer" in result.reason for result in found[1:]) <= 2


def test_a_server_that_is_not_there_gives_reasons():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        found = Grammar(Backend(kind="server", name=url, url=url, version="6.8")).check(["a", "b"])
    assert all(result.reason.startswith(f"LanguageTool did not answer: {url}") for result in found)


def test_a_slow_server_is_given_up_after_the_time_limit(stand_in):
    release = threading.Event()

    def slow(text):
        release.wait(120.0)
        return reply()

    server = stand_in(slow)
    grammar = Grammar(backend_of(server), timeout_s=0.2, in_flight=1)
    found = grammar.check(["a", "b", "c"])
    assert server.judged == ["a"], "one that hangs is asked once"
    assert [result.reason for result in grammar.check(["d"], threading.Event())] == [
        "not asked: LanguageTool stopped answering"
    ], "nor asked by the next task"
    release.set()
    assert found[0].reason == "LanguageTool did not answer: no answer within 0.2 s"
    assert [result.reason for result in found[1:]] == ["not asked: LanguageTool stopped answering"] * 2


BAD_REPLIES = {
    "500": ((500, "Error: out of memory"), "Error: out of memory"),
    "500-json": ((500, '{"error": 1}'), "a reply without matches"),
    "no-version": ((200, '{"matches": []}'), "a reply without software.version"),
    "list": ((200, "[]"), "a reply without matches"),
    "odd-match": ((200, '{"matches": [{}], "software": {"version": "6.8"}}'), "KeyError: 'rule'"),
    "incomplete": (reply(warnings={"incompleteResults": True}), "the server reports incomplete results"),
}


@pytest.mark.parametrize(("answer", "reason"), BAD_REPLIES.values(), ids=BAD_REPLIES)
def test_a_bad_reply_is_a_reason_for_its_text_only_and_no_score(stand_in, tmp_path, answer, reason):
    server = stand_in(lambda text: answer if text == "bad" else reply())
    good, bad = Grammar(backend_of(server), cache=GrammarCache(tmp_path)).check(["good", "bad"])
    assert good == checked()
    assert bad.reason.startswith("LanguageTool could not check the text: ")
    assert reason in bad.reason
    assert server.asked.count("bad") == 3
    assert "bad" not in (tmp_path / "grammar.jsonl").read_text()


def test_one_bad_reply_is_made_good_by_the_next(stand_in):
    failures = ["first"]
    server = stand_in(lambda text: (500, failures.pop()) if failures else reply("X"))
    assert Grammar(backend_of(server)).check(["a"]) == [checked("X")]


def test_a_text_that_is_no_unicode_is_a_reason(stand_in):
    found = Grammar(backend_of(stand_in())).check(["\ud800"])
    assert "UnicodeEncodeError" in found[0].reason


def test_a_server_with_an_odd_list_of_languages_is_a_reason(stand_in):
    found = Grammar(backend_of(stand_in(languages={"error": "no"}))).check(["a"])
    assert found[0].reason.startswith("LanguageTool did not answer: ")


def test_a_proxy_never_stands_before_a_server_on_this_machine(stand_in, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server = stand_in()
    backend = resolve(server.url, {})
    assert Grammar(backend).check(["x"]) == [checked("X")]
