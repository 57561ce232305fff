"""Samples from files of ours, files of users, and generators."""

import fnmatch
import hashlib
import json
import time

import pytest

from task_specs.load import data_checksum, load_samples
from task_specs.sample import Enumerated, Shot
from task_specs.scoring import resolve_scorer
from task_specs.scoring.own_answers import check_own_answers
from task_specs.spec import builtin_spec, read_spec
from unit_tests.json_mutations import damaged

TASK = """id: my_task
category: mine
version: 1
prompt: Say {word}.
canvas: 16
scorer: list
score: accuracy
data: my.jsonl
"""


@pytest.fixture
def spec_of(tmp_path):
    """Return the spec of a user's task with these lines of data and these further keys."""

    def made(*lines, more="", samples=None):
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / "my.jsonl").write_text("\n".join(texts), encoding="utf-8")
        (tmp_path / "task.yaml").write_text(TASK + more, encoding="utf-8")
        return read_spec(tmp_path / "task.yaml")

    return made


def line(sample_id="a", **more):
    return {"id": sample_id, "fields": {"word": "x"}, **more}


def test_a_short_line_gets_the_defaults(spec_of):
    (sample,) = load_samples(spec_of(line()))
    assert (sample.id, sample.fields, sample.facts, sample.shots) == ("a", {"word": "x"}, {}, ())
    assert (sample.example, sample.answers, sample.template, sample.length) == (None, None, None, 1)


def test_a_full_line_is_taken_as_it_is(spec_of):
    given = line(
        facts={"k": [1]},
        shots=[{"fields": {"word": "y"}, "answer": "Y"}],
        answers=[{"text": "one", "weight": 3}, "two"],
        example="two",
        template="[MASK] [MASK]",
        length=4,
    )
    (sample,) = load_samples(spec_of(given, more="shots: 1\ninfilling: true\npositions: 2\n"))
    assert sample.answers == Enumerated(texts=("one", "two"), weights=(0.75, 0.25))
    assert sample.shots == (Shot(fields={"word": "y"}, answer="Y"),)
    assert (sample.facts, sample.example, sample.template, sample.length) == (
        {"k": [1]},
        "two",
        "[MASK] [MASK]",
        4,
    )


def test_the_first_answer_is_the_example_unless_one_is_given(spec_of):
    (sample,) = load_samples(spec_of(line(answers=["p", "q"])))
    assert (sample.example, sample.answers.weights) == ("p", (0.5, 0.5))


def test_answers_of_a_users_file_may_be_derived_from_its_facts(spec_of):
    facts = {"operation": "remove_random", "items": ["A", "B"]}
    (sample,) = load_samples(spec_of(line(facts=facts), more="answers: derived\n"))
    assert sample.answers.texts == ('["B"]', '["A"]')


def test_blank_lines_and_text_beyond_ascii_are_fine(spec_of):
    samples = load_samples(spec_of(line("é\u2028"), "", line("b"), ""))
    assert [sample.id for sample in samples] == ["é\u2028", "b"]


def test_the_checksum_of_a_users_file_is_computed_and_of_ours_is_stated(spec_of, tmp_path):
    spec = spec_of(line())
    assert data_checksum(spec) == hashlib.sha256((tmp_path / "my.jsonl").read_bytes()).hexdigest()
    assert data_checksum(builtin_spec("copy")) == builtin_spec("copy").checksum


def test_a_wrong_checksum_names_both_sums_and_the_cure(spec_of, tmp_path):
    spec = spec_of(line(), more=f"checksum: '{'0' * 64}'\n")
    found = hashlib.sha256((tmp_path / "my.jsonl").read_bytes()).hexdigest()
    message = (
        rf"task.yaml: checksum must be that of my.jsonl, got '0{{64}}'; the file has {found}; restore it"
    )
    with pytest.raises(ValueError, match=message):
        load_samples(spec)


def test_samples_are_built_once_and_anew_when_their_file_has_changed(spec_of, tmp_path):
    spec = spec_of(line())
    first = load_samples(spec)
    assert load_samples(spec_of(line())) is first
    (tmp_path / "my.jsonl").write_text(json.dumps(line(length=2)), encoding="utf-8")
    assert [sample.length for sample in load_samples(spec)] == [2]


