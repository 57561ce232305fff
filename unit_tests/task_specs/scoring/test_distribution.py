"""Laws of the distribution metrics: exact laws, scipy agreement, bias seen, no bias passed."""

import json
import math
import random
from fractions import Fraction
from itertools import islice, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from task_specs.answers import as_list_text, list_answers
from task_specs.sample import Sample
from task_specs.scoring.distribution import (
    choice_distribution,
    choice_made,
    expected_entropy,
    unbiased_law,
    upper_gamma_ratio,
)
from task_specs.scoring.lists import RANDOM_OPERATIONS

PEOPLE = [f"{letter}x {letter}y" for letter in "ABCDEFGHIJKLMNO"]


def line_sample(operation, n):
    facts = {"operation": operation, "items": PEOPLE[:n], "word": "New One", "exclude_input": True}
    return Sample(
        id=f"n{n}", fields={}, facts=facts, shots=(), example=None, answers=None, template=None, length=n
    )


def benchmark_samples(operation):
    return [line_sample(operation, n) for n in (3, 4, 5, 6) for _ in range(25)]


def unbiased_outputs(operation, rng):
    samples = {n: line_sample(operation, n) for n in (3, 4, 5, 6)}
    texts = {n: list_answers(sample.facts).texts for n, sample in samples.items()}
    while True:
        yield [(samples[n], rng.choice(texts[n])) for n in samples for _ in range(25)]


