"""GSM8K and HumanEval from the published file to a score in the analyses of Figure 6, with no code run."""

import json

import pytest

from pb_plugin.cli import main
from pb_plugin.report.stored import read_report

CODE = '''
from pathlib import Path
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.testing.hash_denoiser import HashDenoiser

class Coder(HashDenoiser):
    """Writes the letters of its prompt's task in a way that depends on nothing else."""
    name = "coder"

    def encode_prompt(self, messages):
        return [2, 3, len(messages[-1]["content"]) % 5 + 2]

def load(request):
    return Coder()
'''


@pytest.fixture
def made(suite, capsys):
    """Make the task called *name* from *lines* and return its file."""
    suite.pytester.syspathinsert()
    suite.pytester.makepyfile(coder=CODE)

    def make(name, *lines, more=()):
        (suite.pytester.path / "published.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        assert main(["reference", name, "published.jsonl", "--into", "mine", "--canvas", "16", *more]) == 0
        assert f"pytest bench_tests --task mine/{name}.yaml" in capsys.readouterr().out
        return f"mine/{name}.yaml"

    return make


PROBLEMS = [{"question": f"What is {n}?", "answer": f"#### {n}"} for n in range(3)]
CODES = [{"task_id": f"HumanEval/{n}", "prompt": f"def f{n}():\n", "entry_point": f"f{n}"} for n in range(3)]
BENCH = """
import pytest

@pytest.mark.pb_category("other")
def test_other(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
"""
RUN = ("--model", "coder:load", "--unmasking", "random", "--k", "2,4")


def test_gsm8k_is_measured_and_stands_in_the_analyses_of_figure_6(suite, made, capsys):
    suite.pytester.makepyfile(test_bench=BENCH)
    suite.run("--task", made("gsm8k", *PROBLEMS), *RUN).assert_outcomes(passed=2)
    assert {record.parts["data_source"] for record in suite.records()} == {"user"}
    capsys.readouterr()
    (suite.pytester.path / "p.csv").write_text(
        "model,task,method,k,block_length,score\nx,gsm8k,random,1,,100\nx,gsm8k,random,2,,50\n"
        "x,gsm8k,random,2,8,60\nx,gsm8k,random,2,16,55\n"
    )
    assert main(["analyses", str(suite.store), "--oracle", "random", "--points", "p.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (of_mass,) = [row for row in found["parallelizability"]["rows"] if row["model"] == "x"]
    (of_order,) = [row for row in found["order_benefit"]["rows"] if row["model"] == "x"]
    assert of_mass["value"] == pytest.approx((100 + 2 * 50) / 150)
    assert of_order["value"] == pytest.approx(5.0)
    assert of_mass["interval"] is None
    assert not any("of x:" in line for part in found.values() for line in part["missing"])


def test_humaneval_is_decoded_judged_elsewhere_and_scored_from_what_was_said(suite, made):
    suite.pytester.makepyfile(test_bench=BENCH)
    task = made("humaneval", *CODES)
    result = suite.run("--task", task, *RUN)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["skipped, 2 items: unscored: no code is run here: *"])
    assert len({record.decode_key for record in suite.records()}) == 6, "decoded all the same"
    assert main(["completions", str(suite.store), "--out", "samples.jsonl"]) == 0
    asked = [json.loads(line) for line in (suite.pytester.path / "samples.jsonl").read_text().splitlines()]
    assert {one["task_id"] for one in asked} == {one["task_id"] for one in CODES}
    results = [one | {"passed": one["task_id"] == "HumanEval/1"} for one in asked]
    (suite.pytester.path / "r.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
    assert main(["rescore", str(suite.store), "--passed", "r.jsonl", "--grammar", "none"]) == 0
    cells = read_report(suite.store, None).summary.cells
    text_of = {
        record.parts["k"]: record.text
        for record in suite.records()
        if record.parts["sample_id"] == "HumanEval/1"
    }
    right = {k: 100 / 3 if text.strip() else 0.0 for k, text in text_of.items()}  # an empty answer is wrong
    assert {cell.asked.k: cell.percent for cell in cells} == pytest.approx(right)
    assert max(right.values()) > 0.0


def test_a_completion_without_a_result_leaves_the_task_unscored(suite, made):
    suite.pytester.makepyfile(test_bench=BENCH)
    suite.run("--task", made("humaneval", *CODES), *RUN).assert_outcomes(skipped=2)
    line = {"task_id": "HumanEval/0", "completion": "pass", "passed": True}
    (suite.pytester.path / "r.jsonl").write_text(json.dumps(line))
    main(["rescore", str(suite.store), "--passed", "r.jsonl", "--grammar", "none"])
    cells = read_report(suite.store, None).summary.cells
    assert [cell.percent for cell in cells] == [None, None]
    reasons = [record.score_reasons["passed"] for record in suite.records() if record.score_reasons]
    assert any("has no result of HumanEval/" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("reference", "mmlu", "f.jsonl", "--into", "x"), "NAME must be one of gsm8k, humaneval, got 'mmlu'"),
        (
            ("reference", "humaneval", "f.jsonl", "--into", "x", "--shots", "f.jsonl"),
            "--shots must come with gs",
        ),
        (
            ("reference", "gsm8k", "f.jsonl", "--into", "a/b"),
            "--into must lie in a folder that exists, got 'a/b'",
        ),
        (
            ("reference", "gsm8k", "f.jsonl", "--into", "old"),
            "--into must be a folder without gsm8k.jsonl, got 'o",
        ),
        (
            ("reference", "gsm8k", "f.jsonl", "--into", "x", "--canvas", "0"),
            "--canvas must be a whole number",
        ),
    ],
    ids=["name", "shots", "parent", "there", "canvas"],
)
def test_a_bad_request_is_one_line(pytester, capsys, words, message):
    (pytester.path / "f.jsonl").write_text(json.dumps(PROBLEMS[0]))
    pytester.mkdir("old").joinpath("gsm8k.jsonl").write_text("")
    assert main(list(words)) == 2
    assert message in capsys.readouterr().err


def test_completions_of_another_task_are_refused(suite, capsys):
    suite.run("--task", "copy", "--unmasking", "random", "--k", "1", "--samples", "1").assert_outcomes(
        passed=1
    )
    assert main(["completions", str(suite.store), "--task", "copy", "--out", "x.jsonl"]) == 2
    assert "--task must be a task that needs passed, such as humaneval, got 'copy'" in capsys.readouterr().err
    assert main(["completions", str(suite.store), "--task", "x", "--out", "x.jsonl"]) == 2
    assert "--task must be a task that can be read today, got 'x'" in capsys.readouterr().err
