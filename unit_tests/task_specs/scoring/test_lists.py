"""Laws of the list scorers: hand-made tables, agreement with the answer sets, published twins, names."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.answers import OPERATIONS, list_answers
from task_specs.sample import Enumerated, Sample
from task_specs.scoring import SCORER_VERSIONS, SCORERS, Scored, answer_text, resolve_scorer, unfenced
from task_specs.scoring.lists import RANDOM_OPERATIONS, list_items

ITEMS = ["Ann Moss", "Bob Lane", "Cid Abel"]
PEOPLE = ["Ann Moss", "Bob Lane", "Cid Abel", "Dee Fox", "Eve Kerr", "Gus Hill", "Ida Beck"]


def list_sample(operation, items=ITEMS, example=None, **facts):
    return Sample(
        id="n3-000",
        fields={},
        facts={"operation": operation, "items": items, **facts},
        shots=(),
        example=example,
        answers=None,
        template=None,
        length=len(items),
    )


COPY = list_sample("copy", example='["Ann Moss", "Bob Lane", "Cid Abel"]')
SORT = list_sample("sort")
REVERSE = list_sample("reverse")
SHUFFLE = list_sample("shuffle", exclude_input=True)
ANY_ORDER = list_sample("shuffle", exclude_input=False)
REPLACE_INDEX = list_sample("replace_index", word="Zoe Park", index=0)
REPLACE_RANDOM = list_sample("replace_random", word="Zoe Park")
INSERT_INDEX = list_sample("insert_index", word="Zoe Park", index=3)
INSERT_RANDOM = list_sample("insert_random", word="Zoe Park")
REMOVE_INDEX = list_sample("remove_index", index=1)
REMOVE_RANDOM = list_sample("remove_random")
REMOVE_LAST_ONE = list_sample("remove_random", items=["Ann Moss"])

ODD = ["Smith, Jr.", 'Al "Bo" Cox', "[x]", "a\\b", "José", "]", "a\tb", ""]
ODD_COPY = list_sample("copy", items=ODD)

OWN = {
    "odd-items-exact": (ODD_COPY, json.dumps(ODD, ensure_ascii=False), 1, 1),
    "odd-items-escaped-letters": (ODD_COPY, json.dumps(ODD), 1, 1),
    "odd-items-words-around": (ODD_COPY, f"The list: {json.dumps(ODD)}.", 1, 0),
    "odd-items-after-another-list": (ODD_COPY, f'["no", "[]"] and {json.dumps(ODD)}', 1, 0),
    "odd-items-before-another-list": (ODD_COPY, f'{json.dumps(ODD)} or ["no"]', 0, 0),
    "odd-items-before-a-list-that-is-not-json": (ODD_COPY, f"{json.dumps(ODD)} or [no]", 0, 0),
    "odd-items-fenced": (ODD_COPY, f"```json\n{json.dumps(ODD)}\n```", 1, 0),
    "odd-items-one-wrong": (ODD_COPY, json.dumps([*ODD[:-1], "x"]), 0, 0),
    "copy-exact": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel"]', 1, 1),
    "copy-words-around": (COPY, 'The list: ["Ann Moss", "Bob Lane", "Cid Abel"].', 1, 0),
    "copy-fenced": (COPY, '```json\n["Ann Moss", "Bob Lane", "Cid Abel"]\n```', 1, 0),
    "copy-end-of-line": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel"]\n', 1, 0),
    "copy-single-quotes": (COPY, "['Ann Moss', 'Bob Lane', 'Cid Abel']", 1, 0),
    "copy-no-quotes": (COPY, "[Ann Moss,Bob Lane ,  Cid Abel]", 1, 0),
    "copy-curly-quotes": (COPY, "[“Ann Moss”, \u2018Bob Lane\u2019, Cid Abel]", 1, 0),
    "copy-several-lines": (COPY, '[\n  "Ann Moss",\n  "Bob Lane",\n  "Cid Abel"\n]', 1, 0),
    "copy-comma-at-the-end": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel",]', 1, 0),
    "copy-last-list-counts": (COPY, '["Bob Lane"] and then ["Ann Moss", "Bob Lane", "Cid Abel"]', 1, 0),
    "copy-an-earlier-list-does-not": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel"] or ["Bob Lane"]', 0, 0),
    "copy-nested": (COPY, '[["Ann Moss", "Bob Lane", "Cid Abel"]]', 1, 0),
    "copy-without-brackets": (COPY, '"Ann Moss", "Bob Lane", "Cid Abel"', 0, 0),
    "copy-never-closed": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel"', 0, 0),
    "copy-never-opened": (COPY, '"Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "copy-lower-case": (COPY, '["ann moss", "bob lane", "cid abel"]', 0, 0),
    "copy-one-missing": (COPY, '["Ann Moss", "Bob Lane"]', 0, 0),
    "copy-one-twice": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel", "Cid Abel"]', 0, 0),
    "copy-empty-item": (COPY, '["Ann Moss", "", "Bob Lane", "Cid Abel"]', 0, 0),
    "copy-empty-output": (COPY, "", 0, 0),
    "copy-empty-list": (COPY, "[]", 0, 0),
    "sort-by-last-name": (SORT, '["Cid Abel", "Bob Lane", "Ann Moss"]', 1, 1),
    "sort-by-full-name": (SORT, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "reverse": (REVERSE, '["Cid Abel", "Bob Lane", "Ann Moss"]', 1, 1),
    "reverse-not-done": (REVERSE, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "shuffle": (SHUFFLE, '["Bob Lane", "Ann Moss", "Cid Abel"]', 1, 1),
    "shuffle-input": (SHUFFLE, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "shuffle-input-allowed": (ANY_ORDER, '["Ann Moss", "Bob Lane", "Cid Abel"]', 1, 1),
    "shuffle-one-twice": (SHUFFLE, '["Bob Lane", "Ann Moss", "Ann Moss"]', 0, 0),
    "shuffle-one-too-many": (SHUFFLE, '["Bob Lane", "Ann Moss", "Cid Abel", "Ann Moss"]', 0, 0),
    "replace-index": (REPLACE_INDEX, '["Zoe Park", "Bob Lane", "Cid Abel"]', 1, 1),
    "replace-index-counted-from-one": (REPLACE_INDEX, '["Ann Moss", "Zoe Park", "Cid Abel"]', 0, 0),
    "replace-random-first": (REPLACE_RANDOM, '["Zoe Park", "Bob Lane", "Cid Abel"]', 1, 1),
    "replace-random-last": (REPLACE_RANDOM, '["Ann Moss", "Bob Lane", "Zoe Park"]', 1, 1),
    "replace-random-two": (REPLACE_RANDOM, '["Zoe Park", "Bob Lane", "Zoe Park"]', 0, 0),
    "replace-random-none": (REPLACE_RANDOM, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "replace-random-by-another": (REPLACE_RANDOM, '["Zoe Parks", "Bob Lane", "Cid Abel"]', 0, 0),
    "replace-random-and-one-more": (REPLACE_RANDOM, '["Zoe Park", "Bob Lane", "Cid Abel", "Ann Moss"]', 0, 0),
    "insert-index-at-the-end": (INSERT_INDEX, '["Ann Moss", "Bob Lane", "Cid Abel", "Zoe Park"]', 1, 1),
    "insert-index-elsewhere": (INSERT_INDEX, '["Ann Moss", "Bob Lane", "Zoe Park", "Cid Abel"]', 0, 0),
    "insert-random-front": (INSERT_RANDOM, '["Zoe Park", "Ann Moss", "Bob Lane", "Cid Abel"]', 1, 1),
    "insert-random-end": (INSERT_RANDOM, '["Ann Moss", "Bob Lane", "Cid Abel", "Zoe Park"]', 1, 1),
    "insert-random-another": (INSERT_RANDOM, '["Zoe Parks", "Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "insert-random-twice": (
        INSERT_RANDOM,
        '["Zoe Park", "Ann Moss", "Bob Lane", "Cid Abel", "Zoe Park"]',
        0,
        0,
    ),
    "insert-random-order-lost": (INSERT_RANDOM, '["Bob Lane", "Ann Moss", "Zoe Park", "Cid Abel"]', 0, 0),
    "insert-random-not-done": (INSERT_RANDOM, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "remove-index": (REMOVE_INDEX, '["Ann Moss", "Cid Abel"]', 1, 1),
    "remove-index-counted-from-one": (REMOVE_INDEX, '["Bob Lane", "Cid Abel"]', 0, 0),
    "remove-random-first": (REMOVE_RANDOM, '["Bob Lane", "Cid Abel"]', 1, 1),
    "remove-random-last": (REMOVE_RANDOM, '["Ann Moss", "Bob Lane"]', 1, 1),
    "remove-random-two": (REMOVE_RANDOM, '["Ann Moss"]', 0, 0),
    "remove-random-none": (REMOVE_RANDOM, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "remove-random-order-lost": (REMOVE_RANDOM, '["Cid Abel", "Ann Moss"]', 0, 0),
    "remove-random-nobody-left": (REMOVE_LAST_ONE, "[]", 1, 1),
    "remove-random-empty-output": (REMOVE_LAST_ONE, "", 0, 0),
}


@pytest.mark.parametrize(("sample", "text", "lenient", "strict"), OWN.values(), ids=OWN)
def test_list_scores_equal_the_hand_made_table(sample, text, lenient, strict):
    assert SCORERS["list"](text, sample, {}).values == {"accuracy": lenient, "accuracy_strict": strict}


KNOWN_ALREADY = list_sample("replace_random", word="Bob Lane")
LABELLED_SORT = list_sample("sort", example='["Ann Moss", "Bob Lane", "Cid Abel"]')
REPEATED = list_sample("remove_random", items=["Ann Moss", "Ann Moss", "Bob Lane"])

RELEASED = {
    "exact": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel"]', 1, 1),
    "words-around-are-strict": (COPY, 'Sure: ["Ann Moss", "Bob Lane", "Cid Abel"]. Done.', 1, 1),
    "never-closed": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel"', 1, 0),
    "no-brackets": (COPY, "Ann Moss, Bob Lane, Cid Abel", 1, 0),
    "last-opened-list-counts": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel"] [', 0, 0),
    "first-closed-after-it": (COPY, '["Ann Moss", "Bob Lane", "Cid Abel"] ]', 1, 1),
    "no-blank-after-comma": (COPY, '["Ann Moss","Bob Lane","Cid Abel"]', 1, 0),
    "single-quotes-stay": (COPY, "['Ann Moss', 'Bob Lane', 'Cid Abel']", 0, 0),
    "line-breaks-stay": (COPY, '["Ann Moss",\n"Bob Lane",\n"Cid Abel"]', 0, 0),
    "blank-items-drop": (COPY, '["Ann Moss", , "Bob Lane", "Cid Abel"]', 1, 0),
    "double-quote-inside": (COPY, '["Ann Moss", "Bob Lane"", "Cid Abel"]', 1, 0),
    "empty": (COPY, "", 0, 0),
    "sort-label-decides": (LABELLED_SORT, '["Ann Moss", "Bob Lane", "Cid Abel"]', 1, 1),
    "sort-by-last-name-is-wrong": (LABELLED_SORT, '["Cid Abel", "Bob Lane", "Ann Moss"]', 0, 0),
    "shuffle": (SHUFFLE, '["Bob Lane", "Ann Moss", "Cid Abel"]', 1, 1),
    "shuffle-input": (SHUFFLE, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "replace": (REPLACE_RANDOM, '["Ann Moss", "Zoe Park", "Cid Abel"]', 1, 1),
    "replace-two": (REPLACE_RANDOM, '["Zoe Park", "Zoe Park", "Cid Abel"]', 0, 0),
    "replace-none": (REPLACE_RANDOM, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "replace-none-of-a-known-person": (KNOWN_ALREADY, '["Ann Moss", "Bob Lane", "Cid Abel"]', 1, 1),
    "insert": (INSERT_RANDOM, '["Ann Moss", "Bob Lane", "Cid Abel", "Zoe Park"]', 1, 1),
    "insert-twice": (INSERT_RANDOM, '["Zoe Park", "Ann Moss", "Bob Lane", "Cid Abel", "Zoe Park"]', 0, 0),
    "insert-none": (INSERT_RANDOM, '["Ann Moss", "Bob Lane", "Cid Abel"]', 0, 0),
    "remove": (REMOVE_RANDOM, '["Ann Moss", "Bob Lane"]', 1, 1),
    "remove-order-lost": (REMOVE_RANDOM, '["Cid Abel", "Ann Moss"]', 0, 0),
    "remove-one-and-repeat-another": (REMOVE_RANDOM, '["Ann Moss", "Bob Lane", "Bob Lane"]', 0, 0),
    "remove-two": (REMOVE_RANDOM, '["Ann Moss"]', 0, 0),
    "remove-one-of-two-alike": (REPEATED, '["Ann Moss", "Bob Lane"]', 0, 0),
}


@pytest.mark.parametrize(("sample", "text", "lenient", "strict"), RELEASED.values(), ids=RELEASED)
def test_released_list_scores_equal_the_hand_made_table_of_published_behaviour(sample, text, lenient, strict):
    scored = SCORERS["released_list"](text, sample, {})
    assert scored.values == {"accuracy": lenient, "accuracy_strict": strict}


def test_a_released_sample_without_label_is_refused():
    message = "example of sample 'n3-000' must be its label, got None; .* so give one"
    with pytest.raises(ValueError, match=message):
        SCORERS["released_list"]("[]", REVERSE, {})


@st.composite
def list_facts(draw):
    operation = draw(st.sampled_from(sorted(OPERATIONS)))
    items = draw(st.permutations(PEOPLE[:5]).flatmap(lambda p: st.integers(2, 5).map(lambda n: p[:n])))
    return {
        "operation": operation,
        "items": items,
        "word": draw(st.sampled_from(PEOPLE[5:])),
        "index": draw(st.integers(0, len(items) - 1)),
        "exclude_input": draw(st.booleans()),
    }


@given(facts=list_facts())
def test_every_member_of_the_answer_set_scores_one_under_every_reading(facts):
    answers = list_answers(facts)
    assert isinstance(answers, Enumerated)
    for text in answers.texts:
        sample = list_sample(**facts, example=text)
        assert SCORERS["list"](text, sample, {}).values == {"accuracy": 1.0, "accuracy_strict": 1.0}
        if not (facts["operation"] == "shuffle" and not facts["exclude_input"]):
            assert SCORERS["released_list"](text, sample, {}).values == {
                "accuracy": 1.0,
                "accuracy_strict": 1.0,
            }


@given(facts=list_facts(), answer=st.lists(st.sampled_from(PEOPLE), max_size=6))
def test_a_list_outside_the_answer_set_scores_zero(facts, answer):
    text = "[" + ", ".join(f'"{person}"' for person in answer) + "]"
    expected = float(text in list_answers(facts).texts)
    assert SCORERS["list"](text, list_sample(**facts), {}).values["accuracy"] == expected


@given(
    facts=list_facts(),
    text=st.text(max_size=40) | st.text(alphabet="[],\" \n'AnMos", max_size=40),
    name=st.sampled_from(["list", "released_list"]),
)
def test_any_text_is_scored_within_bounds_and_strict_implies_lenient(facts, text, name):
    scored = SCORERS[name](text, list_sample(**facts, example='["Ann Moss"]'), {})
    assert 0.0 <= scored.values["accuracy_strict"] <= scored.values["accuracy"] <= 1.0
    assert scored.reasons == {}


@given(
    items=st.lists(st.text(max_size=6), max_size=5),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 2]),
)
def test_any_json_list_of_texts_is_read_as_json(items, ascii_only, indent):
    written = json.dumps(items, ensure_ascii=ascii_only, indent=indent)
    assert list_items(written) == items
    assert list_items(f"As asked: {written}.") == items


@given(items=st.lists(st.text(max_size=6), min_size=2, max_size=5))
def test_the_exact_json_answer_scores_one_whatever_the_items_hold(items):
    written = json.dumps(items, ensure_ascii=False)
    assert SCORERS["list"](written, list_sample("copy", items=items), {}).values == {
        "accuracy": 1.0,
        "accuracy_strict": 1.0,
    }


@pytest.mark.parametrize(
    "text", ['["', '["a", "[", ', "[" * 3, '["a\\'], ids=["quote", "items", "opened", "escape"]
)
def test_a_long_text_of_brackets_is_read_at_once(text):
    started = time.process_time()
    list_items(text * 4_000)
    assert time.process_time() - started < 1.0


def test_blank_text_has_no_list_and_an_empty_list_has_no_items():
    assert list_items("  \n") is None
    assert list_items(" [ ] ") == []


def test_the_random_operations_are_exactly_those_with_several_answers():
    facts = {"items": ITEMS, "word": "Zoe Park", "index": 1, "exclude_input": True}
    several = {name for name in OPERATIONS if len(list_answers({**facts, "operation": name}).texts) > 1}
    assert several == set(RANDOM_OPERATIONS)


def test_every_scorer_has_a_version():
    assert set(SCORERS) == set(SCORER_VERSIONS)
    assert all(version >= 1 for version in SCORER_VERSIONS.values())


def test_resolve_scorer_takes_a_name_or_a_reference():
    assert resolve_scorer("list") is SCORERS["list"]
    assert resolve_scorer("task_specs.scoring.puzzles:score_sudoku") is SCORERS["sudoku"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "lists",
            "must be a known name .* got 'lists'; did you mean 'list'\\? known: gsm8k, humaneval, ",
        ),
        ("zzz", "got 'zzz'; known: gsm8k"),
        (
            "task_specs.missing:score",
            "got 'task_specs.missing:score' .*No module named.*check that the module",
        ),
        (
            "task_specs.scoring.puzzles:missing",
            "got 'task_specs.scoring.puzzles:missing' .*no attribute 'missing'",
        ),
        ("task_specs.scoring.puzzles:", "must be a known name .* got 'task_specs.scoring.puzzles:'"),
        (":score", "must be a known name .* got ':score'"),
    ],
)
def test_an_unknown_scorer_is_a_lookup_error_that_helps(name, message):
    with pytest.raises(LookupError, match=message):
        resolve_scorer(name)


def test_a_reference_to_something_else_is_a_type_error():
    with pytest.raises(TypeError, match=r"scorer must be a function .*; point the reference at a function"):
        resolve_scorer("task_specs.scoring.lists:RANDOM_OPERATIONS")


def test_answer_text_is_what_follows_the_last_marker():
    marker = "The final list is:"
    assert answer_text("as it is ", None) == "as it is "
    assert answer_text(f"hm. {marker} [a]\nno. {marker}\n[b] \n", marker) == "[b]"
    assert answer_text("hm. [a]", marker) == ""


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```\na\nb\n```", "a\nb"),
        ("  ```csv\na\n\nb\n```\n", "a\n\nb"),
        ("~~~\na\n~~~", "a"),
        ("```\na\n````", None),
        ("```\na", None),
        ("Here:\n```\na\n```", None),
        ("```\na\n```\nDone.", None),
        ("```a```", None),
        ("", None),
    ],
)
def test_a_fence_is_dropped_where_it_holds_the_whole_text(text, inside):
    assert unfenced(text) == (text if inside is None else inside)


@pytest.mark.parametrize(
    ("values", "reasons", "message"),
    [
        ({"accuracy": 1.5}, {}, "score 'accuracy' must be in [0, 1] or None, got 1.5; scale it"),
        ({"accuracy": float("nan")}, {}, "score 'accuracy' must be in [0, 1] or None, got nan"),
        (
            {"accuracy": None},
            {},
            "reasons must name exactly the scores that are None, got [] for ['accuracy']",
        ),
        ({"accuracy": 1.0}, {"accuracy": "no server"}, "reasons must name exactly the scores that are None"),
    ],
    ids=["above-one", "nan", "none-without-reason", "reason-without-none"],
)
def test_a_malformed_score_is_refused(values, reasons, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Scored(values=values, reasons=reasons)
