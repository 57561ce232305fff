"""Which curves differ, and which the data do not tell apart: p-values of all pairs, and letters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import numpy as np

from pb_plugin.statistics.curve_draws import PBxDraws

SHOWN_AT = 0.05
ROUNDING = 1e-9
"""Differences below this are rounding."""


def p_values(draws: Mapping[str, PBxDraws]) -> dict[tuple[str, str], float]:
    """Return for every pair of curves how likely a difference as shown is by chance, adjusted for all pairs.

    Two-sided, from the paired draws of one joint resample: the mean difference of a pair in units of its
    spread is held against the largest such deviation among the pairs that are less clear. So the number of
    pairs does not bound how small a p-value can be, as it would if each pair had its own. A difference that
    is the same in all draws is certain; a draw that does not tell which of both is higher counts as none.

    Source: Romano and Wolf, Stat. Probab. Lett. 113 (2016), step-down max-T with adjusted p-values.
    """
    pairs = list(itertools.combinations(draws, 2))
    if not pairs:
        return {}
    differences = np.stack([draws[one].differences(draws[other]) for one, other in pairs], axis=1)
    mean, spread = differences.mean(axis=0), differences.std(axis=0)
    certain = spread <= ROUNDING
    safe = np.where(certain, 1.0, spread)
    size = np.where(certain, np.where(np.abs(mean) > ROUNDING, np.inf, 0.0), np.abs(mean) / safe)
    deviation = np.where(certain, 0.0, np.abs(differences - mean) / safe)
    clearest = np.argsort(-size, kind="stable")
    largest = np.maximum.accumulate(deviation[:, clearest[::-1]], axis=1)[:, ::-1]
    found = (1 + (largest >= size[clearest]).sum(axis=0)) / (1 + len(differences))
    adjusted = dict(zip(clearest.tolist(), np.maximum.accumulate(found).tolist(), strict=True))
    return {pair: float(adjusted[place]) for place, pair in enumerate(pairs)}


def letters(names: Sequence[str], p_of: Mapping[tuple[str, str], float]) -> dict[str, str]:
    """Return letters by name; two names share one exactly where their difference is not shown.

    Source: the insert-and-absorb algorithm of Piepho, J. Comput. Graph. Statist. 13 (2004).

    Args:
        names: The best first; it has the first letter.
        p_of: See `p_values`.
    """
    columns: list[set[str]] = [set(names)]
    for (one, other), p in p_of.items():
        if p >= SHOWN_AT:
            continue
        split = []
        for column in columns:
            split += [column - {one}, column - {other}] if {one, other} <= column else [column]
        columns = []
        for column in sorted(split, key=len, reverse=True):
            if not any(column <= kept for kept in columns):
                columns.append(column)
    columns.sort(key=lambda column: sorted(names.index(name) for name in column))
    return {
        name: "".join(_letter(place) for place, column in enumerate(columns) if name in column)
        for name in names
    }


def _letter(place: int) -> str:
    """Return a to z, then a2 to z2 and so on."""
    round_, index = divmod(place, len(ascii_lowercase))
    return ascii_lowercase[index] + (str(round_ + 1) if round_ else "")
