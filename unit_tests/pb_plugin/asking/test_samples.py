"""The questions of a task in the style that a model reads."""

import os
from types import SimpleNamespace

import pytest

from pb_plugin.asking.planned import plan_samples
from pb_plugin.asking.samples import NotApplicable, TaskData, vocabulary_of
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.record import PAIR_PARTS, Record
from task_specs.prompt import messages
from task_specs.spec import builtin_spec


def data_of(task, params=None, *, place=None):
    return TaskData(planned=builtin_spec(task, params or {}), data=place, n_samples=3)


def test_a_question_is_asked_in_the_style_that_the_model_reads():
    data = data_of("insert_index")
    for style in ("natural", "compact"):
        asked = data.asked(style)
        assert [question.sample for question in asked] == list(data.samples)
        for question in asked:
            assert list(question.messages) == messages(data.spec, question.sample, style)
    assert data.asked("natural") is data.questions


def test_the_styles_of_a_question_have_different_hashes():
    data = data_of("copy")
    hashes = {question.input_hash for style in ("natural", "compact") for question in data.asked(style)}
    assert len(hashes) == 6


@pytest.mark.parametrize(
    ("task", "params", "name"),
    [
        ("paraphrasing", {}, "paraphrasing"),
        ("copy", {"cot": True}, "copy_cot"),
        ("list_copy", {}, "list_copy"),
    ],
)
def test_a_task_without_compact_prompts_is_not_applicable(task, params, name):
    data = data_of(task, params)
    with pytest.raises(
        NotApplicable, match=rf"^the model reads compact prompts only, and there are none for task {name}$"
    ):
        data.asked("compact")
    assert len(data.asked("natural")) == 3


def test_released_data_have_no_compact_prompts(tmp_path):
    with pytest.raises(
        NotApplicable, match=r"^the model reads compact prompts only, and there are none for released data$"
    ):
        data_of("copy", place=tmp_path).asked("compact")


def planned_of(style):
    """Return what a run plans for a model that reads prompts of *style*."""
    (cell,) = plan(Options(model=("tiny",), task=("reverse",), unmasking=("confidence",), k=(2,))).cells
    handle = SimpleNamespace(name="tiny", prompt_style=style, dtype="default", code="c")
    handle.fingerprint_of = lambda params: "f"
    return plan_samples(cell, data_of("reverse"), handle)


def test_a_record_carries_the_style_and_records_of_different_styles_are_no_pair():
    pairs = {}
    for style in ("natural", "compact"):
        first = planned_of(style)[0]
        assert first.parts["prompt_style"] == style
        record = Record(parts=first.parts, error={"class": "oom", "message": "out of memory"})
        assert Record.from_json(record.to_json()).parts["prompt_style"] == style
        pairs[style] = record.pair_key
    assert "prompt_style" in PAIR_PARTS
    assert pairs["natural"] != pairs["compact"]


def test_what_is_planned_for_a_style_is_what_is_asked_in_it():
    asked = data_of("reverse").asked("compact")
    assert [planned.parts["input_hash"] for planned in planned_of("compact")] == [q.input_hash for q in asked]


def test_what_has_the_name_of_a_released_file_and_is_none_is_refused_instead_of_hanging(tmp_path):
    folder = tmp_path / "waiting_line"
    folder.mkdir()
    (folder / "copy.jsonl").write_text('{"input": "[\\"Zoe Zander\\"]"}')
    assert {"Zoe", " Zander"} <= {piece.strip('"') for piece in vocabulary_of(tmp_path)}
    os.mkfifo(folder / "sort.jsonl")
    with pytest.raises(ValueError, match=r"sort\.jsonl must be a file that can be read, .* got a pipe; move"):
        vocabulary_of(tmp_path)
