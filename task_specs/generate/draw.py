"""Seeded choices built on ``random()`` alone, so that a seed gives the same data in every Python version."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


def source(*key: object) -> Random:
    """Return a generator seeded with the text of *key*."""
    return Random("/".join(str(part) for part in key))


def below(rng: Random, n: int) -> int:
    """Return a whole number from 0 to *n* - 1."""
    return int(rng.random() * n)


def shuffled(rng: Random, items: Sequence[Item]) -> list[Item]:
    """Return *items* in a random order (Fisher-Yates)."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        other = below(rng, last + 1)
        order[last], order[other] = order[other], order[last]
    return order


def distinct(rng: Random, items: Sequence[Item], n: int) -> list[Item]:
    """Return *n* different entries of *items* in random order."""
    return shuffled(rng, items)[:n]


def one(rng: Random, items: Sequence[Item]) -> Item:
    """Return one entry of *items*."""
    return items[below(rng, len(items))]
