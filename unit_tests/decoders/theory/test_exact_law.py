"""The exact law equals a walk over every choice of tokens; the interval equals the binomial one."""

import itertools
import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from decoders.theory.exact_law import (
    correct_probability,
    interval_of_correct,
    permutation_correct_probability,
)
from decoders.theory.total_correlation import model_distribution


class Case(NamedTuple):
    answers: list[tuple[int, ...]]
    weights: list[int]
    steps: list[int]


@st.composite
def cases(draw):
    """Random answers over three tokens, weights with many ties, and a step for every position."""
    length = draw(st.integers(1, 4))
    sequences = st.tuples(*[st.integers(0, 2)] * length)
    answers = draw(st.lists(sequences, min_size=1, max_size=9, unique=True))
    weights = draw(st.lists(st.integers(1, 3), min_size=len(answers), max_size=len(answers)))
    return Case(answers, weights, draw(st.lists(st.integers(0, 3), min_size=length, max_size=length)))


def brute_force(answers, weights, steps, temperature=0.0):
    """Decode with every possible choice of tokens, and add up those that end in an answer."""
    mass = Counter()
    for answer, weight in zip(answers, weights, strict=True):
        mass[tuple(answer)] += weight

    def choices(canvas, position):
        """Each token the model may choose, with its probability."""
        marginal = Counter()
        for answer, weight in mass.items():
            if all(token is None or token == have for token, have in zip(canvas, answer, strict=True)):
                marginal[answer[position]] += weight
        best = max(marginal.values())
        if temperature == 0.0:
            power = {token: 1.0 for token, weight in marginal.items() if weight == best}
        else:
            power = {token: (weight / best) ** (1.0 / temperature) for token, weight in marginal.items()}
        total = sum(power.values())
        return [(token, value / total) for token, value in power.items()]

    reached = {(None,) * len(steps): 1.0}
    for step in sorted(set(steps)):
        positions = [p for p, s in enumerate(steps) if s == step]
        after = Counter()
        for canvas, chance in reached.items():
            for drawn in itertools.product(*[choices(canvas, p) for p in positions]):
                filled = list(canvas)
                for position, (token, _) in zip(positions, drawn, strict=True):
                    filled[position] = token
                if any(
                    all(t is None or t == have for t, have in zip(filled, answer, strict=True))
                    for answer in mass
                ):
                    after[tuple(filled)] += chance * math.prod(p for _, p in drawn)
        reached = after
    return sum(reached.values())


