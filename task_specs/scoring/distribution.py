"""Distribution metrics of the tasks with several right answers: is the choice among them unbiased?

A model that always rotates a list by one solves every shuffle, and no accuracy shows it. These metrics do:
the p-value of Pearson's chi-square test against the unbiased law, and the entropy of the choices over its
maximum.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from task_specs.sample import Sample
from task_specs.scoring.lists import RANDOM_OPERATIONS, is_right, list_items

MIN_EXPECTED = 2.0
"""A list length is used where an unbiased model is expected to make every choice at least this often."""

Choice = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceDistribution:
    """How the right answers of one task are spread over the choices there were.

    Args:
        p_value: Chance that an unbiased model spreads at least as unevenly (Pearson's chi-square statistics
            of the list lengths, added up).
        entropy_ratio: Entropy of the choices over the log of their number, from 0 (always the same) to 1 (up
            to rounding), averaged over list lengths by samples.
        entropy_ratio_unbiased: What an unbiased model is expected to show there with so few samples; below 1.
        n_right: Right answers.
        n_used: Those of list lengths with enough of them.
        reason: Why the three numbers are None, or None.
    """

    p_value: float | None
    entropy_ratio: float | None
    entropy_ratio_unbiased: float | None
    n_right: int
    n_used: int
    reason: str | None = None


def upper_gamma_ratio(shape: float, x: float) -> float:
    """Return the regularised upper incomplete gamma function Q(shape, x), shape > 0, x >= 0.

    **Source**: the power series below x = shape + 1 and Lentz's continued fraction above it (Abramowitz and
    Stegun, 6.5.29 and 6.5.31). The p-value of a chi-square statistic with d degrees of freedom is
    Q(d / 2, statistic / 2).

    Raises:
        ValueError: An argument out of range.
    """
    if not (shape > 0.0 and 0.0 <= x < math.inf):
        raise ValueError(
            f"shape must be above 0 and x at least 0, got {shape!r} and {x!r}; pass finite numbers"
        )
    if x == 0.0:
        return 1.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = total = 1.0 / shape
        n = 0
        while term > total * 1e-17:
            n += 1
            term *= x / (shape + n)
            total += term
        return 1.0 - front * total
    b = x + 1.0 - shape
    c, d = math.inf, 1.0 / b
    fraction, factor, n = d, math.inf, 0
    while abs(factor - 1.0) > 1e-15:
        n += 1
        a = n * (shape - n)
        b += 2.0
        c = b + a / c
        d = 1.0 / (b + a * d)
        factor = c * d
        fraction *= factor
    return front * fraction


def choice_made(answer: list[str], facts: Mapping[str, Any]) -> Choice:
    """Return which of the right answers *answer* is.

    The place replaced, inserted at or removed; for a shuffle the input place of every person in turn.
    """
    items = list(facts["items"])
    match facts["operation"]:
        case "shuffle":
            return tuple(items.index(person) for person in answer)
        case "remove_random":
            kept = zip(items, answer, strict=False)
            return (next((place for place, (old, new) in enumerate(kept) if old != new), len(answer)),)
    return (answer.index(facts["word"]),)


def unbiased_law(facts: Mapping[str, Any], n_samples: int) -> dict[Choice, float] | None:
    """Return the probability of every choice under an unbiased model, or None where *n_samples* are too few.

    A shuffle has too many orders to count each, so a choice is the first few persons of the order, as many
    as leave an expected count of `MIN_EXPECTED` for each choice. Probabilities are numbers of orders over all
    orders (n!, or n! - 1 without the input itself).
    """
    n = len(facts["items"])
    if facts["operation"] != "shuffle":
        n_choices = n + 1 if facts["operation"] == "insert_random" else n
        enough = n_choices > 1 and n_samples / n_choices >= MIN_EXPECTED
        return {(place,): 1.0 / n_choices for place in range(n_choices)} if enough else None
    excluded = bool(facts["exclude_input"])
    total = math.factorial(n) - excluded
    law = None
    for depth in range(1, n):
        if math.perm(n, depth) * MIN_EXPECTED > n_samples + MIN_EXPECTED:
            break
        counts = {
            prefix: math.factorial(n - depth) - (excluded and prefix == tuple(range(depth)))
            for prefix in permutations(range(n), depth)
        }
        finer = {prefix: count / total for prefix, count in counts.items() if count}
        if len(finer) < 2 or n_samples * min(finer.values()) < MIN_EXPECTED:
            break
        law = finer
    return law


def expected_entropy(law: Mapping[Choice, float], n_samples: int) -> float:
    """Return the expected entropy in nats of the frequencies of *n_samples* draws from *law* (exact)."""
    lost = 0.0
    for p in law.values():
        for count in range(2, n_samples + 1):
            chance = math.comb(n_samples, count) * p**count * (1.0 - p) ** (n_samples - count)
            lost += chance * count * math.log(count)
    return math.log(n_samples) - lost / n_samples


def choice_distribution(outputs: Iterable[tuple[Sample, str]]) -> ChoiceDistribution:
    """Return how evenly the right ones among *outputs* of one task are spread over the choices.

    Args:
        outputs: Pairs of a sample and its output text. Only right answers count. List lengths are tested
            apart and pooled: their chi-square statistics and degrees of freedom add up.

    Raises:
        ValueError: The samples belong to several operations.
    """
    chosen: dict[int, list[Choice]] = {}
    facts_of: dict[int, Mapping[str, Any]] = {}
    operations = set()
    for sample, text in outputs:
        operation = sample.facts.get("operation", "not a list operation")
        operations.add(operation)
        answer = list_items(text) if operation in RANDOM_OPERATIONS else None
        if answer is not None and is_right(answer, sample.facts):
            length = len(sample.facts["items"])
            chosen.setdefault(length, []).append(choice_made(answer, sample.facts))
            facts_of[length] = sample.facts
    if len(operations) > 1:
        raise ValueError(
            f"outputs must be of one operation, got {sorted(operations)}; call once for each task"
        )
    if not operations & set(RANDOM_OPERATIONS):
        named = " ".join(operations) or "no output"
        return _unknown(0, f"{named}: only the random list operations leave a choice")
    n_right = sum(map(len, chosen.values()))
    statistic = entropy = unbiased = largest = 0.0
    freedom = n_used = 0
    for length, choices in chosen.items():
        n = len(choices)
        law = unbiased_law(facts_of[length], n)
        if law is None:
            continue
        depth = len(next(iter(law)))
        counts = Counter(choice[:depth] for choice in choices)
        n_used += n
        freedom += len(law) - 1
        statistic += sum((counts[choice] - n * p) ** 2 / (n * p) for choice, p in law.items())
        entropy -= sum(count * math.log(count / n) for count in counts.values())
        unbiased += n * expected_entropy(law, n)
        largest += n * math.log(len(law))
    if not n_used:
        return _unknown(
            n_right, f"{n_right} right answers: no list length has {MIN_EXPECTED:g} for each choice"
        )
    return ChoiceDistribution(
        p_value=upper_gamma_ratio(freedom / 2.0, statistic / 2.0),
        entropy_ratio=entropy / largest,
        entropy_ratio_unbiased=unbiased / largest,
        n_right=n_right,
        n_used=n_used,
    )


def _unknown(n_right: int, reason: str) -> ChoiceDistribution:
    return ChoiceDistribution(
        p_value=None,
        entropy_ratio=None,
        entropy_ratio_unbiased=None,
        n_right=n_right,
        n_used=0,
        reason=reason,
    )
