"""Theorems 1-3 and Lemma 1 of the paper, on random joint distributions and on the list operations."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.theory.total_correlation import (
    AnswersGiven,
    best_bound,
    best_input_dependent_bound,
    best_partition,
    conditional_marginal,
    divergence,
    error_bound,
    input_dependent_bound,
    model_distribution,
    total_correlation,
)

SLACK = 1e-9
XOR = ([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]], [1, 1, 1, 1])


class Law(NamedTuple):
    answers: list[tuple[int, ...]]
    weights: list[int]


@st.composite
def laws(draw, min_length=1, max_length=4):
    """Some sequences over three tokens, unequally likely."""
    length = draw(st.integers(min_length, max_length))
    sequences = st.tuples(*[st.integers(0, 2)] * length)
    answers = draw(st.lists(sequences, min_size=1, max_size=10, unique=True))
    return Law(answers, draw(st.lists(st.integers(1, 9), min_size=len(answers), max_size=len(answers))))


@st.composite
def laws_with_partition(draw, min_length=1):
    law = draw(laws(min_length=min_length))
    return law, draw(partitions(len(law.answers[0])))


@st.composite
def partitions(draw, length, n_steps=None):
    order = draw(st.permutations(range(length)))
    size = None if n_steps is None else n_steps - 1
    cut_points = (
        st.sets(st.integers(1, length - 1), min_size=size or 0, max_size=size) if length > 1 else st.just(())
    )
    cuts = [0, *sorted(draw(cut_points)), length]
    return [tuple(order[a:b]) for a, b in itertools.pairwise(cuts)]


def ordered_partitions(positions, n_steps):
    """Every ordered partition, by giving each position a step: independent of the search that is tested."""
    for steps in itertools.product(range(n_steps), repeat=len(positions)):
        parts = [
            tuple(p for p, s in zip(positions, steps, strict=True) if s == step) for step in range(n_steps)
        ]
        if all(parts):
            yield parts


def shuffle(n):
    answers = list(itertools.permutations(range(n)))
    return Law(answers, [1] * len(answers))


def test_correlation_of_two_equal_coins_is_one_bit():
    assert total_correlation([[0, 0], [1, 1]], [1, 1]) == pytest.approx(1.0)


def test_xor_is_dependent_although_every_pair_is_independent():
    assert total_correlation(*XOR) == pytest.approx(1.0)
    assert total_correlation(*XOR, positions=(0, 1)) == pytest.approx(0.0, abs=SLACK)
    assert total_correlation(*XOR, positions=(0, 1), given=(2,)) == pytest.approx(1.0)


def test_correlation_uses_the_weights():
    """P(00) = 3/4, P(11) = 1/4: twice H(1/4) minus H(1/4)."""
    expected = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert total_correlation([[7, 7], [9, 9]], [3, 1]) == pytest.approx(expected)


def test_a_single_answer_has_no_correlation_and_no_bound():
    assert total_correlation([[5, 6, 7]], [2.5]) == 0.0
    assert error_bound([[5, 6, 7]], [2.5], [(0, 1, 2)]) == 0.0


def test_a_repeated_answer_adds_its_weight():
    assert total_correlation([[0, 0], [1, 1], [0, 0]], [1, 1, 2]) == pytest.approx(
        total_correlation([[0, 0], [1, 1]], [3, 1])
    )


@given(law=laws())
def test_correlation_is_never_negative(law):
    assert total_correlation(*law) >= -SLACK


@given(law=laws(), data=st.data())
def test_conditional_correlation_is_the_mean_over_what_is_given(law, data):
    """E_Z[C(S|Z)] by hand: condition the answers on each value of Z."""
    length = len(law.answers[0])
    known = data.draw(st.sets(st.integers(0, length - 1), max_size=length - 1))
    chosen = tuple(p for p in range(length) if p not in known)
    mean = 0.0
    for value in {tuple(a[p] for p in known) for a in law.answers}:
        rows = [i for i, a in enumerate(law.answers) if tuple(a[p] for p in known) == value]
        weights = [law.weights[i] for i in rows]
        part = [[law.answers[i][p] for p in chosen] for i in rows]
        mean += sum(weights) / sum(law.weights) * total_correlation(part, weights)
    assert total_correlation(*law, positions=chosen, given=tuple(known)) == pytest.approx(mean, abs=SLACK)


@given(law_and_partition=laws_with_partition())
def test_theorem_1_exact_marginals_reach_the_bound(law_and_partition):
    law, partition = law_and_partition
    assert divergence(*law, partition) == pytest.approx(error_bound(*law, partition), abs=SLACK)


@given(law_and_partition=laws_with_partition(), share=st.floats(0.001, 1.0), seed=st.integers(0, 99))
def test_theorem_1_no_other_marginals_beat_the_bound(law_and_partition, share, seed):
    """The model's marginals are the exact ones, mixed with any others over a vocabulary of four tokens."""
    law, partition = law_and_partition

    def marginals(position, known):
        exact = conditional_marginal(*law, position, known)
        other = np.random.default_rng([seed, position, *known.values()]).dirichlet(np.ones(4))
        return {t: (1 - share) * exact.get(t, 0.0) + share * float(other[t]) for t in range(4)}

    assert divergence(*law, partition, marginals) >= error_bound(*law, partition) - SLACK


