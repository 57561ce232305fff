"""A comparison as a table for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pb_plugin.comparing.comparison import Comparison

if TYPE_CHECKING:
    from pb_plugin.comparing.drops import Drop


def markdown(found: Comparison) -> str:
    """Return the comparison as a table for a pull request."""
    rows = [
        "| curve | number | before | after | change | 95 % | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for curve in found.curves:
        name = curve.label.replace("|", "\\|")
        rows += [f"| {name} | {' | '.join(drop_row(drop))} |" for drop in curve.drops]
        rows += [f"| {name} | not compared: {curve.problem} | | | | | |"] if curve.problem else []
    return "\n".join([*rows, "", *count_lines(found)])


def drop_row(drop: Drop) -> list[str]:
    """Return what, before, after, change, its 95 % interval and the verdict of one number."""
    interval = drop.interval
    between = f"[{_signed(-interval.high)}, {_signed(-interval.low)}]"
    verdict = {"red": "lower", "yellow": "lower?", "green": ""}[drop.status]
    if drop.status == "green" and interval.high < 0.0:
        verdict = "higher"
    return [drop.what, f"{drop.before:.4g}", f"{drop.after:.4g}", _signed(-drop.value), between, verdict]


def _signed(value: float) -> str:
    """Return ``+1.5``, ``-2`` or ``0``."""
    return f"{value:+.3g}" if abs(value) > 1e-9 else "0"


def count_lines(found: Comparison) -> list[str]:
    """Return how many samples changed, and what the verdicts mean."""
    worse = sum(change.after < change.before for change in found.changed)
    return [
        f"{found.n_samples[0]} pairs of samples: {worse} became worse, {len(found.changed) - worse} better",
        "lower: shown to be lower by more than the margin; lower?: observed, not shown; higher: shown for "
        "this number alone",
    ]
