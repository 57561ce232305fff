"""A comparison in the terminal: values above, intervals below, ``*`` for the best, ``+`` for the second."""

from __future__ import annotations

from collections.abc import Sequence

from pb_plugin.report.comparison.gathered import Comparison
from pb_plugin.report.comparison.tables import BEST, SECOND, Entry, Line, Table
from pb_plugin.report.comparison.thoughts import Thought
from pb_plugin.report.terminal import table as aligned
from pb_plugin.statistics.intervals import Interval

MARKS = {BEST: "*", SECOND: "+", "": ""}
LEGEND = "* best, + second best"
ABSENT = "-"

THOUGHT_TITLE = "Chain of thought"
THOUGHT_COLUMNS = (
    "task, curve",
    "plain",
    "thinking",
    "gain",
    "95 %",
    "tokens plain",
    "thinking",
    "points per token plain",
    "thinking",
)
THOUGHT_EXPLANATION = (
    "percent without and with a chain of thought; tokens: mean before the first end of text; gain in points"
)


def text_lines(found: Comparison) -> list[str]:
    """Return the comparison as lines."""
    lines: list[str] = []
    for one in found.tables:
        lines += [*_table(one), ""]
    if found.thoughts:
        rows = [thought_row(thought) for thought in found.thoughts]
        lines += [THOUGHT_TITLE, *aligned(THOUGHT_COLUMNS, rows), THOUGHT_EXPLANATION, ""]
    return [*lines, *([LEGEND] if found.tables else []), *found.lines_below]


def _table(one: Table) -> list[str]:
    groups = [column.group for column in one.columns]
    header = [one.title, *(column.title for column in one.columns), *RATE_COLUMNS]
    rows = [row for line in one.lines for row in _rows(line)]
    if any(groups):
        shown = [group if at == 0 or groups[at - 1] != group else "" for at, group in enumerate(groups)]
        return aligned(["", *shown, "", ""], [header, *rows])
    return aligned(header, rows)


RATE_COLUMNS = ("tokens/step", "forwards")


def _rows(line: Line) -> list[list[str]]:
    values = [MARKS[entry.rank] + value_text(entry) for entry in line.entries]
    intervals = [interval_text(entry.interval) for entry in line.entries]
    first = [line.label, *values, rate_text(line), kinds_text(line)]
    return [first, ["", *intervals, "", ""]] if any(intervals) else [first]


def value_text(entry: Entry) -> str:
    """Return ``98.0``, or ``-`` where there is no value."""
    return ABSENT if entry.value is None else f"{entry.value:.1f}"


def interval_text(interval: Interval | None) -> str:
    """Return ``[93, 99]``, or nothing."""
    return "" if interval is None else f"[{interval.low:.0f}, {interval.high:.0f}]"


def rate_text(line: Line) -> str:
    """Return the tokens per step of *line*: ``2.00``, ``2.00..4.00`` between bounds, or ``-``."""
    if line.tps is None:
        return ABSENT
    low, high = (f"{end:.2f}" for end in line.tps)
    return low if line.tps[0] == line.tps[1] else f"{low}..{high}"


def kinds_text(line: Line) -> str:
    """Return how the forwards of *line* are known."""
    return "+".join(line.nfe_kinds) or ABSENT


def thought_row(thought: Thought) -> Sequence[str]:
    """Return a row of `THOUGHT_COLUMNS`."""
    gain = thought.gain
    per_token = [ABSENT if points is None else f"{points:.2f}" for points in thought.per_token]
    return [
        f"{thought.task} {thought.label}",
        f"{thought.plain:.1f}",
        f"{thought.aloud:.1f}",
        f"{thought.aloud - thought.plain:+.1f}",
        ABSENT if gain is None else f"[{gain.low:+.1f}, {gain.high:+.1f}]",
        f"{thought.plain_tokens:.1f}",
        f"{thought.aloud_tokens:.1f}",
        *per_token,
    ]
