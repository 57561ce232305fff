"""Tasks scored by a grammar server: unscored without one, decoded once, scored again without decoding."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pb_plugin.cli import main
from task_specs.catalogue import BENCHMARK_IDS, task_ids
from task_specs.scoring.languagetool import checker as languagetool
from task_specs.scoring.languagetool.backend import ENV_NAME, find_java
from task_specs.scoring.languagetool.client import checksum
from unit_tests.languagetool_stand_in import FIRST_TEXT, one_match_for_each_x, reply
from unit_tests.pb_plugin.text_task import ANSWERS, RIGHT, write_text_task

pytest.importorskip("language_tool_python", reason="needs language-tool-python")

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "languagetool"
USAGE = pytest.ExitCode.USAGE_ERROR
ONE = ("--unmasking", "left_to_right", "--k", "1")
N = len(ANSWERS)
WAYS = ("fetch it (--pb-grammar download)*", "*name a server*", "*a folder of it*")


@pytest.fixture(autouse=True)
def _quick(monkeypatch, tmp_path):
    """Leave out the pauses between tries, wait two seconds for an answer, and find no server by chance."""
    monkeypatch.setattr(languagetool, "PAUSES_S", (0.0,))
    monkeypatch.setitem(languagetool.Grammar.__init__.__kwdefaults__, "timeout_s", 2.0)
    monkeypatch.delenv(ENV_NAME, raising=False)
    monkeypatch.setenv("LTP_PATH", str(tmp_path / "nothing"))


@pytest.fixture
def task(suite):
    return write_text_task(suite.pytester.path)


def latest(suite):
    """Return the last line of every result."""
    return {record.decode_key: record for record in suite.records()}.values()


def scores(suite):
    return sorted((record.text, record.scores.get("grammar")) for record in latest(suite))


def decodes(suite):
    """Return how many lines hold a result that was not scored yet: one for each decoded sample."""
    return sum(record.score_key == "" for record in suite.records())


def test_without_grammar_items_are_skipped_with_the_ways_out_and_the_rest_passes(suite, task):
    result = suite.run("--task", f"{task},copy", "--samples", "2", *ONE, "--pb-grammar", "none")
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["skipped, 1 item: *unscored: grammar is switched off (--pb-grammar none); " + "".join(WAYS)]
    )
    assert {record.parts["task"] for record in latest(suite)} == {"copy"}, "nothing is decoded for no score"


def test_without_any_backend_the_default_says_the_same(suite, task, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    result = suite.run("--task", task, *ONE)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["skipped, 1 item: *unscored: no LanguageTool was found: " + "".join(WAYS)])


def test_suites_with_unscored_tasks_have_no_number_and_say_so(suite):
    tasks = BENCHMARK_IDS["text_writing"]
    if not set(tasks) <= set(task_ids()):
        pytest.skip("the text tasks have no spec in this version")
    suite.run(
        "--task", ",".join(tasks), "--samples", "1", "--unmasking", "left_to_right", "--k", "32",
        "--pb-grammar", "none",
    ).assert_outcomes(skipped=len(tasks))  # fmt: skip
    (curve,) = json.loads(suite.summary())["curves"]
    assert "unscored (score with `pb rescore`" in curve["suites"]["text_writing"]["reason"]
    assert "switched off" in curve["suites"]["text_writing"]["reason"]


def test_a_server_gives_the_scores(suite, task, stand_in):
    result = suite.run("--task", task, *ONE, "--pb-grammar", stand_in().url, "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*PASSED score={RIGHT:.2f}*"])
    assert all(score == float("x" not in text) for text, score in scores(suite))
    assert len(scores(suite)) == N


def test_every_result_is_stored_before_it_is_judged(suite, task, stand_in):
    stored = {}

    def look(text):
        if text != FIRST_TEXT:
            stored[text] = [record.score_key for record in suite.records() if record.text == text]
        return one_match_for_each_x(text)

    suite.run("--task", task, *ONE, "--pb-grammar", stand_in(look).url).assert_outcomes(passed=1)
    assert len(stored) == N
    assert all(keys == [""] for keys in stored.values())


def test_reuse_judges_nothing_and_asks_for_nothing(suite, task, stand_in):
    server = stand_in()
    options = ("--task", task, *ONE, "--pb-grammar", server.url)
    suite.run(*options).assert_outcomes(passed=1)
    lines, judged = len(suite.records()), list(server.judged)
    again = suite.run(*options)
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["1 of 1 items reused; *"])
    assert (len(suite.records()), server.judged) == (lines, judged)


def test_another_version_scores_again_without_decoding(suite, task, stand_in):
    suite.run("--task", task, *ONE, "--pb-grammar", stand_in().url).assert_outcomes(passed=1)
    newer = stand_in(lambda text: reply(version="6.9"))
    again = suite.run("--task", task, *ONE, "--pb-grammar", newer.url)
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["1 of 1 items reused; *"])
    assert decodes(suite) == N
    assert len(newer.judged) == N
    assert {score for _, score in scores(suite)} == {1.0}
    (cell,) = json.loads(suite.summary())["cells"]
    assert cell["accuracy"] == 1.0
    assert len({record.score_key for record in suite.records()}) == 3, "undecided, old and new key"


def test_later_decodes_and_pb_rescore_scores(suite, task, stand_in, capsys):
    result = suite.run("--task", task, *ONE, "--pb-grammar", "later")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["skipped, 1 item: *left for later (--pb-grammar later); *pb rescore"])
    assert result.ret == 0
    server = stand_in()
    os.chdir(suite.pytester.path)
    assert main(["rescore", str(suite.store), "--grammar", server.url]) == 0
    assert "say grammar" in capsys.readouterr().out
    (cell,) = json.loads(suite.summary())["cells"]
    assert (cell["accuracy"], cell["n"]) == (RIGHT, N)
    assert decodes(suite) == N
    judged = list(server.judged)
    suite.run("--task", task, *ONE, "--pb-grammar", server.url).assert_outcomes(passed=1)
    assert (decodes(suite), server.judged) == (N, judged)


def test_a_server_that_hangs_leaves_samples_unscored_and_the_item_fails_until_it_is_back(
    suite, task, stand_in
):
    release = threading.Event()

    def hang(text):
        if text != FIRST_TEXT:
            release.wait(120.0)
        return one_match_for_each_x(text)

    server = stand_in(hang)
    options = ("--task", task, "--unmasking", "left_to_right", "--k", "1,2", "--pb-grammar", server.url)
    result = suite.run(*options)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["failed, * of * samples have no grammar (tool_error): LanguageTool did not answer*"]
    )
    assert None in {score for _, score in scores(suite)}
    assert 0.0 not in {record.scores.get("grammar") for record in latest(suite)}
    kept = decodes(suite)
    release.set()
    again = suite.run(*options)
    again.assert_outcomes(passed=2)
    again.stdout.fnmatch_lines(["2 of 2 items reused; *"])
    assert (decodes(suite), len({score for _, score in scores(suite)})) == (kept, 2)


@pytest.mark.slow
def test_a_run_killed_while_texts_are_judged_has_stored_every_result(suite, task, stand_in):
    release = threading.Event()

    def hang(text):
        if text != FIRST_TEXT:
            release.wait(60.0)
        return one_match_for_each_x(text)

    server = stand_in(hang)
    options = ("--task", task, *ONE, "--pb-grammar", server.url)
    command = [sys.executable, "-m", "pytest", *suite.arguments(*options)]
    with subprocess.Popen(
        command, cwd=suite.pytester.path, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60.0
        while len(server.judged) < N:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    release.set()
    assert [(record.score_key, record.scores) for record in suite.records()] == [("", {})] * N
    again = suite.run(*options)
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["1 of 1 items reused; *"])
    assert decodes(suite) == N


@pytest.mark.slow
def test_ctrl_c_while_texts_are_judged_ends_the_run_soon(suite, task, stand_in):
    release = threading.Event()
    texts = {f"w{n}": [f"w{n} is here"] for n in range(200)}
    task = write_text_task(suite.pytester.path, texts)

    def slow(text):
        if text != FIRST_TEXT:
            release.wait(1.0)
        return reply()

    server = stand_in(slow)
    options = ("--task", task, *ONE, "--pb-grammar", server.url)
    # a shell's background job ignores SIGINT, and so would its child
    listening = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"import signal, sys, pytest; {listening}; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *suite.arguments(*options)]
    with subprocess.Popen(command, cwd=suite.pytester.path, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60.0
        while not server.judged:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == pytest.ExitCode.INTERRUPTED
        assert len(server.judged) < 100, "what is not asked yet is not asked any more"
    release.set()


def test_two_workers_share_the_backend_of_the_controller(suite, task, stand_in):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    server = stand_in()
    options = ("--task", f"{task},copy", "--samples", "2", "--unmasking", "left_to_right", "--k", "1,2")
    suite.run(*options, "--pb-grammar", server.url, "-n", "2").assert_outcomes(passed=4)
    assert server.asked.count(FIRST_TEXT) == 1
    keys = {record.score_key for record in suite.records() if record.parts["task"] == "say"}
    rules = checksum(*["X"] * FIRST_TEXT.count("x"))
    assert keys == {"", f"words_to_sentence@2/first_eos/grammar=languagetool:6.8+{rules}:en-US"}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
@pytest.mark.parametrize("source", ["option", "environment"])
def test_a_wrong_address_is_a_usage_error_before_anything_is_decoded(
    suite, task, monkeypatch, source, workers
):
    if workers:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    address = ("--pb-grammar", "http://127.0.0.1:1") if source == "option" else ()
    if source == "environment":
        monkeypatch.setenv(ENV_NAME, "http://127.0.0.1:1")
    result = suite.run("--task", task, *ONE, *address, *workers)
    assert result.ret == USAGE
    result.stderr.fnmatch_lines(
        ["ERROR: *grammar server must be a LanguageTool that answers at http://127.0.0.1:1/v2/check, got *"]
    )
    assert suite.records() == []


def test_a_wrong_address_costs_nothing_where_no_task_needs_it(suite, monkeypatch):
    monkeypatch.setenv(ENV_NAME, "http://127.0.0.1:1")
    suite.run("--task", "copy", "--samples", "1", *ONE).assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_a_folder_whose_server_does_not_start_is_one_message(suite, task, tmp_path, monkeypatch, workers):
    if workers:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    folder = tmp_path / "lt"
    folder.mkdir()
    (folder / "languagetool-server-6.8.jar").touch()
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho no such class; exit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    options = ("--task", task, "--unmasking", "left_to_right", "--k", "1,2", "--pb-grammar", str(folder))
    result = suite.run(*options, *workers)
    message = "*--pb-grammar: LanguageTool must start with *"
    if workers:
        assert result.ret == USAGE
        result.stderr.fnmatch_lines([message])
    else:
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["failed, 2 items: " + message])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert suite.records() == []


@pytest.mark.parametrize(
    ("scorer", "facts"),
    [
        ("summary", {"references": ["a cat sits"]}),
        ("paraphrase", {"text": "a dog sat there for some time"}),
    ],
)
def test_the_other_text_scorers_run_with_one_tool_missing(suite, stand_in, scorer, facts):
    pytest.importorskip("rouge_score", reason="needs rouge-score")
    folder = suite.pytester.path
    task = write_text_task(
        folder, scorer=scorer, needs="[grammar]" if scorer == "summary" else "[grammar, bertscore]"
    )
    line = {"id": "a", "fields": {"words": "a"}, "facts": facts, "answers": ["a cat sits"]}
    folder.joinpath("say.jsonl").write_text(json.dumps(line) + "\n")
    suite.run("--task", task, *ONE, "--pb-grammar", stand_in().url).assert_outcomes(passed=1)
    (record,) = latest(suite)
    assert record.scores["grammar"] == 1.0
    if scorer == "summary":
        assert record.scores["rouge1"] == 1.0
    else:
        assert record.scores["bertscore"] is None
        assert "no encoder was named" in record.score_reasons["bertscore"]


@pytest.mark.slow
def test_the_real_languagetool_scores_in_the_run(suite):
    if not SHARED.is_dir():
        pytest.skip("LanguageTool is not beside the checkout (../shared/languagetool)")
    if find_java(os.environ) is None:
        pytest.skip("no Java was found")
    languagetool.Grammar.__init__.__kwdefaults__["timeout_s"] = 60.0
    answers = {"cat": ["The cat is on the mat."], "cats": ["This are two cats."]}
    task = write_text_task(suite.pytester.path, answers, canvas="64")
    suite.run("--task", task, *ONE, "--pb-grammar", str(SHARED)).assert_outcomes(passed=1)
    assert scores(suite) == [("The cat is on the mat.", 1.0), ("This are two cats.", 0.0)]
    assert all("/grammar=languagetool:6." in record.score_key for record in latest(suite))


def test_texts_are_decoded_first_and_other_tasks_while_they_are_judged(suite, task, stand_in, monkeypatch):
    """The item of `copy` comes first in the plan; by then the texts are asked and not awaited."""
    from pb_plugin.running.bench import Bench

    told, real = [], Bench.decode

    def decode(self, cells, most=None, *, wait=True):
        told.append((cells[0].task.rpartition("/")[2], wait))
        return real(self, cells, most, wait=wait)

    monkeypatch.setattr(Bench, "decode", decode)
    server = stand_in(one_match_for_each_x)
    result = suite.run("--task", f"copy,{task}", "--samples", "2", *ONE, "--pb-grammar", server.url)
    result.assert_outcomes(passed=2)
    names = {name for name, _ in told}
    other = next(iter(names - {"copy"}))
    assert told[:2] == [(other, False), ("copy", True)]
    assert len(scores(suite)) == 4
