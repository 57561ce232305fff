"""Gates: reports of their own, the exit code, JUnit; and no judgement on part of the data."""

import json
from xml.etree import ElementTree

import pytest

from pb_plugin.results.suites import SUITES

SMALL = ("--task", "copy,shuffle", "--unmasking", "random,confidence", "--k", "1,32", "--samples", "8")
CORE = ("--unmasking", "random", "--k", "1,4", "--samples", "4")


def reports(result):
    return [line for line in result.outlines if line.startswith("pb-gate::")]


def test_a_gate_that_holds_is_a_passed_report_and_exit_code_0(suite):
    tasks = ("--task", ",".join(SUITES["core"]))
    result = suite.run(*tasks, *CORE, "--pb-gate", "core:PB80>=1", "--pb-gate", "shuffle:score@k1>=100", "-v")
    assert result.ret == 0
    assert [line.rpartition(" PASSED")[0] for line in reports(result)] == [
        "pb-gate::core:PB80>=1[core-ideal-random]",
        "pb-gate::shuffle:score@k1>=100[shuffle-ideal-random[k=1]]",
    ]
    result.stdout.fnmatch_lines(
        [
            "gate passed: PB80 is *, the gate asks for >= 1",
            "gate passed: score is 100 %, the gate asks for >= 100",
        ]
    )
    result.assert_outcomes(passed=2 * 12 + 2)
    result.stdout.no_fnmatch_line("*nothing was gated*")


def test_a_gate_that_does_not_hold_is_a_failed_report_and_exit_code_1(suite):
    result = suite.run(
        *SMALL, "--pb-gate", "ideal:random:shuffle:score@k32>=90", "--pb-gate", "copy:score@k1>=1"
    )
    assert result.ret == 1
    result.assert_outcomes(passed=8 + 2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "gate FAILED: score is *, the gate asks for >= 90",
            "FAILED pb-gate::*:shuffle:score@k32>=90[[]shuffle-ideal-random[[]k=32[]][]] - score is *",
        ]
    )


@pytest.mark.parametrize(
    ("gate", "subject", "reason"),
    [
        ("PB80>=1", "ideal-random", "PB80 could not be judged: suite all: not measured: sort, *"),
        ("llada:PB80>=1", "llada", "PB80 could not be judged: 'llada' names nothing that was measured, *"),
        ("copy:score@k7>=1", "copy", "score could not be judged: nothing was measured with k=7 at block *"),
    ],
)
def test_a_gate_that_cannot_be_judged_fails_with_the_reason(suite, gate, subject, reason):
    result = suite.run("--task", "copy", *CORE, "--pb-gate", gate)
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([f"gate FAILED: {reason}", f"FAILED pb-gate::{gate}[[]{subject}[]] - *"])


def test_a_gate_on_failed_samples_is_not_judged(suite, monkeypatch):
    def no_law(*arguments):
        raise ZeroDivisionError("half way")

    monkeypatch.setattr("decoders.models.ideal.Ideal.__call__", no_law)
    result = suite.run("--task", "copy", *CORE, "--pb-gate", "copy:score@k1>=0")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["gate FAILED: score could not be judged: 0 of 4 planned samples decoded *"])


def test_gates_are_judged_again_on_stored_results(suite):
    suite.run(*SMALL)
    result = suite.run(*SMALL, "--pb-gate", "shuffle:score@k32>=99", "-q")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["8 of 8 items reused; *"])
    assert len(suite.records()) == 64


def test_without_a_gate_the_summary_says_that_nothing_was_gated(suite):
    result = suite.run("--task", "copy", *CORE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["nothing was gated (--pb-gate, --pb-baseline)"])


def test_an_interrupted_run_is_summarised_and_not_gated(suite):
    gate = ("--pb-gate", "copy:score@k1>=1", "--pb-gate", "shuffle:score@k1>=1")
    result = suite.run(*SMALL, *gate, "--pb-floor", "copy=1", "--pb-floor", "shuffle=1", "-x")
    assert result.ret == 1
    assert not reports(result)
    result.stdout.fnmatch_lines(["no gate was judged"])
    result.stdout.no_fnmatch_line("gate *")
    result.stdout.no_fnmatch_line("*pb-gate::*")


