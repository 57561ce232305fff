"""Hooks of this plugin in somebody's conftest: records as they are stored, gates and lines at the end."""

import json

import pytest

OPTIONS = ("--task", "copy,shuffle", "--unmasking", "confidence", "--k", "1,32", "--samples", "2")
GATE = """
from pb_plugin.gates.judge import Verdict

def pytest_pb_gate(config, summary):
    right = {cell["task"] for cell in summary["cells"] if cell["accuracy"] == 1.0}
    return [verdict(task, task in right) for task in TASKS]

def verdict(task, passed):
    return Verdict(gate="mine", subject=task, passed=passed, value=None, message=f"{task} judged")
"""


def records_in(folder):
    lines = (folder / "seen.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


RECORD = """
import json
from pathlib import Path

def pytest_pb_record(config, record):
    with Path("seen.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + chr(10))
"""


def test_every_record_is_told_once_when_it_is_stored_and_not_when_it_is_reused(suite):
    suite.pytester.makeconftest(RECORD)
    suite.run(*OPTIONS).assert_outcomes(passed=4)
    seen = records_in(suite.pytester.path)
    assert [record["parts"]["sample_id"] for record in seen] == [
        record.parts["sample_id"] for record in suite.records()
    ]
    assert seen == [json.loads(record.to_json()) for record in suite.records()]
    suite.run(*OPTIONS).assert_outcomes(passed=4)
    assert records_in(suite.pytester.path) == seen


def test_a_hook_for_records_that_raises_fails_the_item_and_what_was_stored_stays(suite):
    suite.pytester.makeconftest(
        "def pytest_pb_record(config, record):\n    raise ValueError('the disk of the tracker is full')"
    )
    result = suite.run(*OPTIONS, "-k", "copy and k32")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["failed, 1 item: ValueError: the disk of the tracker is full"])
    assert len(suite.records()) == 1


def test_a_gate_of_ones_own_is_a_report_and_decides_the_exit_code(suite):
    suite.pytester.makeconftest(GATE.replace("TASKS", '("copy", "shuffle")'))
    result = suite.run(*OPTIONS, "-k", "k1-", "--junitxml", "junit.xml")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    passing = suite.run(*OPTIONS, "-m", "pb(k=1)", "--junitxml", "junit.xml")
    passing.assert_outcomes(passed=4)
    passing.stdout.fnmatch_lines(["gate passed: copy judged", "gate passed: shuffle judged"])
    assert 'name="mine[copy]"' in (suite.pytester.path / "junit.xml").read_text(encoding="utf-8")
    failing = suite.run(*OPTIONS, "-m", "pb(k=32, task='copy')")
    failing.assert_outcomes(passed=2, failed=1)
    failing.stdout.fnmatch_lines(["gate passed: copy judged", "gate FAILED: shuffle judged"])
    assert failing.ret == 1


def test_the_summary_comes_after_all_gates_with_the_data_of_pb_report(suite):
    suite.pytester.makeconftest(
        GATE.replace("TASKS", '("copy",)')
        + """
import json
from pathlib import Path

def pytest_pb_summary(config, summary, gates):
    Path("seen.json").write_text(json.dumps({"summary": summary, "gates": gates}))
    return ["told", "the tracker"]
"""
    )
    result = suite.run(*OPTIONS, "--pb-gate", "copy:score@k32>=50")
    result.stdout.fnmatch_lines(["*items reused; records in *", "told", "the tracker"])
    seen = json.loads((suite.pytester.path / "seen.json").read_text(encoding="utf-8"))
    assert seen["summary"] == json.loads(suite.summary())
    assert [(gate["gate"], gate["passed"]) for gate in seen["gates"]] == [
        ("copy:score@k32>=50", True),
        ("mine", True),
    ]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def pytest_pb_gate(config, summary):\n    raise RuntimeError('no net')", "RuntimeError: no net"),
        (
            "def pytest_pb_summary(config, summary, gates):\n    raise RuntimeError('no net')",
            "RuntimeError: no ",
        ),
        (
            "def pytest_pb_gate(config, summary):\n    return True",
            "TypeError: a gate must return a list of pb_plugin.gates.judge.Verdict or None, got True",
        ),
        (
            "def pytest_pb_gate(config, summary):\n    return ['passed']",
            "TypeError: a gate must return a list of pb_plugin.gates.judge.Verdict or None, got ['passed'];",
        ),
    ],
    ids=["gate raises", "summary raises", "no list", "no verdicts"],
)
def test_a_hook_that_fails_turns_the_run_red_and_says_so(suite, code, message):
    suite.pytester.makeconftest(code)
    result = suite.run(*OPTIONS, "-m", "pb(k=1)")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    (line,) = [line for line in result.outlines if line.startswith("gate FAILED: the hook pytest_pb_")]
    assert f"of a plugin raised {message}" in line


def test_an_interrupted_run_asks_nobody(suite):
    suite.pytester.makeconftest(
        """
        from pathlib import Path
        import pytest
        def pytest_pb_summary(config, summary, gates):
            Path("asked").touch()
        @pytest.hookimpl(trylast=True)
        def pytest_runtest_teardown():
            raise KeyboardInterrupt
        """
    )
    arguments = suite.arguments(*OPTIONS, "-m", "pb(k=1)")
    result = suite.pytester.runpytest_inprocess(*arguments, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not (suite.pytester.path / "asked").exists()


def test_a_hook_with_a_misspelt_name_is_refused(suite):
    suite.pytester.makeconftest("def pytest_pb_sumary(config): ...")
    result = suite.run(*OPTIONS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR or result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "unknown hook 'pytest_pb_sumary'" in result.stdout.str() + result.stderr.str()