@given(law_and_partition=laws_with_partition())
def test_given_marginals_that_are_exact_change_nothing(law_and_partition):
    law, partition = law_and_partition
    given_marginals = model_distribution(
        *law, partition, lambda p, known: conditional_marginal(*law, p, known)
    )
    assert given_marginals == pytest.approx(model_distribution(*law, partition))


def test_wrong_marginals_cost_what_kullback_and_leibler_say():
    """One fair coin, model 1/4 to 3/4: 1/2 log2 2 + 1/2 log2 (2/3)."""
    cost = divergence([[0], [1]], [1, 1], [(0,)], lambda p, known: {0: 0.25, 1: 0.75})
    assert cost == pytest.approx(0.5 * math.log2(2.0) + 0.5 * math.log2(2.0 / 3.0))


def test_divergence_is_infinite_where_the_model_misses_an_answer():
    assert divergence([[0], [1]], [1, 1], [(0,)], lambda p, known: {0: 1.0}) == math.inf


def test_the_model_of_two_equal_coins_wastes_half_its_mass():
    assert model_distribution([[0, 0], [1, 1]], [1, 1], [(0, 1)]) == {(0, 0): 0.25, (1, 1): 0.25}


@given(law=laws(min_length=2), data=st.data())
def test_lemma_1_splitting_a_step_never_raises_the_correlation(law, data):
    """C(S|Z) >= C(A|Z) + E_A[C(B|Z,A)] for disjoint A, B and any Z, none of them fixed."""
    role = data.draw(
        st.lists(st.sampled_from("ABZ-"), min_size=len(law.answers[0]), max_size=len(law.answers[0]))
    )
    a, b, z = (tuple(p for p, r in enumerate(role) if r == name) for name in "ABZ")
    whole = total_correlation(*law, positions=a + b, given=z)
    split = total_correlation(*law, positions=a, given=z) + total_correlation(*law, positions=b, given=z + a)
    assert whole >= split - SLACK


@given(law=laws())
def test_theorem_2_the_best_bound_falls_from_the_correlation_to_zero(law):
    length = len(law.answers[0])
    bounds = [best_bound(*law, n_steps) for n_steps in range(1, length + 1)]
    assert bounds[0] == pytest.approx(total_correlation(*law), abs=SLACK)
    assert bounds[-1] == pytest.approx(0.0, abs=SLACK)
    assert all(more >= fewer - SLACK for more, fewer in itertools.pairwise(bounds))


@given(law=laws(), data=st.data())
def test_the_search_finds_the_best_of_all_ordered_partitions(law, data):
    length = len(law.answers[0])
    n_steps = data.draw(st.integers(1, length))
    by_hand = min(error_bound(*law, parts) for parts in ordered_partitions(range(length), n_steps))
    found = best_partition(*law, n_steps)
    assert len(found) == n_steps
    assert error_bound(*law, found) == pytest.approx(by_hand, abs=SLACK)
    assert best_bound(*law, n_steps) == pytest.approx(by_hand, abs=SLACK)


