"""Templates and chats."""

import pytest

from task_specs.catalogue import BENCHMARK_IDS, list_op_ids, task_ids
from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.spec import builtin_spec, read_spec


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


WAITING_LINE = BENCHMARK_IDS["waiting_line"]
COMPACT = (*WAITING_LINE, "sudoku", "latin_square")


@pytest.mark.parametrize("task", COMPACT)
def test_a_compact_prompt_is_one_message_of_task_word_arguments_and_input(task):
    spec = builtin_spec(task)
    for sample in load_samples(spec):
        (message,) = messages(spec, sample, "compact")
        assert message["role"] == "user"
        head, _, shown = message["content"].partition("\n")
        word, *arguments = head.split(", ")
        assert word == task
        assert arguments == [str(sample.facts[name]) for name in ("index", "word") if name in sample.facts]
        assert shown == next(
            sample.fields[name] for name in ("context", "grid", "symbols") if name in sample.fields
        )


def test_natural_is_what_is_asked_without_a_style():
    spec = builtin_spec("copy")
    sample = load_samples(spec)[0]
    assert messages(spec, sample) == messages(spec, sample, "natural") != messages(spec, sample, "compact")


def test_tasks_of_prose_and_infilling_have_no_compact_prompt():
    every = [builtin_spec(task) for task in (*task_ids(), *list_op_ids())]
    assert {spec.id for spec in every if spec.prompt_compact is not None} == set(COMPACT)


@pytest.mark.parametrize("changes", [{"n": 5}, {"samples": 10}])
def test_a_variant_of_other_data_keeps_the_compact_prompt(changes):
    assert builtin_spec("sort", changes).prompt_compact == "sort\n{context}"


@pytest.mark.parametrize(("task", "params"), [("paraphrasing", {}), ("sort", {"cot": True})])
def test_a_task_without_compact_prompt_is_named(task, params):
    spec = builtin_spec(task, params)
    with pytest.raises(
        LookupError,
        match=rf"^prompt_compact of task {spec.id} must be given for a model that reads compact prompts, got "
        "none; add the key to the task file or choose another model",
    ):
        messages(spec, load_samples(spec)[0], "compact")


def test_a_users_task_may_have_a_compact_prompt(tmp_path):
    (tmp_path / "my.jsonl").write_text('{"id": "a", "fields": {"word": "x"}}\n', encoding="utf-8")
    file = tmp_path / "my.yaml"
    file.write_text(
        "id: mine\ncategory: mine\nversion: 1\nprompt: Say {word}.\nprompt_compact: say {word}\ncanvas: 4\n"
        "scorer: acme.scorers:exact\nscore: accuracy\ndata: my.jsonl\n",
        encoding="utf-8",
    )
    spec = read_spec(file)
    (sample,) = load_samples(spec)
    assert messages(spec, sample, "compact") == [{"role": "user", "content": "say x"}]
