"""Laws of the reader of published text-writing files: references, lines without one, errors."""

import json
import re
from pathlib import Path

import pytest

from task_specs import BENCHMARK_IDS
from task_specs.released.files import RELEASED_FILES, load_released, released_messages, released_spec
from task_specs.sample import Enumerated
from task_specs.scoring import resolve_scorer
from task_specs.spec import builtin_spec

TEXT = BENCHMARK_IDS["text_writing"]
RELEASED = Path(__file__).resolve().parents[3] / ".." / "shared" / "released_data"
needs_released = pytest.mark.skipif(
    not RELEASED.is_dir(), reason="the released files are not beside the checkout (../shared/released_data)"
)

PARAPHRASE = {
    "input": {"text": "A sees B."},
    "answer": {"text": "A sees B.", "examples": "['B is seen by A.', \"It's B that A sees.\"]"},
    "metadata": {"length": 1},
}
SUMMARY = {
    "input": {"text": "A: hi\nB: hello"},
    "answer": {"text": "A: hi\nB: hello", "summary": "A and B greet."},
    "metadata": {"length": 1},
}
WORDS = {
    "input": {"words": "tea, cup, and sugar"},
    "answer": {"words": ["tea", "cup", "sugar"], "example": "A cup of tea with sugar."},
    "metadata": {},
}


def write(folder, task, lines, name=None, prompt=None):
    group, given = RELEASED_FILES[task]
    name = name or given
    (folder / group).mkdir(exist_ok=True)
    text = "\n".join(json.dumps(one) for one in lines)
    (folder / group / f"{name}.jsonl").write_text(text + "\n", encoding="utf-8")
    prompt = prompt or ("Use {words}." if task.startswith("w2s_") else "Say {text}\\nagain.")
    config = json.dumps({f"{group}/{name}": {"prompt": prompt}})
    (folder / group / "task_config.yaml").write_text(config, encoding="utf-8")
    return folder


def with_answer(line, **answer):
    kept = {key: value for key, value in (line["answer"] | answer).items() if value is not ...}
    return line | {"answer": kept}


def paraphrase(examples):
    return with_answer(PARAPHRASE, examples=examples)


def test_the_references_of_a_paraphrase_are_read_from_a_text_that_holds_a_python_list(tmp_path):
    (sample,) = load_released(builtin_spec("paraphrasing"), write(tmp_path, "paraphrasing", [PARAPHRASE]))
    texts = ("B is seen by A.", "It's B that A sees.")
    assert sample.answers == Enumerated(texts=texts, weights=(0.5, 0.5))
    assert sample.facts == {"text": "A sees B.", "references": [*texts]}
    assert (sample.id, sample.example, sample.shots, sample.length) == ("line-001", texts[0], (), 1)


def test_equal_references_add_their_weights(tmp_path):
    line = paraphrase("['x', 'y', 'x', 'x']")
    (sample,) = load_released(builtin_spec("paraphrasing"), write(tmp_path, "paraphrasing", [line]))
    assert sample.answers == Enumerated(texts=("x", "y"), weights=(0.75, 0.25))


def test_the_reference_of_a_chat_is_its_summary(tmp_path):
    own = builtin_spec("summarization")
    spec = released_spec(own, write(tmp_path, "summarization", [SUMMARY]))
    (sample,) = load_released(spec, tmp_path)
    assert sample.answers == Enumerated(texts=("A and B greet.",), weights=(1.0,))
    assert sample.facts == {"text": "A: hi\nB: hello", "references": ["A and B greet."]}
    assert (spec.scorer, spec.text_rule, spec.shots, spec.needs) == (
        "released_summary",
        "whole_canvas",
        0,
        own.needs,
    )
    assert released_messages(spec, sample) == [{"role": "user", "content": "Say A: hi\nB: hello\nagain."}]


def test_a_line_of_words_without_an_example_has_no_answers(tmp_path):
    bare = with_answer(WORDS, example=...)
    first, second = load_released(builtin_spec("w2s_hard"), write(tmp_path, "w2s_hard", [WORDS, bare]))
    assert first.answers == Enumerated(texts=("A cup of tea with sugar.",), weights=(1.0,))
    assert first.example == "A cup of tea with sugar."
    assert (second.answers, second.example) == (None, None)
    assert first.facts == second.facts == {"words": ["tea", "cup", "sugar"]}
    assert first.length == second.length == 3