def test_collecting_judges_nothing(suite):
    result = suite.run(*SMALL, "--collect-only", "--pb-gate", "PB80>=4")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*gate*")
    assert not suite.store.exists()


def test_a_store_that_breaks_during_the_run_leaves_gates_not_judged(suite):
    suite.pytester.makepyfile(
        test_bench="""
        def test_cell(pb_cell, pb_session):
            (pb_session.options.store / "bad.jsonl").write_text("{}\\n")
        """
    )
    result = suite.run("--task", "copy", *CORE, "--pb-gate", "copy:score@k1>=1")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["no summary: *bad.jsonl, line 1: not a record *"])
    result.stdout.fnmatch_lines(["FAILED pb-gate::copy:score@k1>=1 - not judged: *bad.jsonl, line 1: *"])


def test_junit_has_the_numbers_of_items_and_the_gates(suite):
    suite.run(*SMALL, "--pb-gate", "copy:score@k1>=100", "--pb-gate", "PB80>=4", "--junitxml=junit.xml")
    check_junit(suite.pytester.path / "junit.xml")


def check_junit(path):
    cases = {case.get("name"): case for case in ElementTree.parse(path).iter("testcase")}
    found = {
        p.get("name"): p.get("value") for p in cases["test_cell[copy-ideal-random-k32]"].iter("property")
    }
    low, high = float(found.pop("pb_score_low")), float(found.pop("pb_score_high"))
    assert found == {
        "pb_task": "copy",
        "pb_model": "ideal",
        "pb_unmasking": "random",
        "pb_samples": "8",
        "pb_planned": "8",
        "pb_score": "1.0",
        "pb_tokens_per_step": "32.0",
    }
    z = 1.959963984540054
    assert low == pytest.approx(8 / (8 + z**2))  # Wilson's interval for 8 of 8
    assert high == 1.0
    gates = {name: case for name, case in cases.items() if case.get("classname") == "pb-gate"}
    failed = {name: case.find("failure") is not None for name, case in gates.items()}
    assert failed == {
        "copy:score@k1>=100[copy-ideal-random[k=1]]": False,
        "copy:score@k1>=100[copy-ideal-confidence[k=1]]": False,
        "PB80>=4[ideal-random]": True,
        "PB80>=4[ideal-confidence]": True,
    }


@pytest.mark.slow
def test_gates_with_workers(suite):
    gates = ("--pb-gate", "copy:score@k1>=100", "--pb-gate", "PB80>=4")
    result = suite.run(*SMALL, *gates, "--junitxml=junit.xml", "-n", "2")
    assert result.ret == 1
    result.assert_outcomes(passed=8 + 2, failed=2)
    check_junit(suite.pytester.path / "junit.xml")
    assert suite.run(*SMALL, *gates[:2], "-n", "2").ret == 0


@pytest.mark.slow
def test_a_run_with_workers_that_stops_early_is_not_gated(suite):
    gate = ("--pb-gate", "copy:score@k1>=1", "--pb-floor", "shuffle=1")
    result = suite.run(*SMALL, *gate, "-x", "-n", "2")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.no_fnmatch_line("*pb-gate::*")
    result.stdout.fnmatch_lines(["no gate was judged"])


BASE = ("--task", "copy,shuffle", "--samples", "12", "--unmasking", "confidence", "--k", "1,8")


def test_a_run_is_held_against_a_baseline(suite):
    """The same run is green; a broken scorer of one task is red and says what fell and what differs."""
    file = suite.pytester.path / "base.json"
    first = suite.run(*BASE, "--pb-save-baseline", str(file))
    assert first.ret == 0
    first.stdout.fnmatch_lines([f"baseline written: {file}"])
    same = suite.run(*BASE, "--pb-baseline", str(file))
    assert same.ret == 0
    same.stdout.fnmatch_lines(["gate passed: green: no drop beyond the margins over 2 tasks (*nothing)"])
    fewer = suite.run(*BASE, "--samples", "5", "--pb-baseline", str(file))
    assert fewer.ret == 1
    fewer.stdout.fnmatch_lines(["gate FAILED: copy *the samples must be the same on both sides*"])
    part = suite.run("--task", "copy", *BASE[2:], "--pb-baseline", str(file))
    assert part.ret == 1
    part.stdout.fnmatch_lines(["gate FAILED: the run must have every cell of the baseline, got none for s*"])


