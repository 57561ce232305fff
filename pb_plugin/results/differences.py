"""Which curves of a summary differ in PBx, and which the data do not tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pb_plugin.results.summary import Curve, Summary

if TYPE_CHECKING:
    from pb_plugin.statistics.curve_draws import PBxDraws

X, COUNT = 80.0, "canvas"
"""The PBx that is compared, by the published rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Curves that were compared in pairs: methods of one model, or models under one method.

    Args:
        suite: The suite.
        what: ``methods of llada``, ``models under threshold``.
        letters: By label of the curve, the highest PBx first; two curves share a letter exactly where their
            difference is not shown.
        p_values: By pair of labels, adjusted for all pairs (`pb_plugin.statistics.groups`).
    """

    suite: str
    what: str
    letters: Mapping[str, str]
    p_values: Mapping[tuple[str, str], float]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        pairs = [{"a": a, "b": b, "p": p} for (a, b), p in self.p_values.items()]
        return {"suite": self.suite, "what": self.what, "letters": dict(self.letters), "pairs": pairs}


def comparisons(summary: Summary, suite: str) -> list[Compared]:
    """Return every comparison of at least two curves that have a PBx on *suite*."""
    drawn = [(curve, draws) for curve in summary.curves if (draws := _draws(curve, suite)) is not None]
    found = []
    for what, members in _families([curve for curve, _ in drawn]):
        of = {curve.identity.label: draws for curve, draws in drawn if curve in members}
        if len(of) > 1:
            found.append(_compared(suite, what, of, members))
    return found


def _draws(curve: Curve, suite: str) -> PBxDraws | None:
    return curve.suites[suite].pbx_draws(X, COUNT) if suite in curve.suites else None


def _families(curves: Sequence[Curve]) -> Iterator[tuple[str, list[Curve]]]:
    for model in dict.fromkeys(curve.identity.model for curve in curves):
        yield f"methods of {model}", [curve for curve in curves if curve.identity.model == model]
    for method in dict.fromkeys(curve.identity.method for curve in curves):
        same = [curve for curve in curves if curve.identity.method == method]
        if len({curve.identity.model for curve in same}) > 1:
            yield f"models under {method}", same


def _compared(suite: str, what: str, of: Mapping[str, PBxDraws], members: Sequence[Curve]) -> Compared:
    from pb_plugin.statistics.groups import letters, p_values

    value = {curve.identity.label: curve.suites[suite].pbx(X, COUNT).value or 0.0 for curve in members}
    best_first = sorted(of, key=lambda label: -value[label])
    p_of = p_values({label: of[label] for label in best_first})
    return Compared(suite=suite, what=what, letters=letters(best_first, p_of), p_values=p_of)