@pytest.mark.parametrize("n_words", [1, 3])
def test_another_number_of_words_has_its_own_file(tmp_path, n_words):
    write(tmp_path, "w2s_easy", [WORDS], name=f"easy_n{n_words}")
    spec = released_spec(builtin_spec("w2s_easy", {"words": n_words}), tmp_path)
    assert (spec.id, spec.data, spec.n_samples) == (f"w2s_easy_words{n_words}", f"easy_n{n_words}.jsonl", 1)
    (sample,) = load_released(spec, tmp_path)
    assert sample.facts["words"] == ["tea", "cup", "sugar"]
    with pytest.raises(FileNotFoundError, match=r"data of w2s_easy_words7 must hold .*easy_n7\.jsonl"):
        load_released(builtin_spec("w2s_easy", {"words": 7}), tmp_path)


NO_LIST = "answer.examples must be a Python list of texts, got "
BAD_LINES = {
    "no-list": ("paraphrasing", paraphrase("['a'"), NO_LIST),
    "a-call": (
        "paraphrasing",
        paraphrase("list()"),
        NO_LIST,
    ),
    "a-tuple": (
        "paraphrasing",
        paraphrase("('a',)"),
        NO_LIST,
    ),
    "numbers": (
        "paraphrasing",
        paraphrase("[1]"),
        NO_LIST,
    ),
    "empty": (
        "paraphrasing",
        paraphrase("[]"),
        NO_LIST,
    ),
    "a-json-list": (
        "paraphrasing",
        paraphrase(["a"]),
        "answer.examples must be a text, got ['a']",
    ),
    "no-text": ("summarization", with_answer(SUMMARY, text=...), "answer.text must be a text, got None"),
    "no-summary": (
        "summarization",
        with_answer(SUMMARY, summary=...),
        "answer.summary must be a text, got",
    ),
    "no-length": (
        "summarization",
        SUMMARY | {"metadata": {}},
        "metadata.length must be a whole number",
    ),
    "no-answer": ("w2s_easy", WORDS | {"answer": "x"}, "answer must be a JSON object, got 'x'"),
    "no-words": ("w2s_easy", with_answer(WORDS, words="tea"), "answer.words must be a JSON list of texts"),
    "no-example": ("w2s_easy", with_answer(WORDS, example=3), "answer.example must be a text, got 3"),
    "no-metadata": ("w2s_easy", WORDS | {"metadata": 1}, "metadata must be a JSON object, got 1"),
    "no-field": ("w2s_easy", WORDS | {"input": {}}, "input.words must be given, as the template shows it"),
}


@pytest.mark.parametrize(("task", "line", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_malformed_line_is_named_with_file_line_and_key(tmp_path, task, line, message):
    good = {"paraphrasing": PARAPHRASE, "summarization": SUMMARY, "w2s_easy": WORDS}[task]
    write(tmp_path, task, [good, line])
    with pytest.raises(
        ValueError, match=rf"\.jsonl, line 2: {re.escape(message)}.*; restore the published file"
    ):
        load_released(builtin_spec(task), tmp_path)


@needs_released
@pytest.mark.parametrize("task", TEXT)
def test_the_published_text_files_are_read_whole(task):
    spec = released_spec(builtin_spec(task), RELEASED)
    samples = load_released(spec, RELEASED)
    assert len(samples) == spec.n_samples == 100
    with_references = [sample for sample in samples if sample.answers is not None]
    assert len(with_references) == (1 if task.startswith("w2s_") else 100)
    if task == "paraphrasing":
        assert {len(sample.facts["references"]) for sample in samples} == {5}
    if task.startswith("w2s_"):
        assert {len(sample.facts["words"]) for sample in samples} == {4}
    score = resolve_scorer(spec.scorer)
    for sample in samples:
        assert score("", sample, {}).values[spec.score] == 0.0
        (turn,) = released_messages(spec, sample)
        assert turn["role"] == "user"


@needs_released
@pytest.mark.parametrize("task", [task for task in TEXT if task.startswith("w2s_")])
def test_the_one_published_example_holds_every_word(task):
    spec = released_spec(builtin_spec(task), RELEASED)
    first = load_released(spec, RELEASED)[0]
    assert resolve_scorer(spec.scorer)(first.example, first, {}).values["inclusion"] == 1.0