def test_a_worse_run_is_red_and_a_drop_that_chance_explains_fails_only_when_asked(suite):
    file = suite.pytester.path / "base.json"
    suite.run(*BASE, "--pb-save-baseline", str(file))
    values = json.loads(file.read_text())
    (cell,) = [
        c
        for c in values["cells"]
        if (c["planned"]["asked"]["task"], c["planned"]["asked"]["k"]) == ("shuffle", 8)
    ]
    wrong = [sample for sample in cell["samples"] if sample[2] == 0]
    assert len(wrong) > 4, "8 names at once are rarely an order"
    wrong[0][2] = 1
    file.write_text(json.dumps(values))
    yellow = suite.run(*BASE, "--pb-baseline", str(file))
    assert yellow.ret == 0
    yellow.stdout.fnmatch_lines(
        ["gate passed: yellow: score at k=8 fell from * which chance explains; about * samples per task*"]
    )
    strict = suite.run(*BASE, "--pb-baseline", str(file), "--pb-gate-strict")
    assert strict.ret == 1
    for sample in wrong:
        sample[2] = 1
    file.write_text(json.dumps(values))
    red = suite.run(*BASE, "--pb-baseline", str(file))
    assert red.ret == 1
    red.stdout.fnmatch_lines(["gate FAILED: red: score at k=8 fell from * points or more with 95 % conf*"])
    assert suite.run(*BASE, "--pb-baseline", str(file), "--pb-margin", "90").ret in (0, 1)


def test_a_baseline_that_cannot_be_read_is_told_at_the_start(suite):
    file = suite.pytester.path / "base.json"
    for text in (None, "{}"):
        if text is not None:
            file.write_text(text)
        result = suite.run(*BASE, "--pb-baseline", str(file))
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *base*write it again with --pb-save-baseline"])


def test_a_baseline_of_a_run_with_gaps_is_not_written(suite, monkeypatch):
    from decoders.unmasking.top_k import TopK

    def fails(self, view, memory):
        raise RuntimeError("no")

    monkeypatch.setattr(TopK, "step", fails)
    file = suite.pytester.path / "base.json"
    result = suite.run(*BASE, "--pb-save-baseline", str(file))
    assert result.ret == 1
    assert not file.exists()
    result.stdout.fnmatch_lines(["*--pb-save-baseline must have a full result of every item, got copy of *"])


def test_the_verdicts_are_added_to_the_summary_of_a_step(suite, monkeypatch):
    """What failed comes first, below what an earlier step wrote; the comparison with the baseline follows."""
    path = suite.pytester.path / "step.md"
    path.write_text("earlier\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    suite.run(*SMALL, "--pb-save-baseline", "before.json")
    assert path.read_text() == "earlier\n"
    gates = ("--pb-gate", "copy:score@k1>=100", "--pb-gate", "ideal:random:shuffle:score@k32>=100")
    suite.run(*SMALL, *gates, "--pb-baseline", "before.json")
    said = path.read_text()
    assert said.startswith("earlier\n### ParallelBench gates\n\n| | gate | of | |\n|---|---|---|---|\n")
    rows = [line for line in said.splitlines() if line.startswith(("| passed", "| **failed**"))]
    assert rows[0].startswith("| **failed** | ideal:random:shuffle:score@k32\\>=100 | shuffle-ideal-random")
    assert all(row.startswith("| passed | ") for row in rows[1:])
    assert sum("| baseline |" in row for row in rows) == 2
    assert "| curve | number | before | after | change | 95 % | verdict |" in said
    assert "64 pairs of samples: 0 became worse, 0 better" in said


def test_a_summary_of_a_step_that_cannot_be_written_is_said_and_fails_no_run(suite, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(suite.pytester.path))
    result = suite.run("--task", "copy", *CORE, "--pb-gate", "copy:score@k1>=1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["GITHUB_STEP_SUMMARY must name a file that can be written, got * directory)"]
    )