def test_the_search_separates_the_dependent_pair():
    """Positions 0 and 2 are equal, position 1 is free: two steps suffice, the pair split over them."""
    answers = [[x, y, x] for x in (0, 1) for y in (0, 1)]
    assert best_bound(answers, [1] * 4, 2) == pytest.approx(0.0, abs=SLACK)
    first, second = best_partition(answers, [1] * 4, 2)
    assert len({0, 2} & set(first)) == 1 == len({0, 2} & set(second))


def test_the_search_covers_five_positions():
    """Shuffle of five in two steps: three items, then two (3 log2 5 + 2 log2 2 - log2 120)."""
    assert best_bound(*shuffle(5), 2) == pytest.approx(3 * math.log2(5) + 2 - math.log2(120))


@st.composite
def inputs_with_partitions(draw):
    """Two or three inputs with laws of one length, and for each a partition into T steps."""
    length = draw(st.integers(1, 4))
    n_steps = draw(st.integers(1, length))
    found = draw(st.lists(laws(min_length=length, max_length=length), min_size=2, max_size=3))
    weights = draw(st.lists(st.integers(1, 5), min_size=len(found), max_size=len(found)))
    inputs = {
        f"x{i}": AnswersGiven(weight=w, answers=law.answers, weights=law.weights)
        for i, (w, law) in enumerate(zip(weights, found, strict=True))
    }
    return length, n_steps, inputs, {key: draw(partitions(length, n_steps)) for key in inputs}


@given(drawn=inputs_with_partitions())
@settings(max_examples=50)
def test_theorem_3_the_best_input_dependent_bound_never_grows_with_steps(drawn):
    length, _, inputs, _ = drawn
    bounds = [best_input_dependent_bound(inputs, n_steps) for n_steps in range(1, length + 1)]
    assert all(more >= fewer - SLACK for more, fewer in itertools.pairwise(bounds))
    assert bounds[-1] == pytest.approx(0.0, abs=SLACK)


@given(drawn=inputs_with_partitions())
@settings(max_examples=50)
def test_theorem_3_no_mapping_from_inputs_to_partitions_beats_the_best_one(drawn):
    _, n_steps, inputs, partition_of = drawn
    best = best_input_dependent_bound(inputs, n_steps)
    assert best <= input_dependent_bound(inputs, partition_of.__getitem__) + SLACK
    same_for_all = next(iter(partition_of.values()))
    assert best <= input_dependent_bound(inputs, lambda _: same_for_all) + SLACK


@given(drawn=inputs_with_partitions())
@settings(max_examples=50)
def test_an_input_dependent_bound_is_the_mean_divergence_over_inputs(drawn):
    _, _, inputs, partition_of = drawn
    total = sum(x.weight for x in inputs.values())
    mean = sum(
        x.weight / total * divergence(x.answers, x.weights, partition_of[k]) for k, x in inputs.items()
    )
    assert input_dependent_bound(inputs, partition_of.__getitem__) == pytest.approx(mean, abs=SLACK)


def test_an_input_that_tells_which_pair_is_equal_saves_the_bit():
    """Under x0 positions 0 and 1 are equal, under x1 positions 1 and 2; split per input, nothing is lost."""
    pair_01 = [[a, a, b] for a in (0, 1) for b in (0, 1)]
    pair_12 = [[a, b, b] for a in (0, 1) for b in (0, 1)]
    inputs = {
        "x0": AnswersGiven(weight=1, answers=pair_01, weights=[1] * 4),
        "x1": AnswersGiven(weight=3, answers=pair_12, weights=[1] * 4),
    }
    assert best_input_dependent_bound(inputs, 2) == pytest.approx(0.0, abs=SLACK)
    assert input_dependent_bound(inputs, lambda _: [(0, 1), (2,)]) == pytest.approx(0.25)
