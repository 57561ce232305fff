"""Laws of the reader of published files: prompts, samples, answers, checksum, errors that say where."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from task_specs import BENCHMARK_IDS
from task_specs.released.checkout import CHECKOUT_FOLDERS
from task_specs.released.files import (
    RELEASED_FILES,
    RELEASED_VERSION,
    load_released,
    released_checksum,
    released_messages,
    released_spec,
)
from task_specs.sample import Enumerated, Permutations
from task_specs.scoring import SCORERS, resolve_scorer
from task_specs.scoring.lists import RANDOM_OPERATIONS
from task_specs.spec import builtin_spec

EXACT = tuple(task for task in RELEASED_FILES if task not in BENCHMARK_IDS["text_writing"])
RELEASED = Path(__file__).resolve().parents[3] / ".." / "shared" / "released_data"
needs_released = pytest.mark.skipif(
    not RELEASED.is_dir(), reason="the released files are not beside the checkout (../shared/released_data)"
)

SHOT = {
    "input": {"context": '["Uma Vine", "Ben West"]', "word": "New Shot"},
    "answer": {"input": ["Uma Vine", "Ben West"], "word": "New Shot", "example": '["New Shot", "Ben West"]'},
    "metadata": {"length": 2},
}
LINE = {
    "input": {"context": '["Ann Moss", "Bob Lane"]', "word": "Zoe Park", "icl_examples": [SHOT]},
    "answer": {"input": ["Ann Moss", "Bob Lane"], "word": "Zoe Park", "example": '["Ann Moss", "Zoe Park"]'},
    "output_format": '["[MASK]", "[MASK]"]',
    "metadata": {"length": 2},
}
INDEX_LINE = {
    "input": {"context": '["Ann Moss", "Bob Lane"]', "index": 1},
    "answer": '["Ann Moss"]',
    "metadata": {"length": 2},
}
SQUARE_LINE = {
    "input": {"symbols": "[A, B]"},
    "answer": {"symbols": ["A", "B"], "example": "A,B\nB,A"},
    "metadata": {"length": 2},
}
TEMPLATE = "Replace one by {word}:\\n{context}\nDone."


def write(folder, group, name, lines, prompt=TEMPLATE, key=None):
    (folder / group).mkdir(exist_ok=True)
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
    (folder / group / f"{name}.jsonl").write_text(text + "\n", encoding="utf-8")
    config = json.dumps({key or f"{group}/{name}": {"prompt": prompt}})
    (folder / group / "task_config.yaml").write_text(config, encoding="utf-8")
    return folder


def changed(line, **changes):
    """Return *line* with dotted keys set (``answer__input``), or removed where the value is Ellipsis."""
    line = json.loads(json.dumps(line))
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = line
        for parent in parents:
            target = target[parent]
        if value is ...:
            del target[last]
        else:
            target[last] = value
    return line


def test_a_released_spec_takes_prompt_scorer_and_text_rule_from_the_published_side(tmp_path):
    own = builtin_spec("replace_random")
    spec = released_spec(own, write(tmp_path, "waiting_line", "replace_random", [LINE, "", LINE]))
    assert (spec.id, spec.base_id, spec.category, spec.canvas, spec.score) == (
        own.id,
        own.base_id,
        own.category,
        own.canvas,
        own.score,
    )
    assert spec.prompt == TEMPLATE
    assert (spec.scorer, spec.text_rule, spec.version) == ("released_list", "whole_canvas", RELEASED_VERSION)
    assert (spec.n_samples, spec.shots, spec.generator, spec.floor) == (2, 1, None, None)
    assert spec.checksum == released_checksum(own, tmp_path)
    assert released_spec(spec, tmp_path) == spec


def test_the_checksum_is_that_of_the_data_and_the_template(tmp_path):
    own = builtin_spec("replace_random")
    write(tmp_path, "waiting_line", "replace_random", [LINE])
    data = (tmp_path / "waiting_line" / "replace_random.jsonl").read_bytes()
    first = released_checksum(own, tmp_path)
    assert first == hashlib.sha256(data + TEMPLATE.encode()).hexdigest()
    write(tmp_path, "waiting_line", "replace_random", [LINE], prompt=TEMPLATE + " ")
    assert released_checksum(own, tmp_path) != first


def test_a_line_becomes_a_sample_with_derived_answers_and_a_shot(tmp_path):
    own = builtin_spec("replace_random")
    (sample,) = load_released(own, write(tmp_path, "waiting_line", "replace_random", [LINE]))
    assert sample.id == "line-001"
    assert sample.fields == {"context": '["Ann Moss", "Bob Lane"]', "word": "Zoe Park"}
    items = ["Ann Moss", "Bob Lane"]
    assert sample.facts == {"operation": "replace_random", "items": items, "word": "Zoe Park"}
    assert sample.answers == Enumerated(
        texts=('["Zoe Park", "Bob Lane"]', '["Ann Moss", "Zoe Park"]'), weights=(0.5, 0.5)
    )
    assert (sample.example, sample.template, sample.length) == ('["Ann Moss", "Zoe Park"]', None, 2)
    (shot,) = sample.shots
    assert shot.fields == {"context": '["Uma Vine", "Ben West"]', "word": "New Shot"}
    assert shot.answer == '["New Shot", "Ben West"]'


def test_messages_fill_the_template_and_then_turn_backslash_n_into_a_newline(tmp_path):
    own = builtin_spec("replace_random")
    write(tmp_path, "waiting_line", "replace_random", [LINE])
    spec = released_spec(own, tmp_path)
    (sample,) = load_released(spec, tmp_path)
    assert released_messages(spec, sample) == [
        {"role": "user", "content": 'Replace one by New Shot:\n["Uma Vine", "Ben West"]\nDone.'},
        {"role": "assistant", "content": '["New Shot", "Ben West"]'},
        {"role": "user", "content": 'Replace one by Zoe Park:\n["Ann Moss", "Bob Lane"]\nDone.'},
    ]


def test_the_label_of_an_index_task_is_its_only_answer_whatever_our_rule_says(tmp_path):
    one_based = changed(INDEX_LINE, answer='["Bob Lane"]')
    write(tmp_path, "waiting_line", "remove_index", [one_based], prompt="{context} {index}")
    (sample,) = load_released(builtin_spec("remove_index"), tmp_path)
    assert sample.answers == Enumerated(texts=('["Bob Lane"]',), weights=(1.0,))
    assert SCORERS["released_list"]('["Bob Lane"]', sample, {}).values["accuracy"] == 1.0
    assert SCORERS["list"]('["Bob Lane"]', sample, {}).values["accuracy"] == 0.0


def test_lines_of_fifteen_people_come_from_their_own_group(tmp_path):
    people = [f"A{i} B{i}" for i in range(15)]
    line = {"input": {"context": json.dumps(people)}, "metadata": {"length": 15}}
    line["answer"] = {"input": people, "example": json.dumps(people[::-1])}
    write(tmp_path, "waiting_line_n15", "shuffle", [line], prompt="{context}")
    spec = released_spec(builtin_spec("shuffle", {"n": 15}), tmp_path)
    assert (spec.id, spec.canvas, spec.shots) == ("shuffle_n15", 128, 0)
    (sample,) = load_released(spec, tmp_path)
    assert isinstance(sample.answers, Permutations)
    assert sample.answers.exclude_input
    with pytest.raises(FileNotFoundError, match="must be in the folder 'waiting_line' of "):
        released_spec(builtin_spec("shuffle"), tmp_path)


@pytest.mark.parametrize("n_words", [1, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("level", ["easy", "hard"])
def test_sentences_of_every_published_number_of_words_have_a_file(tmp_path, level, n_words):
    words = [f"word{place}" for place in range(n_words)]
    line = {"input": {"words": ", ".join(words)}, "answer": {"words": words}, "metadata": {}}
    name = level if n_words == 4 else f"{level}_n{n_words}"
    write(tmp_path, "words_to_sentence", name, [line], prompt="Use {words}.")
    spec = released_spec(builtin_spec(f"w2s_{level}", {"words": n_words}), tmp_path)
    (sample,) = load_released(spec, tmp_path)
    assert (sample.facts["words"], sample.length, sample.answers) == (words, n_words, None)
    assert released_messages(spec, sample)[-1]["content"] == f"Use {', '.join(words)}."


@pytest.mark.parametrize("below", CHECKOUT_FOLDERS)
def test_the_root_of_a_checkout_is_as_good_as_the_folder_of_the_groups(tmp_path, below):
    groups = tmp_path / below
    groups.mkdir(parents=True)
    write(groups, "waiting_line", "replace_random", [LINE])
    own = builtin_spec("replace_random")
    assert load_released(own, tmp_path) == load_released(own, groups)
    assert released_checksum(own, tmp_path) == released_checksum(own, groups)
    write(tmp_path, "waiting_line", "replace_random", [LINE, LINE])
    assert released_spec(own, tmp_path).n_samples == 2, "the folder itself comes first"


def test_another_canvas_is_the_same_data(tmp_path):
    write(tmp_path, "waiting_line", "replace_random", [LINE])
    spec = released_spec(builtin_spec("replace_random", {"canvas": 64}), tmp_path)
    assert (spec.canvas, spec.n_samples) == (64, 1)


@pytest.mark.parametrize(
    ("task", "params", "message"),
    [
        ("list_copy", {}, "task must be one that was released, got 'list_copy'; released are copy, sort, "),
        (
            "shuffle",
            {"n": 7},
            "must be n=15 of a waiting line or words=1,3,4,5,6,7 of words-to-sentence, got 'shuffle_n7'; ",
        ),
        ("shuffle", {"n": 15, "samples": 5}, "got 'shuffle_n15_samples5'; leave its parameters out"),
        ("copy", {"cot": True}, "got 'copy_cot'; leave its parameters out"),
        ("sudoku", {"blanks": 4}, "got 'sudoku_blanks4'; leave its parameters out"),
        ("w2s_easy", {"words": 2}, "words=1,3,4,5,6,7 of words-to-sentence, got 'w2s_easy_words2'; leave"),
    ],
    ids=["list-op", "other-length", "other-sample-count", "chain-of-thought", "other-blanks", "two-words"],
)
def test_what_was_not_released_is_refused(tmp_path, task, params, message):
    with pytest.raises(LookupError, match=re.escape(message)):
        released_spec(builtin_spec(task, params), tmp_path)


def test_a_missing_folder_or_file_is_named_with_the_cure(tmp_path):
    own = builtin_spec("replace_random")
    cure = "give DIR/GROUP/NAME.jsonl beside DIR/GROUP/task_config.yaml, .* or the root of a Par"
    with pytest.raises(FileNotFoundError, match=f"folder 'waiting_line' of .*, got no such folder; {cure}"):
        load_released(own, tmp_path)
    write(tmp_path, "waiting_line", "replace_random", [LINE])
    (tmp_path / "waiting_line" / "task_config.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=f"hold the file .*task_config.yaml', got none; {cure}"):
        load_released(own, tmp_path)
    (tmp_path / "waiting_line" / "replace_random.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=f"hold the file .*replace_random.jsonl', got none; {cure}"):
        load_released(own, tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "waiting_line/copy:\n  prompt: hi\n",
            "waiting_line/replace_random.prompt must be the template of a prompt, got None",
        ),
        (
            "waiting_line/replace_random:\n  type: replace\n  prompt: [a]\n",
            "task_config.yaml, line 3: waiting_line/replace_random.prompt must be the template of a prompt",
        ),
        (
            "waiting_line/replace_random:\n  prompt: 'a {word'\n",
            "task_config.yaml, line 2: prompt must be a template with paired braces, got 'a {word'",
        ),
        ("waiting_line/replace_random: [\n", "task_config.yaml, line 2: the file must be plain YAML"),
        ("[]", "task_config.yaml: the file must be a mapping"),
    ],
    ids=["no-entry", "no-text", "open-brace", "no-yaml", "no-mapping"],
)
def test_a_malformed_file_of_templates_is_named_with_line_and_key(tmp_path, config, message):
    write(tmp_path, "waiting_line", "replace_random", [LINE])
    (tmp_path / "waiting_line" / "task_config.yaml").write_text(config, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        released_spec(builtin_spec("replace_random"), tmp_path)


RANDOM, INDEX, SQUARE, SUDOKU = "replace_random", "remove_index", "latin_square", "sudoku"
GRID = "0042\n2031\n4023\n3214"
GRID_LINE = {"input": {"sudoku": GRID}, "answer": "1342\n2431\n4123\n3214", "metadata": {"length": 12}}
BAD_LINES = {
    "no-json": (RANDOM, "{", "the line must be JSON (Expecting property name"),
    "no-object": (RANDOM, "[]", "the line must be a JSON object, got []"),
    "no-input": (RANDOM, changed(LINE, input=...), "input must be a JSON object, got None"),
    "field-missing": (
        RANDOM,
        changed(LINE, input__word=...),
        "input.word must be given, as the template shows it",
    ),
    "shots-no-list": (
        RANDOM,
        changed(LINE, input__icl_examples={}),
        "input.icl_examples must be a JSON list, got {}",
    ),
    "shot-no-object": (
        RANDOM,
        changed(LINE, input__icl_examples=[SHOT, 3]),
        "input.icl_examples[1] must be a JSON object, got 3",
    ),
    "shot-field": (
        RANDOM,
        changed(LINE, input__icl_examples=[changed(SHOT, input__word=...)]),
        "input.word must be given, as the template shows it, got None",
    ),
    "no-answer": (RANDOM, changed(LINE, answer=...), "answer must be a JSON object, got None"),
    "no-example": (RANDOM, changed(LINE, answer__example=...), "answer.example must be a text, got None"),
    "answer-input": (
        RANDOM,
        changed(LINE, answer__input="Ann"),
        "answer.input must be a JSON list of texts, got 'Ann'",
    ),
    "answer-word": (RANDOM, changed(LINE, answer__word=...), "word must be a text, got None"),
    "no-metadata": (RANDOM, changed(LINE, metadata=...), "metadata must be a JSON object, got None"),
    "length-true": (
        RANDOM,
        changed(LINE, metadata__length=True),
        "metadata.length must be a whole number, got True",
    ),
    "context-no-text": (
        INDEX,
        changed(INDEX_LINE, input__context=[]),
        "input.context must be a text, got []",
    ),
    "context-no-json": (
        INDEX,
        changed(INDEX_LINE, input__context="[Ann]"),
        "input.context must be a JSON list of texts",
    ),
    "context-numbers": (
        INDEX,
        changed(INDEX_LINE, input__context="[1]"),
        "input.context must be a JSON list of texts",
    ),
    "index-too-large": (
        INDEX,
        changed(INDEX_LINE, input__index=2),
        "index must be a whole number from 0 to 1, got 2",
    ),
    "label-no-text": (INDEX, changed(INDEX_LINE, answer=[]), "answer must be a text, got []"),
    "symbols": (
        SQUARE,
        changed(SQUARE_LINE, answer__symbols=[1, 2]),
        "answer.symbols must be a JSON list of texts",
    ),
    "symbols-alike": (
        SQUARE,
        changed(SQUARE_LINE, answer__symbols=["A", "A"]),
        "symbols must be a list of 1 to 4 diff",
    ),
    "grid-no-text": (
        SUDOKU,
        changed(GRID_LINE, input__sudoku=12),
        "input.sudoku must be four lines of four digits",
    ),
    "label-no-grid": (SUDOKU, changed(GRID_LINE, answer="1342"), "answer must be four lines of four digits"),
}


@pytest.mark.parametrize(("task", "line", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_malformed_line_is_named_with_file_line_and_key(tmp_path, task, line, message):
    good = {RANDOM: LINE, INDEX: INDEX_LINE, SQUARE: SQUARE_LINE, SUDOKU: GRID_LINE}[task]
    prompt = {
        RANDOM: "{word} {context}",
        INDEX: "{context} {index}",
        SQUARE: "{symbols}",
        SUDOKU: "{sudoku}",
    }[task]
    group, name = RELEASED_FILES[task]
    write(tmp_path, group, name, [good, line], prompt=prompt)
    with pytest.raises(ValueError, match=rf"{name}\.jsonl, line 2.*: {re.escape(message)}"):
        load_released(builtin_spec(task), tmp_path)


def test_an_empty_file_and_another_encoding_are_refused(tmp_path):
    own = builtin_spec("replace_random")
    write(tmp_path, "waiting_line", "replace_random", [""])
    with pytest.raises(
        ValueError, match=r"replace_random\.jsonl: the file must hold one JSON object a line, got none"
    ):
        load_released(own, tmp_path)
    (tmp_path / "waiting_line" / "replace_random.jsonl").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(
        ValueError, match="the file must be UTF-8 text, got byte 7; restore the published file"
    ):
        load_released(own, tmp_path)


@needs_released
@pytest.mark.parametrize("task", EXACT)
def test_every_published_label_and_answer_scores_one_under_the_released_scorer(task):
    spec = released_spec(builtin_spec(task), RELEASED)
    samples = load_released(spec, RELEASED)
    scorer = resolve_scorer(spec.scorer)
    assert len(samples) == spec.n_samples == (108 if task == "sudoku" else 100)
    assert spec.shots == 1
    for sample in samples:
        assert sample.example in sample.answers.texts
        texts = sample.answers.texts if task in RANDOM_OPERATIONS else (sample.example,)
        for text in texts:
            assert scorer(text, sample, {}).values == {"accuracy": 1.0, "accuracy_strict": 1.0}


@needs_released
def test_published_prompts_come_out_as_published():
    spec = released_spec(builtin_spec("sudoku"), RELEASED)
    chat = released_messages(spec, load_released(spec, RELEASED)[0])
    assert [turn["role"] for turn in chat] == ["user", "assistant", "user"]
    assert chat[-1]["content"].endswith(".\n\nInput:\n0042\n2031\n4023\n3214\nOutput:\n")
    assert chat[1]["content"] == "1342\n4213\n2134\n3421"


@needs_released
def test_published_samples_are_stratified_by_length():
    samples = load_released(builtin_spec("copy"), RELEASED)
    assert [sample.length for sample in samples] == [3] * 25 + [4] * 25 + [5] * 25 + [6] * 25


def test_an_error_in_a_shot_names_the_shot(tmp_path):
    line = changed(LINE, input__icl_examples=[SHOT, changed(SHOT, answer=3)])
    write(tmp_path, "waiting_line", "replace_random", [line])
    with pytest.raises(ValueError, match=r"jsonl, line 1, shot 2: answer must be a text, got 3; restore the"):
        load_released(builtin_spec("replace_random"), tmp_path)
