"""The gate against a baseline: red where a drop above its margin is shown, yellow where only observed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pb_plugin.comparing.comparison import ComparedCurve, Comparison, compare
from pb_plugin.comparing.side import Side
from pb_plugin.gates.judge import Verdict

if TYPE_CHECKING:
    from pb_plugin.comparing.drops import Drop

SUBJECT = "baseline"
MOST_NAMED = 3


def judge_baseline(
    baseline: Side, current: Side, *, x: float, count: str, margin: float, is_strict: bool, n_available: int
) -> tuple[list[Verdict], Comparison | None]:
    """Return a verdict for every curve of *baseline* with the comparison, or one where there is none.

    Args:
        baseline: What was saved.
        current: This run.
        x: The score in percent of the PBx that is compared.
        count: Its token count.
        margin: Points of the score that may be lost.
        is_strict: Whether a drop that is not shown fails too.
        n_available: The most samples that a task has.
    """
    try:
        found = compare(baseline, current, x=x, count=count, margin=margin)
    except ValueError as error:
        return [_failed("all", str(error))], None
    verdicts = []
    if found.pairing.only_before:
        missing = found.pairing.only_before
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        verdicts.append(
            _failed(
                "all",
                f"the run must have every cell of the baseline, got none for "
                f"{', '.join(missing[:MOST_NAMED])}{more}; run them too, or write the baseline again",
            )
        )
    verdicts += [_of_curve(curve, found, is_strict, n_available) for curve in found.curves]
    return verdicts, found


def _of_curve(curve: ComparedCurve, found: Comparison, is_strict: bool, n_available: int) -> Verdict:
    if curve.problem is not None:
        return _failed(curve.label, f"could not be compared: {curve.problem}")
    red = [drop for drop in curve.drops if drop.status == "red"]
    yellow = [drop for drop in curve.drops if drop.status == "yellow"]
    same = ", ".join(found.pairing.differs) or "nothing"
    if red:
        text = "; ".join(_shown(drop) for drop in red[:MOST_NAMED])
    elif yellow:
        text = "; ".join(
            line for drop in yellow[:MOST_NAMED] for line in _observed(drop, found.n_samples[1], n_available)
        )
    else:
        text = f"no drop beyond the margins over {len(found.tasks)} tasks"
    colour = "red" if red else "yellow" if yellow else "green"
    passed = not red and not (yellow and is_strict)
    message = f"{colour}: {text} (what differs: {same})"
    return Verdict(gate=SUBJECT, subject=curve.label, passed=passed, value=None, message=message)


def _shown(drop: Drop) -> str:
    return (
        f"{drop.what} fell from {drop.before:.4g} to {drop.after:.4g}, by {drop.bound:.3g} {drop.unit} or "
        f"more with 95 % confidence, allowed {drop.margin:.3g}"
    )


def _observed(drop: Drop, n: int, n_available: int) -> Iterator[str]:
    needed = None if drop.needed is None else max(n + 1, round(n * drop.needed))
    enough = "" if needed is None else f"; about {needed} samples per task would show a drop of this size"
    if needed is not None and needed > n_available:
        enough += f", more than this data has ({n_available})"
    yield (
        f"{drop.what} fell from {drop.before:.4g} to {drop.after:.4g}, allowed {drop.margin:.3g}, which "
        f"chance explains{enough}"
    )


def _failed(subject: str, message: str) -> Verdict:
    return Verdict(gate=SUBJECT, subject=subject, passed=False, value=None, message=message)
