"""``--pb-sweep gate`` in real runs: what is decoded, what is skipped and why, resume, failures, workers."""

import pytest

from bench_tests import gate_savings
from pb_plugin.cli import main
from pb_plugin.gates.grammar import parse_gate
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.report.stored import read_report
from pb_plugin.results.suites import SUITES
from pb_plugin.session.gate_run import expected_rate

GATE = ("--pb-sweep", "gate", "--pb-gate", "puzzles:PB50>=2")
PUZZLES = ("--task", ",".join(SUITES["puzzles"]), "--unmasking", "random", "--k", "1,2,4", "--samples", "4")


def decoded(suite):
    return {
        (record.parts["task"], record.parts["k"], record.parts["sample_id"]) for record in suite.records()
    }


def test_only_what_the_gate_needs_is_decoded_and_items_say_so(suite, capsys):
    result = suite.run(*PUZZLES, *GATE)
    assert result.ret == 0
    assert {k for _, k, _ in decoded(suite)} == {2}
    result.stdout.fnmatch_lines(
        [
            "skipped, 4 items: no gate depends on it (--pb-sweep gate)",
            "gates decided by * of 24 samples; not decoded: 8 of cells that no gate depends on, * because *",
            "gate passed: PB50 is at least 2, the gate asks for >= 2",
        ]
    )
    result.stdout.no_fnmatch_line("suite *")
    (told,) = [line for line in result.outlines if line.startswith("gates decided by ")]
    capsys.readouterr()
    assert main(["report", str(suite.store)]) == 0
    assert told in capsys.readouterr().out.splitlines(), "the store tells why most of its run is not there"


def test_the_verdict_is_that_of_the_full_run_and_a_second_run_decodes_nothing(suite):
    gates = ("--pb-gate", "puzzles:PB90>=2", "--pb-gate", "sudoku:score@k4>=75")
    found = suite.run(*PUZZLES, "--pb-sweep", "gate", *gates)
    n = len(suite.records())
    again = suite.run(*PUZZLES, "--pb-sweep", "gate", *gates)
    assert len(suite.records()) == n
    full = suite.run(*PUZZLES, *gates)
    assert len(suite.records()) == 24
    said = [
        [line.partition(":")[0] for line in result.outlines if line.startswith("gate ")]
        for result in (found, again, full)
    ]
    assert said[0] == said[1] == said[2]
    assert found.ret == again.ret == full.ret


def test_a_failed_sample_fails_its_item_and_the_gate(suite, monkeypatch):
    def no_law(*arguments):
        raise ZeroDivisionError("half way")

    monkeypatch.setattr("decoders.models.ideal.Ideal.__call__", no_law)
    result = suite.run(*PUZZLES, *GATE)
    assert result.ret == 1
    result.assert_outcomes(failed=3, skipped=4)
    result.stdout.fnmatch_lines(
        [
            "failed, 2 items: 1 of 4 samples failed (model_error); first: *half way*",
            "gate FAILED: PB50 could not be judged: latin_square has 1 failed samples: 1 model_error",
        ]
    )


def test_a_cell_that_the_model_cannot_decode_says_why_and_its_gate_fails(suite):
    gate = ("--pb-sweep", "gate", "--pb-gate", "copy:score@tau_max=0.05>=1")
    result = suite.run("--task", "copy", "--unmasking", "dapd", "--samples", "2", *gate)
    assert result.ret == 1
    result.assert_outcomes(skipped=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "skipped, 1 item: unscored: *attention*",
            "gate FAILED: score could not be judged: copy cannot be decoded; its item says why",
        ]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--pb-sweep gate must come with --pb-gate, got none; give a gate, or leave --pb-sweep out"),
        (
            ("--pb-gate", "core:lo(PB80)>=1"),
            "--pb-sweep gate must have gates on the number itself, got 'core:lo(PB80)>=1'; the interval of "
            "lo(...) needs every sample: leave --pb-sweep out",
        ),
        (("--pb-gate", "PB80>=1", "--pb-baseline", "b.json"), "without --pb-baseline, got both; *"),
        (("--pb-gate", "PB80>=1", "--pb-save-baseline", "b.json"), "without --pb-save-baseline, got both; *"),
        (("--pb-gate", "PB80>=1", "--pb-floor", "copy=1"), "without --pb-floor, got both; it needs every *"),
        (("--pb-gate", "PB80>=1", "--pb-timing"), "without --pb-timing, got both; it needs every sample: *"),
    ],
)
def test_what_needs_every_sample_is_refused(suite, options, message):
    result = suite.run("--task", "copy", "--pb-sweep", "gate", *options)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: *{message.replace('[', '[[]')}"])


