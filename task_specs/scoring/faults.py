"""What is wrong with a wrong answer, by category: mixed names, repeated words, lengths, positions.

Source: the failure cases of ParallelBench (arXiv 2510.04767), appendix H.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from task_specs.sample import Sample
from task_specs.scoring.lists import list_items
from task_specs.scoring.puzzles import text_lines
from task_specs.scoring.scored import unfenced
from task_specs.scoring.text import includes

NO_LIST, NO_GRID = "not a list", "not a grid"
MIXED, UNKNOWN, REPEATED = "mixed names", "unknown word", "repeated word"
LENGTH, POSITION, MISSING, OTHER = "wrong length", "wrong position", "missing word", "other"

_TWICE = re.compile(r"\b(\w+)\s+\1\b", re.IGNORECASE)
_ADDED = {"insert_index": 1, "insert_random": 1, "remove_index": -1, "remove_random": -1}


def faults(text: str, sample: Sample) -> tuple[str, ...]:
    """Return what is wrong with an answer that is wrong, the first cause first; several may be.

    A list: an item of the first name of one and the last of another person is *mixed names*, any other that
    was not given an *unknown word*, one that occurs more often than it was given a *repeated word*. Right
    items in a right number are in a *wrong position*. A grid likewise. A sentence: the same word twice in a
    row, and words that were asked for and are not there; *other* where none of these is seen.

    Args:
        text: The part of the output that is scored, which scores 0.
        sample: What was asked.
    """
    facts = sample.facts
    if "operation" in facts:
        given = [*facts["items"], *([facts["word"]] if "word" in facts else [])]
        return _list_faults(
            list_items(unfenced(text)), given, len(facts["items"]) + _ADDED.get(facts["operation"], 0)
        )
    if "solution" in facts or "symbols" in facts:
        return _grid_faults(text, list(facts.get("symbols") or sorted(set("".join(facts["solution"])))))
    found = [REPEATED] if _TWICE.search(text) else []
    found += [MISSING] if not all(includes(text, word) for word in facts.get("words", ())) else []
    return tuple(found) or (OTHER,)


def _list_faults(answer: Sequence[str] | None, given: Sequence[str], length: int) -> tuple[str, ...]:
    if answer is None:
        return (NO_LIST,)
    found = []
    strange = [item for item in answer if item not in given]
    firsts, lasts = ({item.split(" ")[place] for item in given} for place in (0, -1))
    mixed = [i for i in strange if i.count(" ") == 1 and i.split()[0] in firsts and i.split()[-1] in lasts]
    found += [MIXED] if mixed else []
    found += [UNKNOWN] if len(mixed) < len(strange) else []
    found += [REPEATED] if Counter(answer) - Counter([*given, *strange]) else []
    found += [LENGTH] if len(answer) != length else []
    return tuple(found) or (POSITION,)


def _grid_faults(text: str, symbols: Sequence[str]) -> tuple[str, ...]:
    rows = [
        [cell.strip() for cell in line.split(",")] if "," in line else list("".join(line.split()))
        for line in text_lines(unfenced(text))
    ]
    if not rows:
        return (NO_GRID,)
    found = []
    found += [UNKNOWN] if any(cell not in symbols for row in rows for cell in row) else []
    found += [REPEATED] if any(max(Counter(row).values()) > 1 for row in rows) else []
    found += [LENGTH] if [len(row) for row in rows] != [len(symbols)] * len(symbols) else []
    return tuple(found) or (POSITION,)
