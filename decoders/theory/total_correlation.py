"""Conditional total correlation, the error bound of a T-step partition, and the best bound over partitions.

Source: ParallelBench (ICLR 2026, arXiv 2510.04767), sections 3-4 and appendix A. Everything is exact, in
bits, for a joint distribution given as token ids [A, L] and weights [A] (see `decoders.theory.joint`).

The bounds hold for partitions that are fixed before decoding. Confidence and threshold orders depend on the
tokens that were drawn, so the bound of a partition they happened to take does not apply to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from decoders.theory.joint import Joint, choice_probabilities, entropy, group, joint_of

Partition = Sequence[Sequence[int]]
"""The positions committed at each step, in the order of the steps."""

Marginals = Callable[[int, Mapping[int, int]], Mapping[int, float]]
"""(position, committed tokens by position) -> probability of each token at the position."""

Input = TypeVar("Input", bound=Hashable)

MAX_SEARCHED_POSITIONS = 10
"""`best_partition` looks at every subset of the positions, and at every pair of nested ones."""


def total_correlation(
    answers: ArrayLike, weights: ArrayLike, positions: Sequence[int] | None = None, given: Sequence[int] = ()
) -> float:
    """Return the total correlation in bits of the tokens at *positions*, averaged over those at *given*.

    ``sum_i H(y_i | given) - H(positions | given)``: what is lost by choosing the tokens independently of each
    other.

    Source: paper, Eq. 1 (Huang et al., 2022).

    Args:
        answers: Token ids [A, L].
        weights: [A], positive.
        positions: The positions; None for all.
        given: Positions already known.

    Raises:
        ValueError: If a position does not exist or appears twice.
    """
    joint = joint_of(answers, weights)
    chosen = tuple(range(joint.n_positions)) if positions is None else tuple(positions)
    known = tuple(given)
    named = (*chosen, *known)
    if len(set(named)) != len(named) or not set(named) <= set(range(joint.n_positions)):
        raise ValueError(
            f"positions and given must be distinct positions below {joint.n_positions}, "
            f"got {chosen!r} and {known!r}; a position is either chosen or known"
        )
    return _correlation(joint, chosen, known)


def _correlation(joint: Joint, chosen: tuple[int, ...], known: tuple[int, ...]) -> float:
    context = entropy(joint, known)
    separate = math.fsum(entropy(joint, (*known, position)) - context for position in chosen)
    return separate - (entropy(joint, (*known, *chosen)) - context)


def error_bound(answers: ArrayLike, weights: ArrayLike, partition: Partition) -> float:
    """Return ``L_T = sum_t E[C(S_t | S_<t)]`` in bits for an ordered partition of all positions.

    Source: paper, Theorem 1 (Eq. 2): no model that chooses the tokens of a step independently has a smaller
    divergence from the answers; one with the exact conditional marginals has exactly this one.

    Raises:
        ValueError: If the steps are not non-empty, disjoint and together all positions.
    """
    joint = joint_of(answers, weights)
    _check_partition(partition, joint.n_positions)
    bounds: list[float] = []
    known: tuple[int, ...] = ()
    for step in partition:
        bounds.append(_correlation(joint, tuple(step), known))
        known = (*known, *step)
    return math.fsum(bounds)


def conditional_marginal(
    answers: ArrayLike, weights: ArrayLike, position: int, given: Mapping[int, int]
) -> dict[int, float]:
    """Return the exact probability of every token at *position*, given tokens by position.

    Raises:
        ValueError: If no answer has the given tokens.
    """
    joint = joint_of(answers, weights)
    agrees = np.ones(len(joint.answers), dtype=bool)
    for known, token in given.items():
        agrees &= joint.answers[:, known] == token
    if not agrees.any():
        raise ValueError(f"given must agree with an answer, got {dict(given)!r}; it has probability 0")
    tokens, cell = np.unique(joint.answers[agrees, position], return_inverse=True)
    mass = np.bincount(cell.reshape(-1), weights=joint.probabilities[agrees])
    return {int(token): float(share) for token, share in zip(tokens, mass / mass.sum(), strict=True)}


def model_distribution(
    answers: ArrayLike, weights: ArrayLike, partition: Partition, marginals: Marginals | None = None
) -> dict[tuple[int, ...], float]:
    """Return the probability that the factorised model gives each answer; the rest of 1 is no answer.

    Source: paper, Eq. 6: the product over steps, and over the positions of a step, of the model's marginals
    given the tokens of earlier steps.

    Args:
        answers: Token ids [A, L].
        weights: [A], positive.
        partition: Positions of each step.
        marginals: The model; None for the exact conditional marginals of the answers.

    Raises:
        ValueError: If the partition is not one, or a marginal is not a distribution.
    """
    joint = joint_of(answers, weights)
    _check_partition(partition, joint.n_positions)
    probability = np.ones(len(joint.answers))
    known: tuple[int, ...] = ()
    for step in partition:
        if marginals is None:
            probability *= choice_probabilities(joint, group(joint, known), tuple(step), 1.0, 0.0)
        else:
            for row, answer in enumerate(joint.answers.tolist()):
                given = {position: answer[position] for position in known}
                for position in step:
                    probability[row] *= _checked(marginals(position, given), position).get(
                        answer[position], 0.0
                    )
        known = (*known, *step)
    return {tuple(row): float(share) for row, share in zip(joint.answers.tolist(), probability, strict=True)}


def _checked(marginal: Mapping[int, float], position: int) -> Mapping[int, float]:
    if any(share < 0.0 for share in marginal.values()) or abs(math.fsum(marginal.values()) - 1.0) > 1e-9:
        raise ValueError(
            f"marginals must give probabilities that sum to 1, got {dict(marginal)!r} "
            f"at position {position}; normalise them"
        )
    return marginal


def divergence(
    answers: ArrayLike, weights: ArrayLike, partition: Partition, marginals: Marginals | None = None
) -> float:
    """Return ``KL(P_data || P_model)`` in bits, inf where the model never gives an answer.

    Source: paper, Eq. 8-11. Arguments as for `model_distribution`.
    """
    joint = joint_of(answers, weights)
    model = model_distribution(answers, weights, partition, marginals)
    terms = []
    for answer, share in zip(joint.answers.tolist(), joint.probabilities.tolist(), strict=True):
        given_by_model = model[tuple(answer)]
        terms.append(share * math.log2(share / given_by_model) if given_by_model > 0.0 else math.inf)
    return math.fsum(terms)


def best_partition(answers: ArrayLike, weights: ArrayLike, n_steps: int) -> tuple[tuple[int, ...], ...]:
    """Return an ordered partition into *n_steps* non-empty steps with the smallest error bound.

    Exact: dynamic programming over the sets of positions committed so far.

    Raises:
        ValueError: If there are more than 10 positions, or *n_steps* is not in 1..positions.
    """
    joint = joint_of(answers, weights)
    n_positions = joint.n_positions
    if n_positions > MAX_SEARCHED_POSITIONS:
        raise ValueError(
            f"answers must have at most {MAX_SEARCHED_POSITIONS} positions, got {n_positions}; "
            f"the search looks at every subset"
        )
    if not 1 <= n_steps <= n_positions:
        raise ValueError(
            f"n_steps must be in 1..{n_positions}, got {n_steps!r}; every step commits a position"
        )
    subsets = [tuple(i for i in range(n_positions) if mask >> i & 1) for mask in range(1 << n_positions)]
    bits = [entropy(joint, subset) for subset in subsets]
    best: dict[int, tuple[float, tuple[tuple[int, ...], ...]]] = {0: (0.0, ())}
    for _ in range(n_steps):
        longer: dict[int, tuple[float, tuple[tuple[int, ...], ...]]] = {}
        for done, (cost, steps) in best.items():
            for part in range(1, 1 << n_positions):
                if part & done:
                    continue
                added = math.fsum(bits[done | 1 << i] - bits[done] for i in subsets[part])
                total = cost + added - (bits[done | part] - bits[done])
                if done | part not in longer or total < longer[done | part][0]:
                    longer[done | part] = (total, (*steps, subsets[part]))
        best = longer
    return best[len(subsets) - 1][1]


def best_bound(answers: ArrayLike, weights: ArrayLike, n_steps: int) -> float:
    """Return ``L*_T``, the smallest error bound in bits of any ordered partition into *n_steps* steps.

    Source: paper, Theorem 2: it never grows with *n_steps*, from C(Y) at 1 to 0 at one position per step.
    """
    return error_bound(answers, weights, best_partition(answers, weights, n_steps))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnswersGiven:
    """What is known of one input: how likely it is, and its answers with their weights.

    Args:
        weight: Positive; inputs count in proportion to it.
        answers: Token ids [A, L].
        weights: [A], positive.
    """

    weight: float
    answers: ArrayLike
    weights: ArrayLike


def input_dependent_bound(
    inputs: Mapping[Input, AnswersGiven], partition_of: Callable[[Input], Partition]
) -> float:
    """Return ``E_X[L_T(partition_of(X) | X)]`` in bits, for a partition that depends on the input.

    Source: paper, appendix A.3 (Eq. 28).

    Raises:
        ValueError: If there is no input, a weight is not positive, or the partitions differ in their number
            of steps.
    """
    partitions = {key: partition_of(key) for key in inputs}
    counts = sorted({len(partition) for partition in partitions.values()})
    if len(counts) > 1:
        raise ValueError(f"partitions must all have the same number of steps, got {counts}; T is one number")
    if not inputs or not all(0.0 < given.weight < math.inf for given in inputs.values()):
        weights = [given.weight for given in inputs.values()]
        raise ValueError(
            f"inputs must be one or more with positive finite weights, got {weights!r}; leave out others"
        )
    total = math.fsum(given.weight for given in inputs.values())
    return math.fsum(
        given.weight / total * error_bound(given.answers, given.weights, partitions[key])
        for key, given in inputs.items()
    )


def best_input_dependent_bound(inputs: Mapping[Input, AnswersGiven], n_steps: int) -> float:
    """Return ``L*_T`` in bits for partitions that depend on the input: the mean of the best bounds.

    Source: paper, Theorem 3 (appendix A.3): it never grows with *n_steps*.
    """

    def best(key: Input) -> Partition:
        return best_partition(inputs[key].answers, inputs[key].weights, n_steps)

    return input_dependent_bound(inputs, best)


def _check_partition(partition: Partition, n_positions: int) -> None:
    named = sorted(position for step in partition for position in step)
    if named != list(range(n_positions)) or not all(len(step) for step in partition):
        raise ValueError(
            f"partition must have non-empty steps that name every position below {n_positions} once, "
            f"got {partition!r}; list the positions of each step in order"
        )
