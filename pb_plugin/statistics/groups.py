"""Which curves differ, and which the data do not tell apart: p-values of all pairs, and letters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from pb_plugin.statistics.curve_draws import PBxDraws

SHOWN_AT = 0.05


def p_values(draws: Mapping[str, PBxDraws]) -> dict[tuple[str, str], float]:
    """Return for every pair of curves how likely a difference as shown is by chance, adjusted for all pairs.

    Two-sided, from the paired draws of one joint resample; a draw that does not tell which of both is higher
    speaks for neither. Adjusted by Holm's step-down rule.

    Source: Efron and Tibshirani (1993), chapter 15; Holm, Scand. J. Statist. 6 (1979).
    """
    raw = {}
    for one, other in itertools.combinations(draws, 2):
        signs = draws[one].signs(draws[other])
        tails = ((signs <= 0).sum(), (signs >= 0).sum())
        raw[one, other] = min(1.0, 2.0 * (1 + int(min(tails))) / (1 + len(signs)))
    return holm(raw)


def holm(raw: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Return p-values that hold for all of *raw* together, in its order.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).
    """
    adjusted, highest = {}, 0.0
    for rank, (key, p) in enumerate(sorted(raw.items(), key=lambda pair: pair[1])):
        highest = max(highest, min(1.0, p * (len(raw) - rank)))
        adjusted[key] = highest
    return {key: adjusted[key] for key in raw}


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
