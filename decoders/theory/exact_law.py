"""How often an unbiased ideal model is right: the exact law of a partition blind to the tokens.

The law conditions on the recorded partition (which position was committed at which step). It holds where that
partition says nothing about the tokens: random and left-to-right orders, any method that ends in one step. It
does not hold for confidence or threshold orders, nor where a committed token may be masked again.

Legend: A = answers, L = positions, P = positions given, S = samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike

from decoders.theory.joint import (
    FloatArray,
    Joint,
    check_temperature,
    choice_probabilities,
    joint_of,
    refine,
)

TIE_TOLERANCE = 1e-6
"""Tokens this close in natural log probability are tied, and a tie is broken at random."""


def correct_probability(
    answers: ArrayLike,
    weights: ArrayLike,
    steps: ArrayLike,
    temperature: float = 0.0,
    tolerance: float = TIE_TOLERANCE,
) -> float:
    """Return the probability that decoding ends in one of *answers*.

    The sum over answers of the product, over steps and positions, of the chance that the answer's token is
    chosen given the answer's tokens of earlier steps: 1 / number of tied best tokens if it is one of them
    (temperature 0), or its tempered conditional marginal.

    Args:
        answers: Token ids [A, L]; a row that appears twice counts once, with both weights.
        weights: [A], positive.
        steps: [L], the step at which each position was committed, -1 where a template fixed it.
        temperature: 0 for greedy with random ties; above 0 the marginals are raised to 1 / temperature.
        tolerance: Width of a tie in natural log probability.

    Raises:
        ValueError: If the steps do not fit the answers, or the answers differ where a template fixed the
            token.
    """
    return joint_correct_probability(joint_of(answers, weights), steps, temperature, tolerance)


def joint_correct_probability(
    joint: Joint, steps: ArrayLike, temperature: float = 0.0, tolerance: float = TIE_TOLERANCE
) -> float:
    """Return `correct_probability` of answers that were made a joint distribution before."""
    check_temperature(temperature, tolerance)
    step_of = np.asarray(steps)
    if step_of.shape != (joint.n_positions,) or step_of.dtype.kind not in "iu" or step_of.min() < -1:
        raise ValueError(
            f"steps must be {joint.n_positions} integers, one per position and none below -1, got {steps!r}; "
            f"-1 means fixed by a template"
        )
    varies = joint.varies
    loose = np.flatnonzero(varies & (step_of == -1)).tolist()
    if loose:
        raise ValueError(
            f"answers must agree where a template fixed the token (step -1), got different tokens at "
            f"positions {loose!r}; keep only the answers that fit the template"
        )
    probability = np.ones(len(joint.answers))
    labels = np.zeros(len(joint.answers), dtype=np.int64)
    for step in np.unique(step_of[varies]):
        if labels.max() == len(labels) - 1:
            break  # every answer is told apart: what is left of each is certain
        positions = np.flatnonzero(varies & (step_of == step))
        probability *= choice_probabilities(joint, labels, positions, temperature, tolerance)
        labels = refine(labels, joint.answers[:, positions], joint.span)
    return float(probability.sum())


def permutation_correct_probability(
    n_items: int,
    exclude_input: bool,
    slots: Sequence[int],
    steps: Sequence[int],
    temperature: float = 0.0,
    tolerance: float = TIE_TOLERANCE,
) -> float:
    """Return the probability that decoding ends in an allowed order of *n_items* items.

    No order is enumerated. Every token of an item names it, so the first step that touches a slot decides it,
    later tokens of the slot follow, and tokens of one slot that are chosen in the same step must name the
    same item. All orders
    allowed: with r items left, a step that touches u new slots with m tokens is right with probability ``P(r,
    u) / r ** m``. Without the input order the marginals differ from that only while all slots decided so far
    hold their own item: then the own item of a slot has probability ((r-1)! - 1) / (r! - 1) and every other
    item (r-1)! / (r! - 1). Own items are tied with the others at temperature 0 once 1 / (r-1)! is within the
    tolerance.

    Args:
        n_items: Items, and slots for them.
        exclude_input: Whether the input order itself is no answer.
        slots: [P], the slot of each position; -1 for positions that no item reaches (brackets, separators,
            padding).
        steps: [P], the step at which each position was committed.
        temperature: 0 for greedy with random ties; above 0 the marginals are raised to 1 / temperature.
        tolerance: Width of a tie in natural log probability.

    Raises:
        ValueError: If the slots do not name every item, the steps do not fit, or no order is left.
    """
    check_temperature(temperature, tolerance)
    if n_items < 1 or set(slots) - {-1} != set(range(n_items)):
        raise ValueError(
            f"slots must name every slot below {n_items}, or be -1, got {slots!r}; one per position"
        )
    if exclude_input and n_items < 2:
        raise ValueError(
            f"n_items must be at least 2 without the input order, got {n_items!r}; no order is left"
        )
    if len(steps) != len(slots) or any(step < 0 <= slot for slot, step in zip(slots, steps, strict=True)):
        raise ValueError(
            f"steps must be one per slot ({len(slots)}), 0 or more at item positions, got {steps!r}; "
            f"a template holds no items"
        )
    touched = [(step, slot) for slot, step in zip(slots, steps, strict=True) if slot != -1]
    free, as_input = (0.0, 1.0) if exclude_input else (1.0, 0.0)
    left = n_items
    for tokens in _tokens_of_new_slots(touched):
        moved, stayed = _leave_input(left, tokens, temperature, tolerance) if as_input > 0.0 else (0.0, 0.0)
        free = free * math.perm(left, len(tokens)) / left ** sum(tokens) + as_input * moved
        as_input *= stayed
        left -= len(tokens)
    return free


def _tokens_of_new_slots(touched: list[tuple[int, int]]) -> list[list[int]]:
    """Return, for every step that decides slots, the number of tokens it commits of each."""
    decided: set[int] = set()
    tokens = []
    for _, pairs in groupby(sorted(touched), key=lambda pair: pair[0]):
        counts: dict[int, int] = {}
        for _, slot in pairs:
            if slot not in decided:
                counts[slot] = counts.get(slot, 0) + 1
        decided.update(counts)
        if counts:
            tokens.append(list(counts.values()))
    return tokens


def _leave_input(left: int, tokens: list[int], temperature: float, tolerance: float) -> tuple[float, float]:
    """Return the chances that a step leaves the input order consistently, and that it follows it.

    All slots decided so far hold their own item; *left* items remain, and the step chooses ``tokens[j]``
    tokens of its j-th new slot.
    """
    if left == 1:
        return 0.0, 0.0
    own_weight, other_weight = math.factorial(left - 1) - 1, math.factorial(left - 1)
    behind = math.log(own_weight / other_weight) if own_weight else -math.inf
    own = float(behind >= -tolerance) if temperature == 0.0 else math.exp(behind / temperature)
    total = own + left - 1
    by_n_own = [1.0]
    for n_tokens in tokens:
        keep, change = (own / total) ** n_tokens, (1.0 / total) ** n_tokens
        by_n_own = [
            same * change + one_more * keep
            for same, one_more in zip([*by_n_own, 0.0], [0.0, *by_n_own], strict=True)
        ]
    n_new = len(tokens)
    moved = math.fsum(
        chance * _orders_without_own(left - n_own, n_new - n_own)
        for n_own, chance in enumerate(by_n_own[:-1])
    )
    return moved, by_n_own[-1]


def _orders_without_own(n_items: int, n_slots: int) -> int:
    """Return in how many ways *n_slots* slots take distinct items out of *n_items*, none its own."""
    return sum(
        (-1) ** j * math.comb(n_slots, j) * math.perm(n_items - j, n_slots - j) for j in range(n_slots + 1)
    )


def interval_of_correct(probabilities: Sequence[float], alpha: float = 1e-6) -> tuple[int, int]:
    """Return the central interval of the number of correct samples: each tail is at most alpha / 2.

    The samples are independent, sample s correct with ``probabilities[s]``; the sum's distribution is
    convolved exactly (Poisson-binomial).

    Args:
        probabilities: [S], in [0, 1] up to rounding (1e-9).
        alpha: Probability of falling outside, in (0, 1).

    Raises:
        ValueError: If there is no sample, or a probability or alpha is out of range.
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    if chances.ndim != 1 or not chances.size or not ((chances >= -1e-9) & (chances <= 1.0 + 1e-9)).all():
        raise ValueError(
            f"probabilities must be one or more numbers in [0, 1], got {probabilities!r}; one per sample"
        )
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be in (0, 1), got {alpha!r}; 1e-6 fails one sound run in a million")
    mass: FloatArray = np.ones(1)
    for chance in chances:
        mass = np.convolve(mass, (1.0 - chance, chance))
    low = int((np.cumsum(mass) <= alpha / 2).sum())
    high = chances.size - int((np.cumsum(mass[::-1]) <= alpha / 2).sum())
    return low, high
