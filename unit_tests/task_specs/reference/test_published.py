"""The task files of GSM8K and HumanEval: made from lines in the published formats, read by our own reader."""

import json
import re

import pytest

from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.reference.published import gsm8k, humaneval
from task_specs.scoring import SCORERS
from task_specs.spec import read_spec

PROBLEM = {"question": "Ann has {3} pens and buys 15. How many?", "answer": "3+15 = <<3+15=18>>18\n#### 18"}
CODE = {"task_id": "HumanEval/0", "prompt": "def f(x):\n    '''{x}'''\n", "entry_point": "f", "test": "?"}


def jsonl(folder, name, *lines):
    file = folder / name
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    return file


def read(folder, name, task):
    (folder / f"{name}.yaml").write_text(task.spec_text)
    (folder / f"{name}.jsonl").write_text(task.data_text)
    spec = read_spec(folder / f"{name}.yaml")
    return spec, load_samples(spec)


def test_gsm8k_with_worked_examples_of_the_users_choice(tmp_path):
    shot = {"question": "1+1?", "answer": "It is <<1+1=2>>2.\n#### 2"}
    task = gsm8k(jsonl(tmp_path, "test.jsonl", PROBLEM, PROBLEM), jsonl(tmp_path, "shots.jsonl", shot), 128)
    spec, samples = read(tmp_path, "gsm8k", task)
    assert (spec.id, spec.category, spec.shots, spec.canvas, spec.score) == (
        "gsm8k",
        "reference",
        1,
        128,
        "accuracy",
    )
    chat = messages(spec, samples[0])
    assert [turn["role"] for turn in chat] == ["user", "assistant", "user"]
    assert chat[1]["content"] == "It is 2.\n#### 2"
    assert chat[2]["content"].startswith("Ann has {3} pens and buys 15. How many?\n\nSolve")
    assert SCORERS[spec.scorer](samples[0].example, samples[0], {}).values == {
        "accuracy": 1.0,
        "accuracy_strict": 1.0,
    }
    assert samples[0].answers is None, "a solution has many right texts, so there is no answer set"


def test_humaneval_asks_for_the_function_and_needs_somebody_elses_word(tmp_path):
    spec, (sample,) = read(tmp_path, "humaneval", humaneval(jsonl(tmp_path, "he.jsonl", CODE), 256))
    assert (spec.score, spec.needs, spec.shots) == ("passed", frozenset({"passed"}), 0)
    assert CODE["prompt"] in messages(spec, sample)[0]["content"]
    assert sample.facts == {"task_id": "HumanEval/0", "entry_point": "f"}


@pytest.mark.parametrize(
    ("make", "line", "message"),
    [
        (gsm8k, "{", "line 1: the line must be JSON, got '{'; take the published file"),
        (gsm8k, "3", "line 1: the line must be a JSON object, got 3"),
        (gsm8k, {"question": "x"}, "line 1: answer must be a text, got None"),
        (
            gsm8k,
            {"question": "x", "answer": "18"},
            "line 1: answer must be a solution that ends with '#### NUMBER'",
        ),
        (gsm8k, {"question": " ", "answer": "#### 1"}, "line 1: question must be a text, got ' '"),
        (gsm8k, "", "the file must hold one JSON object a line, got none"),
        (humaneval, CODE | {"entry_point": None}, "line 1: entry_point must be a text, got None"),
    ],
    ids=["json", "object", "answer", "marker", "question", "empty", "code"],
)
def test_a_file_of_another_kind_is_named_with_its_line(tmp_path, make, line, message):
    file = jsonl(tmp_path, "file.jsonl", line)
    with pytest.raises(ValueError, match=re.escape(message)):
        make(file, None, 64) if make is gsm8k else make(file, 64)


def test_a_missing_file_and_too_many_examples_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"FILE must be a published file as JSONL, got '.*none\.jsonl'"):
        gsm8k(tmp_path / "none.jsonl", None, 64)
    file = jsonl(tmp_path, "file.jsonl", *[PROBLEM] * 9)
    with pytest.raises(ValueError, match="--shots must hold at most 8 worked examples, got 9 in"):
        gsm8k(file, file, 64)
