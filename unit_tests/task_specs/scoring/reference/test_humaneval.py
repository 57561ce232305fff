"""The completion in an output, and the results of somebody's evaluator."""

import json
import re

import pytest

from task_specs.sample import Sample
from task_specs.scoring import SCORERS
from task_specs.scoring.reference.humaneval import completion_of
from task_specs.scoring.reference.passed_tool import PassedTool, read_results

FACTS = {"task_id": "HumanEval/0", "entry_point": "double"}
SAMPLE = Sample(id="a", fields={}, facts=FACTS, shots=(), example=None, answers=None, template=None, length=1)
PROMPT = 'def double(x):\n    """Return twice x."""\n'
WHOLE = "def double(x):\n    return 2 * x"


@pytest.mark.parametrize(
    ("text", "completion"),
    [
        ("    return 2 * x", "    return 2 * x"),
        (WHOLE, f"\n{WHOLE}\n"),
        (f"Here it is:\n```python\n{WHOLE}\n```\nIt doubles.", f"\n{WHOLE}\n"),
        (f"```\nimport math\n\n{WHOLE}\n```", f"\nimport math\n\n{WHOLE}\n"),
        ("```python\n    return 2 * x\n```\n```\nother\n```", "    return 2 * x"),
        (f"```python\n{WHOLE}", f"\n{WHOLE}\n"),
        ("def doubled(x):\n    return 1", "def doubled(x):\n    return 1"),
    ],
    ids=["body", "whole", "fenced", "imports", "two-blocks", "open-fence", "other-function"],
)
def test_a_completion_follows_the_prompt(text, completion):
    assert completion_of(text, "double") == completion
    if "2 * x" in text:
        space = {}
        exec(compile(PROMPT + completion, "program", "exec"), space)  # our own text, written above
        assert space["double"](4) == 8


def results(folder, *lines):
    file = folder / "results.jsonl"
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    return file


def said(passed, completion="    return 2 * x", task="HumanEval/0"):
    return {"task_id": task, "completion": completion, "passed": passed, "result": "?"}


def test_a_score_is_what_the_file_says_of_that_very_completion(tmp_path):
    tool = PassedTool(results(tmp_path, said(True), said(False, "    return x"), "", said(True)))
    tool.check()
    assert (tool.is_later, tool.missing) == (False, None)
    asked = [(text, SAMPLE) for text in ("    return 2 * x", "    return x", "    return 3")]
    scored = [
        SCORERS["humaneval"](text, SAMPLE, {"passed": found})
        for (text, _), found in zip(asked, tool.measure(asked), strict=True)
    ]
    assert [one.values["passed"] for one in scored] == [1.0, 0.0, None]
    assert "has no result of HumanEval/0 for this completion" in scored[2].reasons["passed"]
    assert SCORERS["humaneval"](" \n", SAMPLE, {}).values == {"passed": 0.0}
    assert SCORERS["humaneval"]("x", SAMPLE, {}).values == {"passed": None}


def test_the_key_is_of_what_is_said_and_of_no_order(tmp_path):
    first = PassedTool(results(tmp_path, said(True), said(False, "x"))).key()
    assert PassedTool(results(tmp_path, said(False, "x"), said(True))).key() == first
    assert PassedTool(results(tmp_path, said(False, "x"), said(False))).key() != first
    assert PassedTool(None).key() == "none"
    assert PassedTool(None).is_later
    assert "no code is run here" in PassedTool(None).missing


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], "line 1: the line must be JSON, got '{'; write it with your evaluator"),
        (["[]"], "line 1: the line must be a JSON object, got []"),
        ([said(True) | {"task_id": 3}], "line 1: task_id must be a text, got 3"),
        ([{"task_id": "a", "passed": True}], "line 1: completion must be a text, got None"),
        ([said("yes")], "line 1: passed must be true or false, got 'yes'"),
        (
            [said(True), said(False)],
            "line 2: passed must be one value for a completion, got False; HumanEval/0",
        ),
        ([], "the file must hold one JSON object a line, got none"),
    ],
    ids=["json", "object", "task", "completion", "passed", "both", "empty"],
)
def test_a_bad_result_file_is_named_with_its_line(tmp_path, lines, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_results(results(tmp_path, *lines))


def test_a_result_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"--passed must be a file of results, got '.*none\.jsonl'"):
        PassedTool(tmp_path / "none.jsonl").check()