@given(shape=st.floats(0.25, 200), x=st.floats(0, 500))
def test_the_gamma_ratio_equals_scipy(shape, x):
    assert upper_gamma_ratio(shape, x) == pytest.approx(stats.gamma.sf(x, shape), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("freedom", [2, 4, 8])
def test_the_gamma_ratio_equals_the_closed_form_of_even_freedom(freedom):
    x = 3.7
    closed = math.exp(-x) * sum(x**i / math.factorial(i) for i in range(freedom // 2))
    assert upper_gamma_ratio(freedom / 2, x) == pytest.approx(closed, rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "x"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -0.1), (1.0, math.inf), (1.0, math.nan)]
)
def test_the_gamma_ratio_refuses_arguments_out_of_range(shape, x):
    with pytest.raises(
        ValueError, match=r"shape must be above 0 and x at least 0, got .*; pass finite numbers"
    ):
        upper_gamma_ratio(shape, x)


@pytest.mark.parametrize("operation", RANDOM_OPERATIONS)
@pytest.mark.parametrize("n", [3, 4])
@pytest.mark.parametrize("exclude_input", [True, False])
def test_the_unbiased_law_is_the_law_of_a_uniform_draw_from_the_answer_set(operation, n, exclude_input):
    facts = {**line_sample(operation, n).facts, "exclude_input": exclude_input}
    for n_samples in (10, 25, 200):
        law = unbiased_law(facts, n_samples)
        assert law is not None
        depth = len(next(iter(law)))
        counted = {}
        texts = list_answers(facts).texts
        for text in texts:
            choice = choice_made(json.loads(text), facts)[:depth]
            counted[choice] = counted.get(choice, 0) + Fraction(1, len(texts))
        assert law == pytest.approx({choice: float(p) for choice, p in counted.items()})
        assert min(law.values()) * n_samples >= 2


def test_a_shuffle_is_read_as_deep_as_the_samples_allow():
    facts = line_sample("shuffle", 4).facts
    assert len(unbiased_law(facts, 46)) == 23, "each of the 4! - 1 orders twice"
    assert len(unbiased_law(facts, 45)) == 4, "the first place only"
    assert unbiased_law(facts, 9) is None, "the input's first person comes first in 5 of 23 orders"
    assert len(unbiased_law(line_sample("shuffle", 15).facts, 100)) == 15, "15! orders are never enumerated"


def test_the_expected_entropy_equals_enumeration_of_all_draws():
    law = {(0,): 0.5, (1,): 0.3, (2,): 0.2}
    expected = 0.0
    for draws in product(law, repeat=4):
        chance = math.prod(law[draw] for draw in draws)
        shares = [draws.count(choice) / 4 for choice in law if choice in draws]
        expected -= chance * sum(share * math.log(share) for share in shares)
    assert expected_entropy(law, 4) == pytest.approx(expected, rel=1e-12)


def test_hand_computed_statistic_of_one_length():
    """Removals at 3 places 8, 3 and 1 times: chi2 = (16 + 1 + 9) / 4 = 6.5 with 2 degrees, p = exp(-3.25)."""
    sample = line_sample("remove_random", 3)
    texts = [as_list_text([p for i, p in enumerate(PEOPLE[:3]) if i != place]) for place in range(3)]
    outputs = [(sample, texts[place]) for place, count in enumerate((8, 3, 1)) for _ in range(count)]
    found = choice_distribution(outputs)
    assert found.p_value == pytest.approx(math.exp(-3.25), rel=1e-12)
    entropy = -(8 * math.log(8 / 12) + 3 * math.log(3 / 12) + math.log(1 / 12)) / 12
    assert found.entropy_ratio == pytest.approx(entropy / math.log(3), rel=1e-12)
    assert (found.n_right, found.n_used, found.reason) == (12, 12, None)


def rotate(items):
    return [*items[1:], items[0]]


@pytest.mark.parametrize(
    ("operation", "choose"),
    [
        ("shuffle", rotate),
        ("shuffle", lambda items: items[::-1]),
        ("shuffle", lambda items: [*items[:-2], items[-1], items[-2]]),
        ("insert_random", lambda items: [*items, "New One"]),
        ("replace_random", lambda items: ["New One", *items[1:]]),
        ("remove_random", lambda items: items[:-1]),
    ],
    ids=["rotation", "reversal", "swap-of-the-last-two", "always-last", "always-first", "always-the-last"],
)
def test_a_model_that_always_chooses_alike_is_visible_at_full_accuracy(operation, choose):
    samples = benchmark_samples(operation)
    found = choice_distribution([(s, as_list_text(choose(s.facts["items"]))) for s in samples])
    assert found.n_right == 100
    assert found.p_value < 1e-12
    assert found.entropy_ratio == 0.0
    assert found.entropy_ratio_unbiased > 0.9


@pytest.mark.parametrize("operation", RANDOM_OPERATIONS)
def test_an_unbiased_model_is_rejected_about_as_often_as_the_level_says(operation):
    """Of 300 runs at level 0.05 about 15 are rejected; 3 to 33 has a chance above 0.9999."""
    runs = islice(unbiased_outputs(operation, random.Random(7)), 300)
    found = [choice_distribution(outputs) for outputs in runs]
    assert 3 <= sum(one.p_value < 0.05 for one in found) <= 33
    mean_ratio = sum(one.entropy_ratio for one in found) / 300
    assert mean_ratio == pytest.approx(found[0].entropy_ratio_unbiased, abs=0.01)


def test_lengths_with_too_few_right_answers_are_left_out():
    short, long = line_sample("remove_random", 3), line_sample("remove_random", 6)
    outputs = [(short, as_list_text(PEOPLE[1:3]))] * 6 + [(long, as_list_text(PEOPLE[1:6]))] * 11
    found = choice_distribution([*outputs, (short, "nonsense")])
    assert (found.n_right, found.n_used) == (17, 6)


@pytest.mark.parametrize(
    ("outputs", "n_right", "reason"),
    [
        ([], 0, "no output: only the random list operations leave a choice"),
        ([(line_sample("copy", 3), as_list_text(PEOPLE[:3]))], 0, "copy: only the random list operations"),
        (
            [(line_sample("shuffle", 3), "wrong")] * 50,
            0,
            "0 right answers: no list length has 2 for each choice",
        ),
        (
            [(line_sample("insert_random", 3), as_list_text([*PEOPLE[:3], "New One"]))] * 7,
            7,
            "7 right answers: no",
        ),
    ],
    ids=["no-output", "one-answer", "none-right", "too-few"],
)
def test_no_number_is_given_without_enough_right_answers(outputs, n_right, reason):
    found = choice_distribution(outputs)
    assert (found.p_value, found.entropy_ratio, found.entropy_ratio_unbiased) == (None, None, None)
    assert (found.n_right, found.n_used) == (n_right, 0)
    assert found.reason.startswith(reason)


def test_samples_of_a_puzzle_leave_no_choice():
    facts = {"symbols": ["A", "B", "C", "D"]}
    square = Sample(
        id="0", fields={}, facts=facts, shots=(), example=None, answers=None, template=None, length=4
    )
    assert (
        choice_distribution([(square, "[]")]).reason
        == "not a list operation: only the random list operations leave a choice"
    )


def test_a_list_of_two_leaves_no_choice_for_a_shuffle_without_the_input():
    outputs = [(line_sample("shuffle", 2), as_list_text(PEOPLE[1::-1]))] * 50
    assert choice_distribution(outputs).p_value is None


def test_several_operations_at_once_are_refused():
    outputs = [(line_sample("shuffle", 3), ""), (line_sample("copy", 3), "")]
    with pytest.raises(
        ValueError, match=r"one operation, got \['copy', 'shuffle'\]; call once for each task"
    ):
        choice_distribution(outputs)


def test_every_order_of_a_shuffle_is_its_own_choice():
    facts = line_sample("shuffle", 4).facts
    assert {choice_made(list(order), facts) for order in permutations(PEOPLE[:4])} == set(
        permutations(range(4))
    )