def test_gates_of_a_plugin_need_every_sample(suite):
    suite.pytester.makeconftest("def pytest_pb_gate(config, summary):\n    return []\n")
    result = suite.run(*PUZZLES, *GATE)
    assert result.ret == 4
    said = result.stdout.str() + result.stderr.str()
    assert "--pb-sweep gate must have gates of --pb-gate alone, got a plugin with pytest_pb_gate; it" in said


@pytest.mark.slow
def test_workers_decide_the_same(suite):
    result = suite.run_apart(*PUZZLES, *GATE, "-n", "2")
    assert result.ret == 0
    assert not any(k == 1 for _, k, _ in decoded(suite))
    result.stdout.fnmatch_lines(["gate passed: PB50 is *, the gate asks for >= 2"])


def cells(*tasks, **options) -> tuple[Cell, ...]:
    return plan(Options(task=tasks, **options)).cells


def test_the_speed_of_top_k_follows_from_what_is_asked(suite):
    """For every k, with and without blocks; of a method that decides for itself nothing is known."""
    options = ("--unmasking", "random,confidence", "--k", "1,3,5,32", "--samples", "1")
    suite.run("--task", "copy,sudoku", *options, "--block-length", "8,32")
    asked = {"unmasking": ("random", "confidence"), "k": (1, 3, 5, 32), "block_length": (8, 32)}
    expected = {cell.asked: expected_rate(cell) for cell in cells("copy", "sudoku", **asked)}
    found = [(cell, rate) for cell, rate in expected.items() if rate is not None]
    measured = {}
    for record in suite.records():
        key = tuple(record.parts[name] for name in ("task", "method", "k", "block_length"))
        measured[key] = record.canvas_tokens / record.nfe
    assert len(found) == len(measured)
    for asked_cell, rate in found:
        parts = asked_cell.parts()
        key = tuple(parts[name] for name in ("task", "method", "k", "block_length"))
        assert measured[key] == rate
    assert {expected_rate(cell) for cell in cells("copy", unmasking=("threshold", "rcr"))} == {None}
    upstream = cells("copy", unmasking=("random:upstream_exact=true",))
    assert {expected_rate(cell) for cell in upstream} == {None}


@pytest.mark.parametrize("gate", ["copy:score@k32>=50", "copy:score@k32<=99", "shuffle:score@k32>=60"])
def test_a_stored_run_tells_what_a_run_for_its_gate_decodes(suite, gate):
    run = ("--task", "copy,shuffle", "--unmasking", "random", "--k", "1,32", "--samples", "10")
    suite.run(*run).assert_outcomes(passed=4)
    report = read_report(suite.store, None)
    holds, saved = gate_savings.replay([parse_gate(gate)], report)
    assert saved.planned == 40
    assert saved.unneeded == 30
    apart = suite.pytester.path / "apart"
    result = suite.run(*run, "--pb-sweep", "gate", "--pb-gate", gate, store=apart)
    assert (result.ret == 0) == holds
    result.stdout.fnmatch_lines([f"*{saved.line}*"])


def test_a_run_that_is_not_complete_has_nothing_to_tell(suite):
    suite.run("--task", "copy", "--unmasking", "random", "--k", "1", "--samples", "2").assert_outcomes(
        passed=1
    )
    next(suite.store.glob("*.jsonl")).unlink()
    with pytest.raises(ValueError, match="must hold a result of every sample, got 0 of 2 of copy with rand"):
        gate_savings.replay([parse_gate("copy:score@k1>=50")], read_report(suite.store, None))
