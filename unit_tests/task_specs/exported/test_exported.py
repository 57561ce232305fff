"""Laws of exported data: our schema, the user's mapping, what each task needs, errors that say where."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.exported.files import (
    EXPORTED_VERSION,
    exported_checksum,
    exported_spec,
    load_exported,
    variant_text,
)
from task_specs.exported.lines import FACT_RULES
from task_specs.exported.mapping import FACTS, KEYS, read_mapping
from task_specs.sample import Enumerated
from task_specs.scoring import SCORERS
from task_specs.spec import builtin_spec
from unit_tests.pages import blocks, page

PEOPLE = ["Ann Moss", "Bob Lane", "Cy Reed"]
LIST = json.dumps(PEOPLE)
LINES = {
    "insert_index": {"answer": ["Ann Moss", "Zoe Park", "Bob Lane", "Cy Reed"]},
    "copy": {"answer": LIST},
    "shuffle": {"facts": {"items": LIST}},
    "remove_random": {"facts": {"items": PEOPLE}, "answer": '["Ann Moss", "Bob Lane"]'},
    "replace_random": {"facts": {"items": PEOPLE, "word": "Zoe Park"}},
    "latin_square": {"facts": {"symbols": ["A", "B"]}},
    "sudoku": {"answer": ["1234", "3412", "2143", "4321"]},
    "w2s_easy": {"facts": {"words": ["tea", "cup"]}, "answer": "A cup of tea."},
    "paraphrasing": {"facts": {"text": "It rains."}, "answer": ["Rain falls.", "It is wet."]},
    "summarization": {"answer": "They meet."},
}
RIGHT = {
    "insert_index": '["Ann Moss", "Zoe Park", "Bob Lane", "Cy Reed"]',
    "copy": LIST,
    "shuffle": json.dumps(PEOPLE[::-1]),
    "remove_random": json.dumps(PEOPLE[1:]),
    "replace_random": '["Ann Moss", "Zoe Park", "Cy Reed"]',
    "latin_square": "B,A\nA,B",
    "sudoku": "1234\n3412\n2143\n4321",
}


def export(folder, *lines, mapping=None):
    file = folder / "export.jsonl"
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    beside = folder / "export.yaml"
    beside.unlink(missing_ok=True)
    if mapping is not None:
        beside.write_text(mapping)
    return file


def line_of(task, **changes):
    return {"task": task, "prompt": "Do it.", **LINES[task], **changes}


def samples_of(folder, task, *lines, mapping=None):
    return load_exported(builtin_spec(task), export(folder, *lines, mapping=mapping))


def test_every_fact_has_a_rule():
    assert set(FACT_RULES) == set(FACTS)


@pytest.mark.parametrize("task", LINES)
def test_a_line_in_our_schema_is_a_sample_whose_right_answer_scores_1(tmp_path, task):
    file = export(tmp_path, line_of(task), line_of(task, id="mine"))
    spec = exported_spec(builtin_spec(task), file)
    first, second = load_exported(builtin_spec(task), file)
    assert (first.id, second.id, spec.n_samples) == ("line-001", "mine", 2)
    assert first.fields["messages"] == ({"role": "user", "content": "Do it."},)
    assert (spec.version, spec.text_rule, spec.floor) == (EXPORTED_VERSION, "whole_canvas", None)
    if task in RIGHT:
        assert SCORERS[spec.scorer](RIGHT[task], first, {}).values["accuracy"] == 1.0
        assert RIGHT[task] in first.answers.texts
        wrong = SCORERS[spec.scorer]('["Zoe Park"]', first, {})
        assert wrong.values["accuracy"] == 0.0


def test_references_of_a_text_task_are_its_answers(tmp_path):
    (sample,) = samples_of(tmp_path, "paraphrasing", line_of("paraphrasing"))
    assert sample.answers == Enumerated(texts=("Rain falls.", "It is wet."), weights=(0.5, 0.5))
    (sample,) = samples_of(tmp_path, "w2s_easy", line_of("w2s_easy", answer=None))
    assert (sample.answers, sample.example) == (None, None)


def test_a_mapping_reads_the_layout_of_somebody_else(tmp_path):
    line = {
        "doc": {
            "messages": [
                {"role": "user", "content": "Shot", "extra": 1},
                {"role": "assistant", "content": "[]"},
                {"role": "user", "content": "Question"},
            ],
            "label": {"input": PEOPLE, "word": "Zoe Park", "example": '["Ann Moss", "Zoe Park", "Cy Reed"]'},
        },
        "score": 1.0,
        "bench": "wl/replace",
    }
    mapping = (
        "tasks: {wl/replace: replace_random}\ntext_rule: first_eos\nkeys:\n  task: bench\n"
        "  messages: doc.messages\n  answer: doc.label.example\n  facts.items: doc.label.input\n"
        "  facts.word: doc.label.word\n"
    )
    file = export(tmp_path, line, mapping=mapping)
    spec, (sample,) = (
        exported_spec(builtin_spec("replace_random"), file),
        samples_of(tmp_path, "replace_random", line, mapping=mapping),
    )
    assert [turn["content"] for turn in sample.fields["messages"]] == ["Shot", "[]", "Question"]
    assert all(set(turn) == {"role", "content"} for turn in sample.fields["messages"])
    assert sample.facts["items"] == PEOPLE
    assert sample.length == 3
    assert spec.text_rule == "first_eos"
    assert len(sample.answers.texts) == 3


def test_one_task_may_be_named_for_the_whole_file_and_be_a_variant(tmp_path):
    long = builtin_spec("copy", {"n": 15})
    file = export(
        tmp_path, {"prompt": "Copy.", "answer": PEOPLE}, mapping="task: x\ntasks: {x: 'copy:n=15'}\n"
    )
    assert exported_spec(long, file).id == "copy_n15"
    with pytest.raises(LookupError, match=r"must be one that .* holds, got 'copy'; it holds copy_n15 "):
        load_exported(builtin_spec("copy"), file)


@pytest.mark.parametrize(
    "text", ["shuffle", "copy:n=15", "copy:n=5,canvas=64", "w2s_easy:words=3", "sudoku:blanks=4"]
)
def test_a_mapped_task_has_the_id_that_the_plan_gives_it(text):
    name, _, params = text.partition(":")
    given = dict(part.split("=") for part in params.split(",")) if params else {}
    assert variant_text(text) == builtin_spec(name, given).id


def test_the_checksum_is_of_the_task_alone_and_of_how_it_is_read(tmp_path):
    spec = builtin_spec("copy")
    alone = exported_checksum(spec, export(tmp_path, line_of("copy")))
    with_others = exported_checksum(spec, export(tmp_path, line_of("copy"), line_of("sudoku")))
    changed = exported_checksum(spec, export(tmp_path, line_of("copy", prompt="Copy it.")))
    mapped = exported_checksum(spec, export(tmp_path, line_of("copy"), mapping="text_rule: first_eos\n"))
    assert alone == with_others
    assert len({alone, changed, mapped}) == 3


FAULTS = {
    "no-json": ("copy", "{", None, r"export\.jsonl, line 1: the line must be JSON, got '\{'; "),
    "no-object": ("copy", "[]", None, r"line 1: the line must be a JSON object, got \[\]; export it again"),
    "no-task": (
        "copy",
        {"prompt": "x"},
        None,
        "line 1: task must be the name of a task, got None; add it to the line",
    ),
    "unknown-key": (
        "copy",
        line_of("copy", promt="x"),
        None,
        "line 1: promt must be a known key, got 'promt'; Known keys",
    ),
    "unknown-fact": ("copy", line_of("copy", facts={"item": 1}), None, r"facts\.item must be a known key"),
    "both": (
        "copy",
        line_of("copy", messages=[]),
        None,
        "prompt or messages must be given, one of the two, got 'bo",
    ),
    "neither": (
        "copy",
        {"task": "copy", "answer": LIST},
        None,
        "prompt or messages must be given, one of the two, got 'neither'",
    ),
    "blank-prompt": (
        "copy",
        line_of("copy", prompt=" "),
        None,
        "line 1: prompt must be a text, got ' '; write the question",
    ),
    "bad-messages": (
        "copy",
        line_of("copy", prompt=None, messages=[{"role": "user"}]),
        None,
        "messages must be a list of {ro",
    ),
    "bad-answer": (
        "copy",
        line_of("copy", answer=3),
        None,
        "answer must be the list, as text or as its items, got 3; add",
    ),
    "mapped-answer": (
        "copy",
        line_of("copy", answer=None),
        "keys: {answer: a.b}",
        r"answer \(mapped to a\.b\) must be the",
    ),
    "no-grid": (
        "sudoku",
        line_of("sudoku", answer=None),
        None,
        "answer must be the solved grid, as text or as its rows",
    ),
    "no-summary": (
        "summarization",
        line_of("summarization", answer=None),
        None,
        "answer must be the summary, or a list",
    ),
    "bad-references": (
        "paraphrasing",
        line_of("paraphrasing", answer=1),
        None,
        "answer must be a text or a list of texts",
    ),
    "no-text": (
        "paraphrasing",
        line_of("paraphrasing", facts={}),
        None,
        r"facts\.text must be given for paraphrasing",
    ),
    "bad-items": (
        "shuffle",
        line_of("shuffle", facts={"items": "x"}),
        None,
        r"facts\.items must be a list of texts, got",
    ),
    "no-items": (
        "shuffle",
        line_of("shuffle", facts={}),
        None,
        r"facts\.items must be given for shuffle, got None; add",
    ),
    "no-word": (
        "replace_random",
        line_of("replace_random", facts={"items": PEOPLE}),
        None,
        r"facts\.word must be given for replace_random, got None; .* \(keys: facts\.word: PATH\)",
    ),
    "bad-symbols": (
        "latin_square",
        line_of("latin_square", facts={"symbols": ["A", "A"]}),
        None,
        "symbols must be a list of",
    ),
    "bad-id": ("copy", line_of("copy", id=[1]), None, "line 1: id must be a text or a whole number"),
    "bad-length": (
        "copy",
        line_of("copy", length=0),
        None,
        "line 1: length must be a whole number of 1 or more, got 0",
    ),
    "mapping-key": (
        "copy",
        line_of("copy"),
        "keys: {anser: x}",
        r"export\.yaml, line 1: keys must be a mapping of our keys",
    ),
    "mapping-name": (
        "copy",
        line_of("copy"),
        "key: {answer: x}",
        r"export\.yaml, line 1: key must be a known key",
    ),
    "mapping-rule": (
        "copy",
        line_of("copy"),
        "text_rule: all",
        "text_rule must be one of first_eos, whole_canvas, got 'all'",
    ),
    "mapping-tasks": (
        "copy",
        line_of("copy"),
        "tasks: [x]",
        "tasks must be a mapping of a task's name in the file to a task",
    ),
}


@pytest.mark.parametrize(("task", "line", "mapping", "message"), FAULTS.values(), ids=FAULTS)
def test_every_fault_names_place_key_rule_value_and_cure(tmp_path, task, line, mapping, message):
    with pytest.raises(ValueError, match=message):
        samples_of(tmp_path, task, line, mapping=mapping)


def test_an_id_that_is_there_twice_and_an_empty_or_missing_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="line 2: id must be there once for a task, got 'a'; rename one"):
        samples_of(tmp_path, "copy", line_of("copy", id="a"), line_of("copy", id="a"))
    with pytest.raises(
        ValueError, match=r"export\.jsonl: the file must hold one JSON object a line, got none"
    ):
        samples_of(tmp_path, "copy")
    (tmp_path / "export.jsonl").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"export\.jsonl: the file must be UTF-8 text, got byte 0"):
        load_exported(builtin_spec("copy"), tmp_path / "export.jsonl")
    (tmp_path / "export.yaml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"export\.yaml: the file must be UTF-8 text, got byte 0"):
        load_exported(builtin_spec("copy"), tmp_path / "export.jsonl")
    with pytest.raises(FileNotFoundError, match="--pb-data must be a file that exists"):
        load_exported(builtin_spec("copy"), tmp_path / "none.jsonl")


def test_a_task_that_is_not_of_the_benchmark_is_described_by_its_own_file(tmp_path):
    with pytest.raises(LookupError, match=r"one of the 17 .*, got 'list_copy'; describe any other task"):
        load_exported(builtin_spec("list_copy"), export(tmp_path, line_of("copy")))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.sampled_from(["Ann B", LIST]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


@given(
    task=st.sampled_from(sorted(LINES)), changes=st.dictionaries(st.sampled_from(KEYS[1:6]), JSON), facts=JSON
)
def test_any_line_is_a_sample_or_one_error_with_its_place(tmp_path_factory, task, changes, facts):
    folder = tmp_path_factory.mktemp("any")
    line = line_of(task, **changes) | ({"facts": facts} if facts is not None else {})
    try:
        (sample,) = samples_of(folder, task, line)
    except ValueError as error:
        problem = str(error)
    else:
        problem = None
        assert sample.fields["messages"][-1]["role"] == "user"
    assert problem is None or re.match(r".*export\.jsonl, line 1: ", problem)


def test_a_file_without_a_mapping_reads_our_own_keys(tmp_path):
    mapping = read_mapping(export(tmp_path, line_of("copy")))
    assert not mapping.is_given
    assert mapping.value({"facts": {"word": "x"}}, "facts.word") == "x"
    assert mapping.value({"facts": 3}, "facts.word") is None


def test_the_mapping_of_the_page_reads_a_log_of_that_layout(tmp_path):
    mapping = next(block for block in blocks("yaml", page("tasks")) if "doc.messages" in block)
    label = {"input": PEOPLE, "word": "Zoe Park"}
    line = {"doc_id": 0, "doc": {"messages": [{"role": "user", "content": "Q"}], "label": label}, "nfe": 3.0}
    (sample,) = samples_of(tmp_path, "replace_random", line, mapping=mapping)
    assert sample.facts["word"] == "Zoe Park"
