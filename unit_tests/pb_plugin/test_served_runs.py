"""Runs against servers on loopback, from the command line to records and reports."""

import importlib
import json
import os
import sys

import pytest

pytest.importorskip("openai", reason='served models need pip install "parallelbench-pytest[served]"')

from pb_plugin.cli import main
from pb_plugin.records.store import Store
from unit_tests.decoders.served.scripted import Engine, error, serving, stream
from unit_tests.pages import ROOT

KEY = "sk-not-for-your-eyes-42"
COPY = ("--task", "copy", "--samples", "4")


LATE = (
    "httpcore2",
    "openai.resources.chat.completions",
    "anthropic.resources.messages",
    "decoders.served.loading",
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for module in LATE:
        importlib.import_module(module)  # runs in this process put ``sys.modules`` back
    for name in [n for n in os.environ if n.endswith("_API_KEY") or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def right(number, body):
    """Answer a copy task as it should be: the list of the question, or what stands last in brackets."""
    asked = body["messages"][-1]["content"]
    return stream(asked[asked.rindex("[") : asked.rindex("]") + 1], extra={"nfe": 4})


def texts(store):
    return sorted(path.read_text() for path in store.rglob("*") if path.is_file())


def test_a_run_stores_what_the_server_told_and_asks_nothing_twice(suite):
    with serving(Engine(right)) as engine:
        options = (*COPY, "--model", f"mine=diffulex:{engine.url}", "--unmasking", "native:max_nfe=8,16")
        suite.run(*options).assert_outcomes(passed=2)
        records = suite.records()
        assert len(engine.asked) == len(records) == 8
        assert {body["max_nfe"] for body in engine.asked} == {8, 16}
        assert {record.nfe for record in records} == {4}
        assert {record.nfe_kind for record in records} == {"counted"}
        assert {record.canvas_tokens for record in records} == {5}
        assert {record.finish_reason for record in records} == {"stop"}
        assert {record.parts["model"] for record in records} == {"mine"}
        assert all(record.scores["accuracy"] == 1.0 for record in records), [r.text for r in records]
        assert records[0].served["server"]["engine"] == "diffulex"
        assert records[0].served["seconds"] > 0.0
        before = suite.summary()
        suite.run(*options).assert_outcomes(passed=2)
        assert len(engine.asked) == 8
        assert suite.summary() == before


def test_records_of_models_that_run_here_say_nothing_of_servers(suite):
    suite.run(*COPY, "--k", "4", "--unmasking", "confidence").assert_outcomes(passed=1)
    assert '"served"' not in "".join(texts(suite.store))


def test_a_second_answer_that_differs_is_shown_and_the_first_one_counts(suite, capsys):
    with serving(Engine(right)) as engine:
        options = (*COPY, "--model", f"diffulex:{engine.url}")
        suite.run(*options).assert_outcomes(passed=1)
        first = suite.summary()
        engine.replies = [stream("[wrong]", extra={"nfe": 4})]
        result = suite.run(*options, "--pb-fresh")
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["served: 4 questions have more than one answer; the first counts"])
        index = Store(suite.store).index()
        assert index.conflicts == {}
        assert sorted(index.disagreements.values()) == [1, 1, 1, 1]
        assert suite.summary() == first
        suite.run(*options).assert_outcomes(passed=1)
        assert len(engine.asked) == 8
    capsys.readouterr()
    assert main(["report", str(suite.store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["disagreements"] == 4


def test_the_key_is_in_no_record_log_report_or_message(suite, monkeypatch):
    monkeypatch.setenv("PB_API_KEY", KEY)
    storm = [error(401, f"wrong key {KEY}"), stream(f"{KEY}"), error(500, KEY)]
    with serving(Engine(lambda n, body: right(n, body) if n % 2 else storm[n // 2 % 3])) as engine:
        page = suite.pytester.path / "report.html"
        options = (
            *COPY,
            "--model",
            f"diffulex:{engine.url}",
            "--pb-concurrency",
            "1",
            "-v",
            f"--pb-html={page}",
        )
        result = suite.run(*options, "-o", "log_cli=true", "-o", "log_cli_level=DEBUG", "--showlocals")
        assert engine.headers[0]["authorization"] == f"Bearer {KEY}"
        assert KEY not in result.stdout.str() + result.stderr.str()
        assert KEY not in page.read_text()
        assert texts(suite.store)
        assert KEY not in "".join(texts(suite.store))


def test_failures_are_failures_and_the_next_run_asks_for_them_alone(suite):
    def one_empty(number, body):
        return stream("") if number == 1 else right(number, body)

    with serving(Engine(one_empty)) as engine:
        options = (*COPY, "--model", f"diffulex:{engine.url}", "--pb-concurrency", "1")
        result = suite.run(*options)
        result.assert_outcomes(failed=1)
        assert "gave an empty answer (finish stop)" in result.stdout.str()
        (failed,) = [record for record in suite.records() if record.failed]
        assert failed.scores == {}
        suite.run(*options).assert_outcomes(passed=1)
        assert len(engine.asked) == 5


def test_a_budget_ends_the_questions_and_more_of_it_goes_on(suite):
    prices = suite.pytester.path / "prices.yaml"
    prices.write_text("mine: {input: 1, output: 1}\n")
    with serving(Engine(right)) as engine:
        options = (*COPY, "--model", f"mine=diffulex:{engine.url}", f"--pb-prices={prices}")
        result = suite.run(*options, "--pb-budget", "requests=3,usd=1")
        result.assert_outcomes(failed=1)
        assert "--pb-budget allows 3 requests, and so many were sent" in result.stdout.str()
        assert len(engine.asked) == 3
        suite.run(*options, "--pb-budget", "requests=1").assert_outcomes(passed=1)
        assert len(engine.asked) == 4
        assert all(r.served["usd"] == pytest.approx(17e-6) for r in suite.records() if not r.failed)


def test_a_table_sweeps_over_servers_and_a_restarted_one_is_another_key(suite):
    def info(version):
        return {"version": version, "model_path": "m", "dllm_algorithm": "LowConfidence"}

    low = Engine(right, owner="sglang", pages={"/get_server_info": info("1")})
    high = Engine(right, owner="sglang", pages={"/get_server_info": info("1")})
    with serving(low), serving(high):
        table = suite.pytester.path / "served.yaml"
        table.write_text(
            f"servers:\n- {{settings: {{threshold: 0.9, block_length: 8}}, url: '{low.url}'}}\n"
            f"- {{settings: {{threshold: 0.95, block_length: 8}}, url: '{high.url}'}}\n"
        )
        options = (*COPY, "--model", "s=sglang:served.yaml")
        suite.run(*options).assert_outcomes(passed=2)
        assert (len(low.asked), len(high.asked)) == (4, 4)
        assert {r.parts["method_params"]["threshold"] for r in suite.records()} == {0.9, 0.95}
        assert {(r.nfe_kind, r.nfe, r.nfe_low) for r in suite.records()} == {("bounds", None, 1)}
        high.pages["/get_server_info"] = info("2")
        suite.run(*options).assert_outcomes(passed=2)
        assert (len(low.asked), len(high.asked)) == (4, 8), "only the restarted one is asked again"
        assert Store(suite.store).index().disagreements == {}


SERVER = """
import sys, time
sys.path.insert(0, {root!r})
from unit_tests.decoders.served.scripted import Engine, serving
from unit_tests.pb_plugin.test_served_runs import right
with open("starts.txt", "a") as file:
    file.write("started\\n")
info = {{"version": "1", "model_path": "m", "dllm_algorithm": "LowConfidence"}}
with serving(Engine(right, owner="sglang", pages={{"/get_server_info": info}}), int(sys.argv[1])):
    time.sleep(120)
"""


@pytest.mark.parametrize("models", [("--model", "ideal"), ()], ids=["beside ideal", "alone"])
def test_a_server_that_was_started_to_be_asked_answers_all_tasks(suite, models):
    """An exact model between the two needs no room."""
    folder = suite.pytester.path
    (folder / "server.py").write_text(SERVER.format(root=str(ROOT)))
    (folder / "served.yaml").write_text(
        "servers:\n- settings: {threshold: 0.9, block_length: 8}\n"
        f"  start: {sys.executable} server.py {{port}}\n  ready_seconds: 60\n"
    )
    options = ("--task", "copy,reverse", "--samples", "2", *models, "--model", "s=sglang:served.yaml")
    found = suite.run(
        *options, "--unmasking", "native", *(("--unmasking", "random", "--k", "4") * bool(models))
    )
    assert {r.parts["model"] for r in suite.records()} == {"s", *models[1:]}, found.stdout.str()
    assert (folder / "starts.txt").read_text().splitlines() == ["started"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", "2"], "-n must be left out with openai:http"),
        (["--pb-engine", "ray"], "--pb-engine must be left out with openai:http"),
        (["--pb-cache", "dual"], "--pb-cache must be left out with openai:http"),
        (["--block-length", "8"], "--block-length must be left out with openai:http"),
        (["--pb-budget", "usd=1"], "--pb-budget usd must come with --pb-prices, got none"),
        (
            ["--unmasking", "confidence"],
            "--unmasking must be native for openai:127.0.0.1:9/v1#m, which owns its loop",
        ),
    ],
    ids=range(6),
)
def test_what_does_not_go_with_a_server_is_said_before_anything_is_asked(
    suite, monkeypatch, options, message
):
    monkeypatch.setattr("pb_plugin.cluster.sharing.find_spec", lambda name: name)
    result = suite.run(*COPY, "--model", "openai:http://127.0.0.1:9/v1#m", *options)
    assert result.ret == 4
    assert message in result.stderr.str()


def test_a_server_that_is_not_there_is_one_reason_for_all_its_items(suite):
    result = suite.run(
        "--task", "copy,shuffle", "--samples", "2", "--model", "openai:http://127.0.0.1:9/v1#m"
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["failed, 2 items: model openai:*cannot be reached*is it running?*"])


def test_a_task_with_a_template_does_not_apply(suite):
    with serving(Engine(right)) as engine:
        result = suite.run("--task", "list_copy", "--samples", "2", "--model", f"openai:{engine.url}")
        result.assert_outcomes(skipped=1)
        assert "has no mask and fills in no template" in result.stdout.str()


def test_collecting_asks_nobody(suite):
    result = suite.run(*COPY, "--model", "openai:http://127.0.0.1:9", "--collect-only", "-q")
    assert result.ret == 0
    assert "copy-openai_127.0.0.1_9-native" in result.stdout.str()
