"""Waiting lines and list operations: what a generated record obeys, whatever the parameters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.answers import OPERATIONS, list_answers
from task_specs.generate.draw import source
from task_specs.generate.list_ops import list_ops_record
from task_specs.generate.names import FIRST_NAMES, LAST_NAMES, vocabulary
from task_specs.generate.reasoning import steps
from task_specs.generate.request import Request, stratum
from task_specs.generate.waiting_line import one_answer, waiting_line_record


def request(operation, length, *, seed=0, shots=1, **parameters):
    return Request(
        rng=source(seed),
        id="x",
        length=length,
        shots=shots,
        parameters={"operation": operation, "shot_lengths": [3, 4, 5, 6], **parameters},
    )


@given(operation=st.sampled_from(sorted(OPERATIONS)), length=st.integers(2, 20), seed=st.integers(0, 10**6))
def test_all_people_of_a_sample_differ_in_both_names(operation, length, seed):
    record = waiting_line_record(request(operation, length, seed=seed, shots=2))
    if record is None:
        assert operation == "sort"
        return
    people = []
    for fields in (record["fields"], *(shot["fields"] for shot in record["shots"])):
        people += json.loads(fields["context"]) + ([fields["word"]] if "word" in fields else [])
    firsts, lasts = zip(*(person.split(" ") for person in people), strict=True)
    assert len(set(firsts)) == len(set(lasts)) == len(people)
    assert len(record["facts"]["items"]) == record["length"] == length
    assert all(3 <= len(json.loads(shot["fields"]["context"])) <= 6 for shot in record["shots"])


@given(operation=st.sampled_from(sorted(OPERATIONS)), length=st.integers(2, 6), seed=st.integers(0, 10**6))
def test_the_example_is_one_of_the_answers(operation, length, seed):
    record = waiting_line_record(request(operation, length, seed=seed))
    if record is not None:
        assert record["example"] in list_answers(record["facts"]).texts


@pytest.mark.parametrize("operation", ["replace_random", "insert_random", "remove_random", "shuffle"])
def test_the_example_is_drawn_uniformly(operation):
    """3,000 draws over at most 5 answers; 5 standard deviations of a count are below 130."""
    facts = {"operation": operation, "items": ["A", "B", "C"], "word": "W", "exclude_input": True}
    texts = list_answers(facts).texts
    rng = source("uniform", operation)
    drawn = [json.dumps(one_answer(rng, facts)) for _ in range(3000)]
    assert set(drawn) == set(texts)
    assert all(abs(drawn.count(text) - 3000 / len(texts)) < 130 for text in texts)


def test_a_list_that_is_sorted_already_is_drawn_again():
    records = [waiting_line_record(request("sort", 2, seed=seed, shots=0)) for seed in range(200)]
    assert 60 < sum(record is None for record in records) < 140


@pytest.mark.parametrize(
    ("operation", "answer", "words"),
    [
        ("copy", ["Ann Lee", "Bob Fox"], "Nothing changes"),
        ("sort", ["Bob Fox", "Ann Lee"], "The last names in order are Fox, Lee."),
        ("reverse", ["Bob Fox", "Ann Lee"], "Bob Fox comes first and Ann Lee comes last."),
        ("shuffle", ["Bob Fox", "Ann Lee"], "the old places is 1, 0."),
        ("replace_random", ["Ann Lee", "Cy Hay"], "Bob Fox at place 1 leaves and Cy Hay takes"),
        ("insert_index", ["Cy Hay", "Ann Lee", "Bob Fox"], "Cy Hay goes to place 0,"),
        ("remove_random", ["Bob Fox"], "Ann Lee at place 0 leaves,"),
    ],
    ids=["copy", "sort", "reverse", "shuffle", "replace", "insert", "remove"],
)
def test_the_steps_of_a_chain_of_thought_lead_to_its_answer(operation, answer, words):
    text = steps({"operation": operation, "items": ["Ann Lee", "Bob Fox"], "word": "Cy Hay"}, answer)
    assert text.startswith("There are 2 people: 0 Ann Lee, 1 Bob Fox. ")
    assert words in text


@given(
    operation=st.sampled_from(["copy", "replace_index", "replace_random", "shuffle"]),
    n=st.integers(2, 25),
    seed=st.integers(0, 10**6),
)
def test_letters_are_distinct_and_the_template_has_one_mask_each(operation, n, seed):
    record = list_ops_record(request(operation, n, seed=seed, shots=0, n=n))
    items = record["facts"]["items"]
    letters = [*items, record["facts"].get("word", "-")]
    assert len(set(letters)) == len(letters) == n + 1
    assert all("A" <= letter <= "Z" for letter in items)
    assert json.loads(record["template"]) == ["[MASK]"] * len(json.loads(record["example"])) == ["[MASK]"] * n
    assert record["facts"].get("exclude_input") in (None, False)


def test_samples_spread_evenly_over_the_lengths():
    assert list(stratum([3, 4], 5)) == [(3, 0), (3, 1), (3, 2), (4, 0), (4, 1)]
    assert list(stratum([3, 4, 5], 2)) == [(3, 0), (4, 0)]


def test_names_are_many_distinct_and_never_prefixes_of_one_another():
    names = (*FIRST_NAMES, *LAST_NAMES)
    assert min(len(FIRST_NAMES), len(LAST_NAMES)) >= 120
    assert len(set(names)) == len(names)
    assert not [(a, b) for a in names for b in names if a != b and b.startswith(a)]
    assert all(name.isascii() and name.isalpha() and name.istitle() and len(name) <= 8 for name in names)


def test_the_vocabulary_spells_a_line_of_n_people_in_3_n_plus_1_pieces():
    pieces = sorted(vocabulary(), key=len, reverse=True)
    assert len(set(pieces)) == 3 + len(FIRST_NAMES) + len(LAST_NAMES)
    record = waiting_line_record(request("copy", 20))
    text, count = record["example"], 0
    while text:
        piece = next(piece for piece in pieces if text.startswith(piece))
        text, count = text[len(piece) :], count + 1
    assert count == 61
