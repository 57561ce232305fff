"""A joint distribution over token sequences: distinct answers, their probabilities, and what they share.

Legend: A = distinct answers, L = positions, P = positions of one step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

CODES_PER_VALUE = 8
"""Codes are looked up in a table of at most so many entries for each of them, else sorted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Joint:
    """Distinct answers with their probabilities; build one with `joint_of`.

    Args:
        answers: Token ids [A, L], rows distinct.
        probabilities: [A], positive, sum 1.
        span: One more than the largest token id.
    """

    answers: IntArray
    probabilities: FloatArray
    span: int

    @property
    def n_positions(self) -> int:
        """L, the length of every answer."""
        return int(self.answers.shape[1])

    @cached_property
    def varies(self) -> BoolArray:
        """Where not all answers have one token, [L]."""
        found: BoolArray = (self.answers != self.answers[0]).any(axis=0)
        return found


def joint_of(answers: ArrayLike, weights: ArrayLike) -> Joint:
    """Return the joint distribution of *answers*, taken in proportion to *weights*.

    Args:
        answers: Token ids [A, L], 0 or more; a row that appears twice adds its weight.
        weights: [A], positive; they need not sum to 1.

    Raises:
        ValueError: For another shape, other ids or other weights.
    """
    tokens = np.asarray(answers)
    if tokens.ndim != 2 or tokens.size == 0 or tokens.dtype.kind not in "iu" or tokens.min() < 0:
        raise ValueError(
            f"answers must be token ids [answers, positions], at least 1 x 1 and none negative, "
            f"got {tokens.dtype} of shape {tokens.shape}; pad all answers to one length"
        )
    mass = np.asarray(weights, dtype=np.float64)
    if mass.shape != tokens.shape[:1] or not np.isfinite(mass).all() or not (mass > 0.0).all():
        raise ValueError(
            f"weights must be {len(tokens)} positive numbers, one per answer, got {mass!r}; "
            f"leave out answers that never occur"
        )
    distinct = tokens.astype(np.int64)
    span = int(distinct.max()) + 1
    labels = _group(distinct, (distinct != distinct[0]).any(axis=0).nonzero()[0], span)
    first = np.unique(labels, return_index=True)[1]
    total = np.bincount(labels, weights=mass)
    return Joint(answers=distinct[first], probabilities=total / total.sum(), span=span)


def _group(answers: IntArray, positions: Sequence[int] | IntArray, span: int) -> IntArray:
    """Return [A] labels 0, 1, ...: equal exactly where two answers agree at all *positions*."""
    return refine(np.zeros(len(answers), dtype=np.int64), answers[:, positions], span)


def refine(labels: IntArray, columns: IntArray, span: int) -> IntArray:
    """Split the groups *labels* [A] by the tokens of *columns* [A, P], which are below *span*.

    As many columns as fit into 62 bits are told apart by one sort.
    """
    codes, bound = labels, int(labels.max()) + 1
    for column in columns.T:
        if bound > 2**62 // span:
            codes = _distinct(codes, bound)[1]
            bound = int(codes.max()) + 1
        codes, bound = codes * span + column, bound * span
    return _distinct(codes, bound)[1]


def _distinct(codes: IntArray, bound: int) -> tuple[IntArray, IntArray]:
    """Return the distinct *codes*, ascending, and which of them each is; all are from 0 to below *bound*.

    That is `numpy.unique`, by looking up instead of sorting where the codes lie dense.
    """
    if bound > CODES_PER_VALUE * codes.size:
        found, which = np.unique(codes, return_inverse=True)
        return found, which.reshape(codes.shape)
    seen = np.zeros(bound, dtype=np.bool_)
    seen[codes] = True
    place: IntArray = seen.cumsum() - 1
    return seen.nonzero()[0], place[codes]


def group(joint: Joint, positions: Sequence[int]) -> IntArray:
    """Return [A] labels 0, 1, ...: equal exactly where two answers agree at all *positions*."""
    return _group(joint.answers, positions, joint.span)


def entropy(joint: Joint, positions: Sequence[int]) -> float:
    """Return the entropy in bits of the tokens at *positions* (0 for none)."""
    mass = np.bincount(group(joint, positions), weights=joint.probabilities)
    return float(-(mass * np.log2(mass)).sum())


def choice_probabilities(
    joint: Joint, labels: IntArray, positions: Sequence[int] | IntArray, temperature: float, tolerance: float
) -> FloatArray:
    """Return [A]: how likely tokens chosen position by position at *positions* are all those of each answer.

    The choice at a position knows only the group of the answer. At temperature 0 it is uniform over the
    tokens whose log probability is within *tolerance* of the best; above 0 it is drawn from the exact
    conditional marginal raised to 1 / temperature and normalised.

    Args:
        joint: The answers.
        labels: [A] groups of answers with the same tokens committed so far.
        positions: [P] positions committed now.
        temperature: 0 or more.
        tolerance: Width of a tie in natural log probability.
    """
    n_groups = int(labels.max()) + 1
    columns = np.arange(len(positions), dtype=np.int64)
    cell_group = columns * n_groups + labels[:, None]
    codes = cell_group * joint.span + joint.answers[:, positions]
    keys, cell = _distinct(codes, len(positions) * n_groups * joint.span)
    mass = np.bincount(cell.ravel(), weights=np.repeat(joint.probabilities, len(positions)))
    owner = keys // joint.span
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    sizes = np.diff(starts, append=len(owner))
    below_best = np.log(mass) - np.repeat(np.log(np.maximum.reduceat(mass, starts)), sizes)
    if temperature == 0.0:
        share = (below_best >= -tolerance).astype(np.float64)
    else:
        share = np.exp(below_best / temperature)
    share /= np.repeat(np.add.reduceat(share, starts), sizes)
    chosen: FloatArray = share[cell].prod(axis=1)
    return chosen


def check_temperature(temperature: float, tolerance: float) -> None:
    """Raise ValueError unless *temperature* is finite and both are 0 or more."""
    if not (math.isfinite(temperature) and temperature >= 0.0):
        raise ValueError(f"temperature must be a finite number, 0 or more, got {temperature!r}; 0 is greedy")
    if not tolerance >= 0.0:
        raise ValueError(f"tolerance must be 0 or more, got {tolerance!r}; 1e-6 is what the decode loop uses")
