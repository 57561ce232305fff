"""Laws of the loophole table: it equals the committed one, and the tasks it solves are known."""

import json
from pathlib import Path

import pytest

from task_specs.audit.loopholes import (
    OUTPUTS,
    Loophole,
    as_markdown,
    audited_tasks,
    degenerate_outputs,
    loophole_table,
    main,
    task_loopholes,
)
from task_specs.audit.tables import as_json
from task_specs.load import load_samples
from task_specs.spec import builtin_spec

GOLDEN = Path(__file__).parents[1] / "golden" / "loopholes.json"


@pytest.fixture(scope="module")
def table():
    return loophole_table()


def test_the_table_equals_the_committed_one(table):
    """Rewritten by ``python -m task_specs.audit.loopholes --write FILE`` and by nothing else."""
    assert as_json(table) == GOLDEN.read_text(encoding="utf-8")


def test_every_task_of_the_table_has_every_output_once(table):
    for task in audited_tasks():
        assert tuple(row.output for row in table if row.task == task) == OUTPUTS


def test_the_right_answer_of_every_sample_scores_one_in_both_forms(table):
    right = [row for row in table if row.output == "right"]
    assert len(right) == len(audited_tasks()) >= 16
    assert {(row.accuracy, row.accuracy_strict) for row in right} == {(1.0, 1.0)}


@pytest.mark.parametrize("output", ["empty", "refusal", "answer of the shot"])
def test_an_output_that_ignores_the_question_scores_nothing(table, output):
    assert {row.accuracy for row in table if row.output == output} <= {0.0, None}


def test_no_form_of_words_around_an_answer_is_strictly_right(table):
    assert {row.accuracy_strict for row in table if row.output in ("prompt", "right, in a sentence")} == {0.0}


def test_only_the_known_tasks_are_solved_by_a_rule_that_ignores_what_is_asked(table):
    """Copy, sort and reverse ask for that very rule; the rest choose one of several right answers."""
    degenerate = [row for row in table if row.output not in ("right", "right, in a sentence")]
    solved = {(row.task, row.output) for row in degenerate if row.accuracy == 1.0}
    assert {pair for pair in solved if not pair[0].startswith("list_")} == {
        ("copy", "prompt"),
        ("copy", "input"),
        ("sort", "input sorted"),
        ("reverse", "input reversed"),
        ("shuffle", "input reversed"),
        ("shuffle", "first two swapped"),
        ("shuffle", "rotated by one"),
        ("replace_random", "always at the first place"),
        ("insert_random", "always at the first place"),
        ("remove_random", "always at the first place"),
        ("latin_square", "cyclic square"),
    }


def test_degenerate_outputs_of_one_sample_are_these():
    spec = builtin_spec("insert_index")
    sample = load_samples(spec)[0]
    ann, bob, cid = sample.facts["items"]
    outputs = degenerate_outputs(spec, sample)
    assert sample.fields["context"] in outputs["prompt"]
    assert json.loads(outputs["first two swapped"]) == [bob, ann, cid]
    assert json.loads(outputs["rotated by one"]) == [bob, cid, ann]
    assert json.loads(outputs["always at the first place"]) == [sample.facts["word"], ann, bob, cid]
    assert "cyclic square" not in outputs
    assert outputs["answer of the shot"] == sample.shots[0].answer
    assert sample.example in outputs["right, in a sentence"] != sample.example


def test_always_removing_the_first_person_is_right_where_index_0_is_asked():
    spec = builtin_spec("remove_index")
    (row,) = [row for row in task_loopholes(spec) if row.output == "always at the first place"]
    samples = load_samples(spec)
    assert row.accuracy == pytest.approx(sum(s.facts["index"] == 0 for s in samples) / len(samples))


def test_the_markdown_table_has_a_row_for_each_task_and_a_dash_where_an_output_makes_no_sense():
    rows = [Loophole(task="sudoku", output=name, accuracy=None, accuracy_strict=None) for name in OUTPUTS]
    rows[0] = Loophole(task="sudoku", output=OUTPUTS[0], accuracy=0.256, accuracy_strict=0.0)
    head, rule, row = as_markdown(rows).splitlines()
    assert head == f"| task | {' | '.join(OUTPUTS)} |"
    assert rule.count("---:") == len(OUTPUTS)
    assert row == "| sudoku | 26 |" + " - |" * (len(OUTPUTS) - 1)


def test_the_command_prints_markdown_or_stores_json(capsys, tmp_path, table):
    assert main([]) == 0
    assert capsys.readouterr().out == as_markdown(table)
    assert main(["--write", str(tmp_path / "rows.json")]) == 0
    assert (tmp_path / "rows.json").read_text(encoding="utf-8") == as_json(table)