@given(case=cases(), temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
@settings(max_examples=200)
def test_the_law_equals_a_walk_over_all_choices_of_tokens(case, temperature):
    law = correct_probability(*case, temperature=temperature)
    assert law == pytest.approx(brute_force(*case, temperature), abs=1e-12)


@given(case=cases(), temperature=st.sampled_from([0.0, 1.0]))
def test_one_token_per_step_is_always_right(case, temperature):
    order = np.argsort(np.argsort(case.steps, kind="stable"))
    assert correct_probability(case.answers, case.weights, order, temperature) == pytest.approx(1.0)


@given(case=cases())
def test_at_temperature_1_the_law_is_the_mass_that_the_factorised_model_puts_on_answers(case):
    partition = [[p for p, s in enumerate(case.steps) if s == step] for step in sorted(set(case.steps))]
    model = model_distribution(case.answers, case.weights, partition)
    assert correct_probability(*case, temperature=1.0) == pytest.approx(sum(model.values()))


@given(case=cases())
def test_a_low_temperature_tends_to_greedy(case):
    assert correct_probability(*case, temperature=1e-3) == pytest.approx(correct_probability(*case), abs=1e-9)


@given(case=cases(), data=st.data())
def test_only_the_order_of_the_steps_counts(case, data):
    gaps = data.draw(st.lists(st.integers(1, 5), min_size=4, max_size=4))
    renamed = np.cumsum(gaps)[case.steps]
    assert correct_probability(case.answers, case.weights, renamed) == correct_probability(*case)


def test_greedy_prefers_the_heavier_token_and_splits_ties():
    """00 with weight 2, 11 and 12 with 1: position 0 ties 0 with 1; position 1 is 0. So 00 or (1, 0): 1/2."""
    assert correct_probability([[0, 0], [1, 1], [1, 2]], [2, 1, 1], [0, 0]) == pytest.approx(0.5)


def test_tokens_within_the_tolerance_are_tied():
    close = [1.0, 1.0 + 5e-7]
    assert correct_probability([[0, 0], [1, 1]], close, [0, 0]) == pytest.approx(0.5)
    assert correct_probability([[0, 0], [1, 1]], close, [0, 0], tolerance=1e-8) == 1.0
    assert correct_probability([[0, 0], [1, 1]], [1.0, 1.0 + 2e-6], [0, 0]) == 1.0


def test_a_single_answer_is_always_right_even_if_all_is_template():
    assert correct_probability([[3, 1, 4]], [1], [0, 0, 0]) == 1.0
    assert correct_probability([[3, 1, 4]], [1], [-1, -1, -1]) == 1.0


def test_template_positions_take_no_part():
    answers = [[9, 0, 9, 0], [9, 1, 9, 1]]
    assert correct_probability(answers, [1, 1], [-1, 0, -1, 0]) == pytest.approx(0.5)


def test_a_repeated_answer_is_one_answer():
    assert correct_probability([[0, 0], [1, 1], [1, 1]], [1, 1, 1], [0, 0]) == pytest.approx(1.0)
    assert correct_probability([[0, 0], [1, 1], [1, 1]], [2, 1, 1], [0, 0]) == pytest.approx(0.5)


def test_answers_must_agree_where_a_template_fixed_the_token():
    with pytest.raises(
        ValueError, match=r"answers must agree where a template fixed .* at positions \[1\]; keep"
    ):
        correct_probability([[0, 0], [0, 1]], [1, 1], [-1, -1])


@pytest.mark.parametrize("steps", [[0], [0, -2], [0.0, 1.0], [[0, 0]]], ids=repr)
def test_steps_must_be_one_integer_per_position(steps):
    with pytest.raises(ValueError, match="steps must be 2 integers, one per position and none below -1, got"):
        correct_probability([[0, 0], [1, 1]], [1, 1], steps)


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf])
def test_temperature_must_be_finite_and_not_negative(temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number, 0 or more, got"):
        correct_probability([[0]], [1], [0], temperature)
    with pytest.raises(ValueError, match="temperature must be a finite number, 0 or more, got"):
        permutation_correct_probability(1, False, [0], [0], temperature)


def test_tolerance_must_not_be_negative():
    with pytest.raises(ValueError, match="tolerance must be 0 or more, got -1"):
        correct_probability([[0]], [1], [0], 0.0, -1)


def written_orders(n_items, exclude_input, slots):
    """Every order as tokens: position j of slot s holds item * P + j, so each token names its item."""
    orders = list(itertools.permutations(range(n_items)))[int(exclude_input) :]
    return [
        [0 if s == -1 else order[s] * len(slots) + j + 1 for j, s in enumerate(slots)] for order in orders
    ]


@st.composite
def item_lists(draw):
    """Slots of one or two tokens each, some positions without an item, and any steps."""
    n_items = draw(st.integers(2, 5))
    more = draw(st.lists(st.integers(-1, n_items - 1), max_size=n_items + 2))
    slots = draw(st.permutations([*range(n_items), *more]))
    return n_items, slots, draw(st.lists(st.integers(0, 3), min_size=len(slots), max_size=len(slots)))


@pytest.mark.parametrize("exclude_input", [False, True], ids=["all", "without_input"])
@given(drawn=item_lists(), temperature=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=150, deadline=None)
def test_the_permutation_law_equals_the_enumerated_one(exclude_input, drawn, temperature):
    n_items, slots, steps = drawn
    answers = written_orders(n_items, exclude_input, slots)
    enumerated = correct_probability(answers, [1] * len(answers), steps, temperature)
    law = permutation_correct_probability(n_items, exclude_input, slots, steps, temperature)
    assert law == pytest.approx(enumerated, abs=1e-12)


def test_two_tokens_of_one_person_at_once_must_agree():
    """Three persons; one step names slot 0 by first and last name (3/9), the others follow singly."""
    slots, steps = [0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 3, 4]
    assert permutation_correct_probability(3, False, slots, steps) == pytest.approx(1 / 3)


def test_twenty_items_in_one_step_and_one_by_one():
    one_step = permutation_correct_probability(20, False, range(20), [0] * 20)
    assert one_step == pytest.approx(math.factorial(20) / 20**20)
    one_by_one = permutation_correct_probability(20, False, range(20), range(20))
    assert one_by_one == pytest.approx(1.0)


def test_without_the_input_greedy_never_takes_the_own_item_while_it_can_tell():
    """Four items in one step: 9 derangements of 3^4 equally likely choices."""
    assert permutation_correct_probability(4, True, range(4), [0] * 4) == pytest.approx(9 / 81)


def test_with_many_items_the_excluded_input_is_within_the_tie():
    """12 items: 1/11! is far below the tolerance, so all 12^12 choices are equally likely."""
    expected = (math.factorial(12) - 1) / 12**12
    assert permutation_correct_probability(12, True, range(12), [0] * 12) == pytest.approx(
        expected, rel=1e-12
    )
    derangements = 176214841
    exact = permutation_correct_probability(12, True, range(12), [0] * 12, tolerance=0.0)
    assert exact == pytest.approx(derangements / 11**12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, False, [0, 1], [0, 0]), r"slots must name every slot below 3, or be -1, got \[0, 1\]"),
        ((1, False, [0, 2], [0, 0]), "slots must name every slot below 1"),
        ((0, False, [], []), "slots must name every slot below 0"),
        ((1, True, [0], [0]), "n_items must be at least 2 without the input order, got 1"),
        ((2, False, [0, 1], [0]), r"steps must be one per slot \(2\)"),
        (
            (2, False, [0, 1], [0, -1]),
            r"steps must be one per slot \(2\), 0 or more at item positions, got \[0, -1\]",
        ),
    ],
    ids=["missing", "unknown", "none", "no_order", "length", "template"],
)
def test_the_permutation_law_refuses_what_it_does_not_cover(arguments, message):
    with pytest.raises(ValueError, match=message):
        permutation_correct_probability(*arguments)


