"""``pb browse``: the table of tasks, the facts of one, a sample as the model is asked it."""

import json
import math
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pb_plugin.cli import browse, main
from pb_plugin.planning.registry import builtin_names
from task_specs import BENCHMARK_IDS, list_op_ids, task_ids
from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.sample import Permutations
from task_specs.spec import builtin_spec

RELEASED = Path(__file__).resolve().parents[3] / ".." / "shared" / "released_data"

USER = """\
id: mine
category: own_words
version: 3
prompt: "Say {word}."
canvas: 8
scorer: list
score: accuracy
floor: 0.5
data: mine.jsonl
"""


@pytest.fixture
def pb(capsys):
    """Return a function that runs ``pb browse`` and returns its output."""

    def run(*arguments, code=0):
        assert main(["browse", *map(str, arguments)]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


@pytest.fixture
def pb_json(pb):
    def run(*arguments):
        return json.loads(pb(*arguments, "--json"))

    return run


@pytest.fixture
def user_task(tmp_path):
    (tmp_path / "mine.yaml").write_text(USER, encoding="utf-8")
    lines = [
        {
            "id": "a",
            "fields": {"word": "one"},
            "facts": {"operation": "copy", "items": ["one"]},
            "answers": ["[one]", '["one"]'],
            "length": 2,
        },
        {"id": "b", "fields": {"word": "two"}},
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return tmp_path / "mine.yaml"


def test_the_table_has_every_task_of_the_suite_and_every_list_operation(pb_json):
    found = pb_json()
    suite = [task for tasks in BENCHMARK_IDS.values() for task in tasks]
    assert [row["task"] for row in found["tasks"]] == [*suite, *list_op_ids()]
    assert found["data"] == "own"
    without = {row["task"] for row in found["tasks"] if row["status"] == "no spec in this version"}
    assert without == set(suite) - set(task_ids())


def test_a_task_without_a_spec_is_shown_as_such(monkeypatch, pb):
    monkeypatch.setattr(browse, "task_ids", lambda: ("copy",))
    lines = pb().splitlines()
    assert next(line for line in lines if line.startswith("sort ")).split() == [
        *("sort", "waiting_line", "no", "spec", "in", "this", "version")
    ]
    assert next(line for line in lines if line.startswith("copy ")).split()[-1] == "1"


def test_a_row_has_the_facts_of_its_task(pb_json):
    row = next(row for row in pb_json()["tasks"] if row["task"] == "shuffle")
    assert row == {
        "task": "shuffle",
        "category": "waiting_line",
        "status": None,
        "samples": 100,
        "canvas": 32,
        "shots": 1,
        "score": "accuracy",
        "answers": {"min": math.factorial(3) - 1, "max": math.factorial(6) - 1},
    }


def test_the_table_is_aligned_and_explains_its_columns(pb):
    lines = pb().splitlines()
    header = lines[0]
    assert header.split() == ["task", "category", "samples", "canvas", "shots", "score", "answers"]
    squares = next(line for line in lines if line.startswith("latin_square"))
    assert squares.endswith("576")
    assert len(squares) == len(header)
    assert "canvas: positions a model generates" in "\n".join(lines)


def test_a_task_of_another_package_is_in_the_table(pb_json, user_task, monkeypatch):
    (user_task.parent / "their_package.py").write_text(f"TASK = {str(user_task)!r}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(user_task.parent)
    theirs = EntryPoint("theirs", "their_package:TASK", "pb.tasks")
    monkeypatch.setattr("pb_plugin.planning.registry.known", lambda group: {"theirs": theirs})
    assert pb_json()["tasks"][-1]["task"] == "mine"


def test_a_compact_prompt_is_shown_where_there_is_one(pb):
    assert '[compact prompt, for a model such as tiny]\n  copy\n  ["' in pb("copy")
    assert "compact prompt" not in pb("paraphrasing")
    assert "compact prompt" not in pb("copy:cot=true")


def test_a_task_is_shown_with_its_facts_and_its_first_sample(pb):
    out = pb("list_shuffle")
    sample = load_samples(builtin_spec("list_shuffle"))[0]
    assert out.startswith("list_shuffle\n  category  list_ops\n")
    assert "canvas    64 positions, of which 10 are to be filled in" in out
    assert "parameter n: items in the list, a whole number from 2 to 26" in out
    assert f"sample 0 of list_shuffle (0 to 99): {sample.id}, length 10" in out
    assert f"[template]\n  {sample.template}\n" in out
    assert f"[answers] 3628800 valid, for example\n  {sample.example}\n" in out


@pytest.mark.parametrize("index", [0, 57, 99])
def test_a_sample_is_shown_as_the_model_is_asked_it(pb, pb_json, index):
    spec = builtin_spec("replace_random")
    sample = load_samples(spec)[index]
    found = pb_json("replace_random", "--index", index)["sample"]
    assert found == {
        "index": index,
        "id": sample.id,
        "length": sample.length,
        "messages": messages(spec, sample),
        "compact": f"replace_random, {sample.fields['word']}\n{sample.fields['context']}",
        "template": None,
        "n_answers": sample.length,
        "example": sample.example,
    }
    text = pb("replace_random", "--index", index)
    assert text.startswith(f"sample {index} of replace_random (0 to 99): {sample.id}")
    assert [line for line in text.splitlines() if line.startswith("[")] == [
        *("[user]", "[assistant]", "[user]", "[compact prompt, for a model such as tiny]"),
        f"[answers] {sample.length} valid, for example",
    ]
    assert text.endswith(f"  {sample.example}\n")


def test_without_an_index_json_has_the_first_sample(pb_json):
    assert pb_json("copy") == pb_json("copy", "--index", 0)


def test_a_single_answer_is_called_so(pb):
    assert "[answer] the only valid one\n" in pb("copy")


def test_a_variant_is_shown_like_a_task(pb, pb_json):
    found = pb_json("shuffle:n=15")
    assert (found["task"]["task"], found["task"]["is_variant"]) == ("shuffle_n15", True)
    assert found["sample"]["n_answers"] == math.factorial(15) - 1
    assert "answers   1.3e+12 a sample" in pb("shuffle:n=15")


def test_a_users_file_is_shown_and_may_lack_references(pb, pb_json, user_task):
    facts = pb_json(user_task)["task"]
    assert (facts["task"], facts["data"], facts["lengths"]) == ("mine", "user", [1, 2])
    assert facts["answers"] == {"min": 2, "max": 2}
    assert "  floor     0.5\n" in pb(user_task)
    assert "[user]\n  Say one.\n[answers] 2 in the data, for example\n  [one]\n" in pb(user_task)
    assert "[user]\n  Say two.\n[answers] no reference in the data\n" in pb(user_task, "--index", 1)


def test_answers_are_counted_without_listing_them():
    items = tuple("ABCDEFGHIJ")
    orders = {"items": items, "opening": "", "separator": ",", "closing": ""}
    assert browse.answer_count(Permutations(**orders, exclude_input=False)) == math.factorial(10)
    assert browse.answer_count(Permutations(**orders, exclude_input=True)) == math.factorial(10) - 1
    assert browse.answer_count(None) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["copy", "--index", "100"],
            "--index must be from 0 to 99, the samples of copy, got 100; leave it out for the first",
        ),
        (["copy", "--index", "-1"], "--index must be a whole number of at least 0, got '-1'"),
        (["copy", "--index", "first"], "--index must be a whole number of at least 0, got 'first'"),
        (
            ["--index", "3"],
            "--index must come with a task, got '3' alone; for example: pb browse shuffle --index 3",
        ),
        (
            ["shuffle:n=4,5"],
            "task must be one task, got 'shuffle:n=4,5', which is shuffle_n4, shuffle_n5; "
            "give each parameter one value",
        ),
        (["shuffle:m=4"], "parameter of task shuffle must be one of n,"),
        (["none.yaml"], "task file must exist, got 'none.yaml'"),
        (["copy", "--data", "nowhere"], "got no such folder; give DIR/GROUP/NAME.jsonl beside "),
    ],
    ids=["beyond", "negative", "words", "alone", "several", "parameter", "file", "checkout"],
)
def test_a_bad_request_is_told_in_one_line(pb, arguments, message):
    err = pb(*arguments, code=2)
    assert err.startswith("pb: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.skipif(not RELEASED.is_dir(), reason="the released files are not beside this checkout")
def test_released_data_are_shown_with_their_own_prompts_and_what_is_not_released(pb_json):
    rows = {row["task"]: row for row in pb_json("--data", RELEASED)["tasks"]}
    assert {task for task, row in rows.items() if row["status"] == "not released"} >= set(list_op_ids())
    assert rows["sudoku"]["samples"] == 108
    facts = pb_json("shuffle", "--data", RELEASED)["task"]
    assert (facts["data"], facts["scorer"], facts["text_rule"]) == (
        "released",
        "released_list",
        "whole_canvas",
    )
    assert facts["parameters"] == {}


def test_every_built_in_task_can_be_browsed(pb_json):
    for task in builtin_names("pb.tasks"):
        assert pb_json(task)["sample"]["messages"][-1]["role"] == "user"
