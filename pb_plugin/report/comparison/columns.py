"""What the tables of a comparison are about: the columns of the paper's tables, and lists by their length.

Source: ParallelBench (arXiv 2510.04767), Tables 5 to 7, and Figure 4 for the lengths of lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from task_specs.catalogue import LONG_LINE

WAITING_LINE: Mapping[str, str] = MappingProxyType(
    {
        "copy": "Copy",
        "sort": "Sort",
        "reverse": "Rev.",
        "shuffle": "Shuff.",
        "insert_index": "Ins. Ind.",
        "insert_random": "Ins. Rand.",
        "remove_index": "Rem. Ind.",
        "remove_random": "Rem. Rand.",
        "replace_index": "Rep. Ind.",
        "replace_random": "Rep. Rand.",
    }
)
TEXT_WRITING: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "paraphrasing": {"grammar": "Grammar", "bertscore": "BERT", "one_minus_bleu": "1-BLEU"},
        "summarization": {"grammar": "Grammar", "rougeL": "ROUGE-L"},
        **{
            f"w2s_{level}": {"grammar": "Grammar", "inclusion": "Acc."}
            for level in ("easy", "medium", "hard")
        },
    }
)
"""Task -> its scores of Table 6, with what the table calls them."""

TEXT_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "paraphrasing": "Paraphrasing",
        "summarization": "Summarization",
        "w2s_easy": "W2S (easy)",
        "w2s_medium": "W2S (medium)",
        "w2s_hard": "W2S (hard)",
    }
)
PUZZLES: Mapping[str, str] = MappingProxyType({"sudoku": "Sudoku", "latin_square": "Latin Square"})
BY_LENGTH = ("reverse", "shuffle")

_LENGTH = re.compile(r"(?P<task>[a-z_]+)_n(?P<n>\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column: a score of a task.

    Args:
        group: What stands over several columns, "" for nothing.
        title: What stands over this one.
        task: Id of the task.
        score: Name of the score; None for the one that PBx uses.
    """

    group: str
    title: str
    task: str
    score: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One table: its title and columns."""

    title: str
    columns: tuple[Column, ...]


def plans_of(tasks: Iterable[str]) -> list[Plan]:
    """Return the tables that show any of *tasks*, with all columns of the paper's.

    Lists by their length have a column for each length that is there.
    """
    present = set(tasks)
    lengths = [
        Plan(title=f"{task.capitalize()} by number of people", columns=columns)
        for task in BY_LENGTH
        if len(columns := _lengths(task, present)) > 1
    ]
    plans = [
        _waiting_line("Waiting line", ""),
        _waiting_line(f"Waiting line, n = {LONG_LINE}", f"_n{LONG_LINE}"),
        Plan(
            title="Text writing",
            columns=tuple(
                Column(group=TEXT_TITLES[task], title=title, task=task, score=score)
                for task, scores in TEXT_WRITING.items()
                for score, title in scores.items()
            ),
        ),
        Plan(title="Puzzles", columns=_columns(PUZZLES, "")),
    ]
    return [plan for plan in plans if any(c.task in present for c in plan.columns)] + lengths


def _waiting_line(title: str, suffix: str) -> Plan:
    return Plan(title=title, columns=_columns(WAITING_LINE, suffix))


def _columns(titles: Mapping[str, str], suffix: str) -> tuple[Column, ...]:
    return tuple(Column(group="", title=title, task=f"{task}{suffix}") for task, title in titles.items())


def _lengths(task: str, present: Iterable[str]) -> tuple[Column, ...]:
    found = {
        int(match["n"]): name
        for name in present
        if (match := _LENGTH.fullmatch(name)) is not None and match["task"] == task
    }
    return tuple(Column(group="", title=f"n={n}", task=found[n]) for n in sorted(found))
