"""Closed forms for the list operations: correlation, error bound, and accuracy of an unbiased ideal model.

Source: ParallelBench (ICLR 2026, arXiv 2510.04767), section 4. Shuffle accepts all n! orders, replace random
has n answers, an item is one token, and only items are left to decode. "Unbiased" means that ties between
tokens and between positions are broken at random. Copy and replace index have one answer: correlation 0,
accuracy 1.

Differs: the printed cases of Eq. 5 for k = 2 and k = n are slips of typography; here the product itself is
evaluated, on the quotas that the decode loop uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from decoders.state import ODDS_TOLERANCE, logit


def quotas(n_masked: int, k: int) -> tuple[int, ...]:
    """Split *n_masked* positions over ``ceil(n_masked / k)`` steps as evenly as possible, larger steps first.

    Raises:
        ValueError: If either is below 1.
    """
    _at_least("n_masked", n_masked, 1)
    _at_least("k", k, 1)
    n_steps = -(-n_masked // k)
    quota, n_larger = divmod(n_masked, n_steps)
    return (quota + 1,) * n_larger + (quota,) * (n_steps - n_larger)


def replace_random_correlation(n: int) -> float:
    """Return ``(n-1) [log2 n - log2(n-1)]`` bits (Eq. 3), for n >= 2; it tends to log2 e from below.

    Raises:
        ValueError: If n is below 2.
    """
    _at_least("n", n, 2)
    return -(n - 1) * math.log1p(-1.0 / n) / math.log(2.0)


def shuffle_correlation(n: int) -> float:
    """Return ``n log2 n - log2 n!`` bits (Eq. 4), for n >= 1; it grows without bound.

    Raises:
        ValueError: If n is below 1.
    """
    return shuffle_bound(n, (n,))


def shuffle_bound(n: int, step_sizes: Sequence[int]) -> float:
    """Return the error bound in bits of a shuffle of n items, ``sum_t s_t log2 r_t - log2 n!``.

    Source: paper, section 4.1 (below Eq. 4), with s_t items committed at step t and r_t left before it.

    Raises:
        ValueError: If n is below 1, or the sizes are not positive with sum n.
    """
    _at_least("n", n, 1)
    if sum(step_sizes) != n or min(step_sizes) < 1:
        raise ValueError(
            f"step_sizes must be positive and sum to n={n}, got {step_sizes!r}; see quotas(n, k)"
        )
    left = n
    terms = []
    for size in step_sizes:
        terms.append(size * math.log2(left))
        left -= size
    return math.fsum(terms) - math.log2(math.factorial(n))


def shuffle_accuracy(n: int, k: int) -> float:
    """Return the accuracy of a shuffle with k tokens per step: ``prod_t P(r_t, s_t) / r_t ** s_t`` (Eq. 5).

    It holds for every top-k order, greedy or sampled: all items left are equally likely at every position.

    Raises:
        ValueError: If n or k is below 1.
    """
    accuracy = 1.0
    left = n
    for size in quotas(n, k):
        accuracy *= math.perm(left, size) / left**size
        left -= size
    return accuracy


def replace_random_accuracy(n: int, k: int, *, greedy: bool) -> float:
    """Return the accuracy of replace random with k tokens per step, for n >= 2 and every top-k order.

    Greedy: while more than two positions are masked, keeping is the likelier token at each of them, so the
    replacement is left to the last step: certain if that step has one position, a coin for each of two (1/2),
    lost if it has more. For k | n this is 1, 0.5 and 0 for k = 1, k = 2 and k > 2 (paper, section 4.2.1).
    Sampled: 1 for k = 1 and ``((n-1)/n) ** (n-1)`` for k >= n. Between them the confidence order favours
    positions that drew "keep", so no one form holds for every order.

    Raises:
        ValueError: If n is below 2, k below 1, or 1 < k < n with sampling.
    """
    _at_least("n", n, 2)
    last = quotas(n, k)[-1]
    if greedy:
        return {1: 1.0, 2: 0.5}.get(last, 0.0)
    if 1 < k < n:
        raise ValueError(
            f"k must be 1 or at least n={n} with sampling, got {k!r}; "
            f"decoders.theory.exact_law.correct_probability covers orders that do not depend on tokens"
        )
    return 1.0 if k == 1 else ((n - 1) / n) ** (n - 1)


def shuffle_threshold_accuracy(n: int, gamma: float) -> float:
    """Return the accuracy of a shuffle under a confidence threshold: 1 for gamma > 0.5.

    Source: paper, section 4.2.2. Differs: gamma <= 0.5 is covered too.

    With r items left every confidence is 1/r, so items come out singly until 1/r reaches gamma, and
    then all r at once: ``r! / r ** r`` for the largest such r <= n. It holds greedy and sampled.

    Raises:
        ValueError: If n is below 1 or gamma not in (0, 1].
    """
    _at_least("n", n, 1)
    _check_gamma(gamma)
    at_once = next(left for left in range(n, 0, -1) if _reaches(1.0 / left, gamma))
    return float(math.factorial(at_once) / at_once**at_once)


def replace_random_threshold_accuracy(n: int, gamma: float) -> float:
    """Return the greedy accuracy of replace random under a confidence threshold, for n > 2: 1 or 0.

    Source: paper, section 4.2.2. Every position keeps its item with confidence (n-1)/n at the first step: all
    come out then and none is replaced, or (gamma above it) they come out singly and the last one is the
    replacement. Differs: a confidence passes when it reaches gamma, within the loop's tolerance
    (the paper: when it exceeds gamma), so gamma = (n-1)/n gives 0.

    Raises:
        ValueError: If n is below 3 or gamma not in (0, 1].
    """
    _at_least("n", n, 3)
    _check_gamma(gamma)
    return 0.0 if _reaches((n - 1) / n, gamma) else 1.0


def _reaches(probability: float, gamma: float) -> bool:
    return logit(probability) >= logit(gamma) - ODDS_TOLERANCE


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}; the closed form starts there")


def _check_gamma(gamma: float) -> None:
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"gamma must be in (0, 1], got {gamma!r}; it is compared with a probability")