def test_a_file_that_went_away_is_named(spec_of, tmp_path):
    spec = spec_of(line())
    (tmp_path / "my.jsonl").unlink()
    with pytest.raises(
        ValueError, match=r"task.yaml: data must be a file that exists, got 'my.jsonl'; put it"
    ):
        data_checksum(spec)


def test_the_number_of_samples_is_checked(spec_of):
    with pytest.raises(
        ValueError, match=r"task.yaml: samples must be the number of lines of the data, got 3; .* has 1"
    ):
        load_samples(spec_of(line(), more="samples: 3\n"))


BAD = {
    "json": (
        '{"id": ',
        "",
        r"my.jsonl, line 2: a line must be one JSON object, got '{\"id\": '; Expecting value at",
    ),
    "no_object": ("[]", "", r"my.jsonl, line 2: a line must be a JSON object, got \[\]; write"),
    "unknown": (
        line(fact={}),
        "",
        r"my.jsonl, line 2: fact must be a known key, got 'fact'; did you mean 'facts'\?",
    ),
    "no_id": (
        {"fields": {}},
        "",
        r"my.jsonl, line 2: id must be a text, got None; it is missing, name the sample",
    ),
    "same_id": (
        line("first"),
        "",
        r"my.jsonl, line 2: id must be there once in the file, got 'first'; rename",
    ),
    "fields": ({"id": "a", "fields": []}, "", r"line 2: fields must be a mapping, got \[\]; give a value"),
    "field": (
        {"id": "a", "fields": {"wort": 1}},
        "",
        r"fields must be a mapping with 'word', .* got \['wort'\]; add it",
    ),
    "shots": (
        line(shots=[{"answer": "y"}]),
        "",
        r"shots must be a list of {fields, answer}, got \[{'answer'",
    ),
    "n_shots": (
        line(shots=[{"fields": {}, "answer": "y"}]),
        "",
        r"shots must be 0 as in the task file, got 1; add or",
    ),
    "answers": (
        line(answers=[]),
        "",
        r"answers must be a list of texts or of {text, weight}, got \[\]; leave it out",
    ),
    "answer": (
        line(answers=[{"text": "a"}]),
        "",
        r"answers must be a list of texts or of {text, weight}, got",
    ),
    "weight": (
        line(answers=[{"text": "a", "weight": 0}]),
        "",
        r"line 2: weight must be a positive number up to 1e.09, got 0 for",
    ),
    "length": (line(length=0), "", r"line 2: length must be a whole number of 1 or more, got 0"),
    "example": (line(example=1), "", r"line 2: example must be a text, got 1"),
    "template": (line(template=1), "", r"line 2: template must be a text, got 1"),
}


@pytest.mark.parametrize(("bad", "more", "message"), BAD.values(), ids=BAD)
def test_a_mistake_in_a_line_names_place_key_rule_value_and_cure(spec_of, bad, more, message):
    with pytest.raises(ValueError, match=message):
        load_samples(spec_of(line("first"), bad, more=more))


def test_a_shot_without_a_field_of_the_prompt_is_named(spec_of):
    spec = spec_of(line(shots=[{"fields": {}, "answer": "y"}]), more="shots: 1\n")
    with pytest.raises(
        ValueError, match=r"line 1: shots must be a mapping with 'word', which the prompt shows, got \[\]"
    ):
        load_samples(spec)


@pytest.mark.parametrize("template", [None, "[MASK]"])
def test_a_template_has_a_mask_for_every_position(spec_of, template):
    spec = spec_of(line(template=template), more="infilling: true\npositions: 2\n")
    with pytest.raises(
        ValueError, match=r"line 1: template must be a text with 2 \[MASK\], got .*; one for each"
    ):
        load_samples(spec)


def test_derived_answers_are_not_stored_too_and_their_facts_are_checked(spec_of):
    with pytest.raises(
        ValueError, match=r"line 1: answers must be left out, as they are derived .*, got \['x'\]"
    ):
        load_samples(spec_of(line(answers=["x"]), more="answers: derived\n"))
    with pytest.raises(ValueError, match=r"my.jsonl, line 1: facts must hold operation, grid or symbols"):
        load_samples(spec_of(line(), more="answers: derived\n"))


def test_a_file_that_is_no_text_names_the_line(spec_of, tmp_path):
    spec = spec_of(line(), more="samples: 1\n")
    (tmp_path / "my.jsonl").write_bytes(b"{}\n\xff")
    with pytest.raises(
        ValueError, match=r"my.jsonl, line 2: the file must be UTF-8 text, got byte 3; save it"
    ):
        load_samples(spec)