@given(
    n=st.integers(1, 60), p=st.sampled_from([0.01, 0.3, 0.5, 0.9]), alpha=st.sampled_from([0.05, 1e-3, 1e-6])
)
def test_the_interval_is_binomial_for_equal_probabilities(n, p, alpha):
    low, high = interval_of_correct([p] * n, alpha)
    assert binom.cdf(low - 1, n, p) <= alpha / 2 < binom.cdf(low, n, p)
    assert binom.sf(high, n, p) <= alpha / 2 < binom.sf(high - 1, n, p)


@given(chances=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.8, 1.0]), min_size=1, max_size=8))
def test_the_interval_holds_all_but_alpha_of_the_enumerated_mass(chances):
    alpha = 0.1
    mass = Counter()
    for outcome in itertools.product((0, 1), repeat=len(chances)):
        mass[sum(outcome)] += math.prod(p if hit else 1 - p for hit, p in zip(outcome, chances, strict=True))
    low, high = interval_of_correct(chances, alpha)
    assert sum(m for count, m in mass.items() if count < low) <= alpha / 2 + 1e-12
    assert sum(m for count, m in mass.items() if count > high) <= alpha / 2 + 1e-12
    assert sum(m for count, m in mass.items() if count <= low) > alpha / 2 - 1e-12
    assert sum(m for count, m in mass.items() if count >= high) > alpha / 2 - 1e-12


def test_certain_samples_leave_one_count():
    assert interval_of_correct([1.0, 1.0, 0.0, 1.0]) == (3, 3)
    assert interval_of_correct([1.0 + 2e-16] * 100) == (100, 100)


@pytest.mark.parametrize("chances", [[], [1.1], [-0.1], [math.nan], [[0.5]]], ids=repr)
def test_probabilities_must_be_one_or_more_in_the_unit_interval(chances):
    with pytest.raises(ValueError, match=r"probabilities must be one or more numbers in \[0, 1\], got"):
        interval_of_correct(chances)


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_alpha_must_be_inside_the_unit_interval(alpha):
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\), got"):
        interval_of_correct([0.5], alpha)
