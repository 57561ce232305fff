"""A run on exported data: its prompts and labels, a source of its own, errors at the start."""

import json

import pytest

from pb_plugin.asking.samples import TaskData
from pb_plugin.cli import main
from task_specs.prompt import messages
from task_specs.sources.source import source
from task_specs.spec import builtin_spec

TASKS = ("copy", "shuffle", "insert_index", "latin_square", "sudoku")
RUN = ("--unmasking", "random", "--k", "1,4")


@pytest.fixture
def export(suite):
    """Write samples of ours as somebody else might and return the option that names the file."""
    file = suite.pytester.path / "export.jsonl"
    lines = []
    for task in TASKS:
        own = TaskData(planned=builtin_spec(task), data=None, n_samples=2)
        for sample in own.samples:
            chat = messages(own.spec, sample)
            label = {"text": sample.example, **sample.facts}
            lines.append({"name": f"theirs/{task}", "doc": {"chat": chat, "label": label}})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    paths = {"task": "name", "messages": "doc.chat", "answer": "doc.label.text"}
    paths |= {f"facts.{name}": f"doc.label.{name}" for name in ("items", "word", "symbols")}
    names = {f"theirs/{task}": task for task in TASKS}
    file.with_suffix(".yaml").write_text(json.dumps({"tasks": names, "keys": paths}))
    return "--pb-data=export.jsonl"


def test_exported_data_run_as_a_source_of_their_own(suite, export):
    suite.run("--task", ",".join(TASKS), *RUN, export).assert_outcomes(passed=10)
    records = suite.records()
    assert {record.parts["data_source"] for record in records} == {"exported"}
    assert {record.parts["spec_version"] for record in records} == {1}
    assert all(record.scores["accuracy"] == 1.0 for record in records if record.parts["k"] == 1)
    own = suite.run("--task", ",".join(TASKS), *RUN, "--samples", "2")
    own.assert_outcomes(passed=10)
    assert {record.parts["data_source"] for record in suite.records()} == {"exported", "own"}


def test_the_same_questions_of_both_sources_are_asked_in_the_same_words(suite, export):
    file = suite.pytester.path / "export.jsonl"
    for task in TASKS:
        theirs = TaskData(planned=builtin_spec(task), data=file, n_samples=None).questions
        own = TaskData(planned=builtin_spec(task), data=None, n_samples=2).questions
        assert [question.input_hash for question in theirs] == [question.input_hash for question in own]


def test_a_stored_run_of_exported_data_is_scored_again_and_shown(suite, export, capsys):
    suite.run("--task", "copy", "--unmasking", "random", "--k", "1", export).assert_outcomes(passed=1)
    assert main(["rescore", str(suite.store)]) == 0
    assert main(["browse", "copy", "--data", str(suite.pytester.path / "export.jsonl")]) == 0
    assert "(exported data, sha256 " in capsys.readouterr().out


def test_a_task_that_the_file_lacks_is_one_message_at_the_start(suite, export):
    result = suite.run("--task", "copy,sort,reverse", *RUN, export)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: task must be one that *export.jsonl' holds, got 'sort'; it holds copy, shuffle, "
            "insert_index, latin_square, sudoku (choose with --task; * (so it is with reverse)"
        ]
    )


def test_a_label_that_its_own_scorer_calls_wrong_is_one_message_at_the_start(suite):
    line = {"task": "sudoku", "prompt": "Solve.", "answer": "12\n21"}
    suite.pytester.path.joinpath("bad.jsonl").write_text(json.dumps(line))
    result = suite.run("--task", "sudoku", *RUN, "--pb-data=bad.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: answers of sample 'line-001' must score 1 under scorer released_sudoku*"]
    )


def test_the_source_of_a_task_is_decided_by_what_is_named(tmp_path):
    spec = builtin_spec("copy")
    names = [source(spec, place).name for place in (None, tmp_path, tmp_path / "a.jsonl")]
    assert names == ["own", "released", "exported"]
