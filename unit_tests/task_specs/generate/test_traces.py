"""The trace before an answer on letters: it leads to its answer, and the answer alone is scored."""

from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.answers import OPERATIONS, as_list_text, list_answers
from task_specs.catalogue import MOST_TRACED, TRACED_OPERATIONS, TRACES, trace_length
from task_specs.generate.traces import answer_of, thought, thought_answers, trace_of
from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.scoring.lists import score_list
from task_specs.scoring.scored import answer_text
from task_specs.spec import read_spec
from unit_tests.pages import EXAMPLES

KINDS = [(trace, operation) for trace in TRACES for operation in TRACED_OPERATIONS]
each_kind = pytest.mark.parametrize(("trace", "operation"), KINDS)


def facts_of(operation, n):
    return {"operation": operation, "items": list("KEYBOARD"[:n]), "word": "Z", "exclude_input": False}


def ranges(trace, operation, n):
    """Return what each number of a trace may be, whatever the others are."""
    if trace == "draws":
        return [range(n)] if operation == "replace_random" else [range(n - place) for place in range(n)]
    return [range(2 if operation == "replace_random" else n)] * n


def spec_of(trace, operation, **params):
    return read_spec(EXAMPLES / f"think_{trace}_{operation}.yaml", params)


@pytest.mark.parametrize(
    ("trace", "operation", "answer", "numbers"),
    [
        ("draws", "shuffle", "OKEY", [3, 0, 0, 0]),
        ("places", "shuffle", "OKEY", [3, 0, 1, 2]),
        ("draws", "shuffle", "YOEK", [2, 2, 1, 0]),
        ("draws", "replace_random", "KEZO", [2]),
        ("places", "replace_random", "KEZO", [0, 0, 1, 0]),
    ],
)
def test_a_trace_by_hand(trace, operation, answer, numbers):
    facts = {**facts_of(operation, 4), "items": list("KEYO")}
    assert trace_of(trace, facts, list(answer)) == numbers
    assert answer_of(trace, facts, numbers) == list(answer)


@each_kind
@pytest.mark.parametrize("n", range(2, 6))
def test_every_answer_has_its_own_trace_and_every_trace_its_answer(trace, operation, n):
    """Any draws give an answer, so they are independent; of places most lists give none."""
    facts = facts_of(operation, n)
    results = OPERATIONS[operation](facts["items"], facts)
    assert [answer_of(trace, facts, trace_of(trace, facts, result)) for result in results] == results
    possible = list(product(*ranges(trace, operation, n)))
    assert {len(numbers) for numbers in possible} == {trace_length(trace, operation, n)}
    reached = [answer for numbers in possible if (answer := answer_of(trace, facts, numbers)) is not None]
    assert sorted(reached) == sorted(results)
    assert (len(reached) == len(possible)) == (trace == "draws")


@given(kind=st.sampled_from(KINDS), n=st.integers(2, MOST_TRACED), data=st.data())
def test_a_drawn_trace_leads_to_its_answer_and_back(kind, n, data):
    trace, operation = kind
    facts = facts_of(operation, n)
    result = data.draw(st.sampled_from(OPERATIONS[operation](facts["items"], facts)))
    numbers = trace_of(trace, facts, result)
    assert answer_of(trace, facts, numbers) == result
    assert all(number in allowed for number, allowed in zip(numbers, ranges(*kind, n), strict=True))


@pytest.mark.parametrize(
    ("trace", "operation", "numbers"),
    [
        ("draws", "shuffle", [4, 0, 0, 0]),
        ("draws", "shuffle", [0, 0, 0, 1]),
        ("draws", "replace_random", [4]),
        ("places", "shuffle", [0, 0, 1, 2]),
        ("places", "replace_random", [0, 0, 0, 0]),
        ("places", "replace_random", [1, 0, 0, 1]),
    ],
)
def test_numbers_that_are_no_trace_lead_nowhere(trace, operation, numbers):
    assert answer_of(trace, facts_of(operation, 4), numbers) is None


@each_kind
def test_the_answers_are_those_of_the_plain_question_each_with_a_trace_and_equally_likely(trace, operation):
    facts = facts_of(operation, 4)
    found = thought_answers(trace, facts, "so:")
    assert len(set(found.weights)) == 1
    lines = [text.split("\n") for text in found.texts]
    assert [marker for _, marker, _ in lines] == ["so:"] * len(lines)
    assert tuple(answer for _, _, answer in lines) == list_answers(facts).texts
    assert len({numbers for numbers, _, _ in lines}) == prod(range(1, 5) if operation == "shuffle" else [4])


@each_kind
@pytest.mark.parametrize("n", [2, 4, 7])
def test_a_sample_is_the_plain_question_with_a_trace_in_template_and_answers(trace, operation, n):
    plain, aloud = (spec_of(trace, operation, n=n, samples=20, **more) for more in ({}, {"cot": True}))
    assert aloud.positions == n + trace_length(trace, operation, n)
    for short, sample in zip(load_samples(plain), load_samples(aloud), strict=True):
        assert (sample.id, sample.fields, sample.facts) == (short.id, short.fields, short.facts)
        numbers, marker, answer = sample.example.split("\n")
        assert (marker, answer) == (aloud.answer_marker, short.example)
        assert answer_of(trace, sample.facts, [int(one) for one in numbers.split(",")]) is not None
        assert sample.example in sample.answers.texts
        assert len(sample.answers.texts) == len(short.answers.texts)
        parts = sample.template.split("[MASK]")
        assert "".join(parts) == "".join(
            c for c in sample.example if not c.isdigit() and c not in _open(sample)
        )


def _open(sample):
    """Return the letters of the answer, which the template leaves open."""
    return [*sample.facts["items"], sample.facts.get("word", "")]


@each_kind
def test_what_follows_the_marker_is_scored_whatever_the_trace_says(trace, operation):
    spec = spec_of(trace, operation, cot=True)
    sample = load_samples(spec)[0]
    _, _, answer = sample.example.split("\n")

    def score(text):
        return score_list(answer_text(text, spec.answer_marker), sample, {}).values["accuracy"]

    assert score(sample.example) == 1.0
    assert score(thought([9, 9], spec.answer_marker, _items(answer))) == 1.0
    assert score(thought([0], spec.answer_marker, ["A"])) == 0.0
    assert score(answer) == 0.0
    assert score(f"{sample.example}\n{spec.answer_marker}") == 0.0


def _items(answer):
    return [piece.strip('"') for piece in answer[1:-1].split(", ")]


@each_kind
def test_both_prompts_of_the_example_are_asked(trace, operation):
    spec = spec_of(trace, operation, cot=True)
    sample = load_samples(spec)[0]
    natural, compact = (messages(spec, sample, style)[-1]["content"] for style in ("natural", "compact"))
    assert f"Then write a line with the word {spec.answer_marker}," in natural
    assert as_list_text(sample.facts["items"]) in natural
    assert compact.splitlines()[0].startswith(operation)


def test_a_longer_list_has_no_trace():
    with pytest.raises(
        ValueError, match=r"n of task think_draws_shuffle must be at most 7 with cot, got 8; all"
    ):
        spec_of("draws", "shuffle", n=8, cot=True)
    assert spec_of("draws", "shuffle", n=8).positions == 8


def test_the_seed_of_the_example_gives_these_samples_for_ever():
    samples = load_samples(spec_of("draws", "shuffle", cot=True))
    assert samples[0].example == '1,0,0,0\nshuffle\n["E", "Z", "I", "V"]'
    assert samples[99].example == '1,0,1,0\nshuffle\n["A", "B", "U", "M"]'
