"""Templates and chats."""

import pytest

from task_specs.load import load_samples
from task_specs.prompt import field_names, fill, messages
from task_specs.spec import builtin_spec


def test_fields_are_filled_in_and_doubled_braces_are_single():
    assert fill("{{{word}}} at {index}", {"word": "{x}", "index": 2}) == "{{x}} at 2"


def test_a_missing_field_is_named():
    with pytest.raises(LookupError, match=r"a field of the prompt must be one of word, got 'index'; correct"):
        fill("{index}", {"word": "A"})


@pytest.mark.parametrize("template", ["{a.b}", "{a[0]}", "{}", "{0}", "{a!r}", "{a:>9}", "{a:}{b!s}"])
def test_a_template_holds_plain_names_only(template):
    with pytest.raises(ValueError, match="prompt must be a template of plain field names, got"):
        field_names(template)


@pytest.mark.parametrize("template", ["{a", "a}", "{{a}"])
def test_braces_come_in_pairs(template):
    with pytest.raises(ValueError, match=r"prompt must be a template with paired braces, got .*; write"):
        field_names(template)


def test_a_shot_is_a_turn_of_each_side_with_the_same_template_before_the_question():
    spec = builtin_spec("insert_index")
    sample = load_samples(spec)[0]
    shot = sample.shots[0]
    chat = messages(spec, sample)
    assert [turn["role"] for turn in chat] == ["user", "assistant", "user"]
    assert chat[0]["content"] == spec.prompt.format(**shot.fields)
    assert chat[1]["content"] == shot.answer
    assert chat[2]["content"] == spec.prompt.format(**sample.fields)
    assert f"position {sample.facts['index']} " in chat[2]["content"]


def test_without_shots_the_chat_is_the_question_alone():
    spec = builtin_spec("list_copy")
    sample = load_samples(spec)[0]
    assert messages(spec, sample) == [{"role": "user", "content": spec.prompt.format(**sample.fields)}]


def test_a_chain_of_thought_asks_for_the_marker_and_its_shot_shows_it():
    spec = builtin_spec("sort", {"cot": True})
    sample = load_samples(spec)[0]
    question, steps, _ = messages(spec, sample)
    assert spec.answer_marker == "The final list is:"
    assert spec.answer_marker in question["content"]
    reasons, marker, answer = steps["content"].rpartition(spec.answer_marker)
    assert marker
    assert len(reasons) > 40
    assert answer.strip().startswith('["')