def words_line(words):
    return {
        "id": "a",
        "fields": {"word": "x", "words": "?"},
        "facts": {"words": words},
        "answers": ["T c s."],
    }


def test_a_task_of_the_user_may_give_words_and_vary_their_number(spec_of, tmp_path):
    spec = spec_of(words_line(["tea", "cup", "sun"]), more="words: 3\n")
    (sample,) = load_samples(spec)
    assert (sample.fields["words"], sample.facts) == ("tea, cup, sun", {"words": ["tea", "cup", "sun"]})
    (shorter,) = load_samples(read_spec(tmp_path / "task.yaml", {"words": 1}))
    assert (shorter.fields, shorter.facts) == ({"word": "x", "words": "tea"}, {"words": ["tea"]})
    assert shorter.answers == sample.answers


@pytest.mark.parametrize("words", [None, "tea", ["tea"], ["tea", 3], ["tea", " "]], ids=repr)
def test_words_that_are_not_there_are_named(spec_of, words):
    spec = spec_of(words_line(words), more="words: 2\n")
    with pytest.raises(
        ValueError,
        match=r"my\.jsonl, line 1: facts\.words must be a list of at least 2 words, got .*; add words",
    ):
        load_samples(spec)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[" * 100_000,
            "my.jsonl, line 2: a line must be one JSON object, got '[[[*'; it is nested too deeply",
        ),
        (
            '{"id": ' + "9" * 5_000,
            "my.jsonl, line 2: a line must be one JSON object, got *; Exceeds the limit*",
        ),
        (
            '{"id": "\\ud800"}',
            "my.jsonl, line 2: a line must be one JSON object, got *; it escapes half of a *",
        ),
        (
            '{"id": "\\u001b[31m", "\\u001b": 1}',
            "my.jsonl, line 2: '\\x1b' must be a known key, got '\\x1b'; *",
        ),
        (
            f'{{"id": {list(range(9_999))}}}',
            "my.jsonl, line 2: id must be a text, got [[]0, 1, *; name the *",
        ),
    ],
    ids=["deep", "digits", "half-a-character", "escape-in-a-key", "long-value"],
)
def test_a_line_that_is_no_plain_object_is_one_short_message(spec_of, text, message):
    with pytest.raises(ValueError, match=fnmatch.translate(message)) as caught:
        load_samples(spec_of(line(), text))
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_a_data_file_of_other_bytes_is_named_with_its_line(spec_of, tmp_path):
    spec_of(line())
    (tmp_path / "my.jsonl").write_bytes(b'{"id": "a"}\n\xff\n')
    with pytest.raises(
        ValueError, match=r"my.jsonl, line 2: the file must be UTF-8 text, got byte 12; save it"
    ):
        load_samples(read_spec(tmp_path / "task.yaml"))


FULL = {
    "id": "a",
    "fields": {"word": "x"},
    "facts": {"operation": "replace_index", "items": ["A", "B", "C"], "word": "D", "index": 1},
    "shots": [{"fields": {"word": "y"}, "answer": "Y"}],
    "example": '["A", "D", "C"]',
    "length": 3,
}


@pytest.mark.slow
@pytest.mark.parametrize("more", ["answers: derived\n", ""], ids=["derived", "stored"])
def test_a_damaged_line_is_read_or_refused_in_one_message(spec_of, more):
    whole = dict(FULL) if more else {**FULL, "answers": ['["A", "D", "C"]', {"text": "[A,D,C]", "weight": 2}]}
    spec = spec_of(whole, more=f"shots: 1\n{more}")
    read = 0
    for seed in range(3_000):
        text = damaged(json.dumps(whole), seed)
        (spec.folder / "my.jsonl").write_text(text, encoding="utf-8")
        started = time.process_time()
        try:
            samples = load_samples(spec)
            check_own_answers(samples, resolve_scorer("list"), scorer="list", main="accuracy")
            read += 1
        except ValueError as error:
            said = str(error)
        else:
            said = "sample: read"
        assert said.isprintable(), text[:300]
        assert len(said) < 1_000, text[:300]
        assert time.process_time() - started < 15.0, text[:300]
    assert read > 100
