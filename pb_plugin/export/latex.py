"""PBx of a run as a LaTeX table (booktabs), with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence

from pb_plugin.results.summary import XS, Curve
from pb_plugin.statistics.curve_draws import PBxInterval
from pb_plugin.statistics.pbx import PBx

AT_LEAST = r"$\geq$"

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def escaped(text: str) -> str:
    """Return *text* as LaTeX shows it letter by letter."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def latex_table(curves: Sequence[Curve], suite: str, count: str = "canvas") -> str:
    r"""Return a ``tabular`` with a row for every curve and a column for every x.

    A value is ``8.00 [4.00, $\geq$8.00]``; ``$\geq$``: the fastest setting still reaches x; ``never``: none;
    ``2.00--4.00``: between these two, as the forwards are known as bounds.
    """
    header = " & ".join(["", *(f"PB{x}" for x in XS)])
    rows = [
        " & ".join([escaped(curve.identity.label), *(_cell(curve, suite, x, count) for x in XS)])
        for curve in curves
    ]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            f"% suite {suite}, tokens per step by {count}, published rule, 95 % intervals over the samples",
            rf"\begin{{tabular}}{{l{'r' * len(XS)}}}",
            r"\toprule",
            rf"{header} \\",
            r"\midrule",
            *(rf"{row} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _cell(curve: Curve, suite: str, x: float, count: str) -> str:
    found = curve.suites[suite]
    return _value(found.pbx(x, count)) + _range(found.pbx_interval(x, count))


def _range(interval: PBxInterval | None) -> str:
    return "" if interval is None else f" [{_value(interval.low)}, {_value(interval.high)}]"


def _value(found: PBx) -> str:
    if found.between is not None:
        return "--".join(map(_value, found.between))
    if found.value is None:
        return "--"
    if found.censored == "never":
        return "never"
    return f"{AT_LEAST if found.censored == 'at_least' else ''}{found.value:.2f}"
