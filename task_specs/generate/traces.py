"""The worked trace before the answer of a list operation: which choices were made, as numbers.

Legend: n letters, counted from 0. Both kinds of trace say the same; they differ in what their numbers know of
each other:

- ``draws``: independent numbers. For shuffle which of the letters that are left comes next, of n, n - 1, ...
  and at last 1 (a Lehmer code); for replace_random the place, one number. Any numbers give an answer.
- ``places``: a number for each place of the answer. For shuffle the old place of the letter there, so that
  they are all different; for replace_random 1 where the new letter stands, else 0. They depend on each other
  as the letters of the answer do.

Source: Lehmer, "Teaching combinatorial tricks to a computer" (1960), for the code of an order; the question
is that of ParallelBench (arXiv 2510.04767), appendix F.2: does thinking lower the dependency?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from task_specs.answers import OPERATIONS, as_list_text, enumerated
from task_specs.sample import Enumerated


def trace_of(kind: str, facts: Mapping[str, Any], answer: Sequence[str]) -> list[int]:
    """Return the numbers of the trace that leads from the letters in *facts* to *answer*."""
    items = facts["items"]
    if facts["operation"] == "replace_random":
        place = list(answer).index(facts["word"])
        return [place] if kind == "draws" else [int(other == place) for other in range(len(items))]
    places = [items.index(item) for item in answer]
    if kind == "places":
        return places
    return [place - sum(earlier < place for earlier in places[:index]) for index, place in enumerate(places)]


def answer_of(kind: str, facts: Mapping[str, Any], trace: Sequence[int]) -> list[str] | None:
    """Return the answer that *trace* leads to, or None where it leads to none: the inverse of `trace_of`."""
    items, n = list(facts["items"]), len(facts["items"])
    if facts["operation"] == "replace_random":
        flags = [int(place == trace[0]) for place in range(n)] if kind == "draws" else list(trace)
        if sorted(flags) != [0] * (n - 1) + [1]:
            return None
        return [facts["word"] if flag else item for flag, item in zip(flags, items, strict=True)]
    if kind == "places":
        return [items[place] for place in trace] if sorted(trace) == list(range(n)) else None
    if any(not 0 <= number < n - place for place, number in enumerate(trace)):
        return None
    return [items.pop(number) for number in trace]


def thought(numbers: Sequence[object], marker: str, answer: Sequence[str]) -> str:
    """Return the text of a trace and its answer: three lines, the second is the marker."""
    return f"{','.join(map(str, numbers))}\n{marker}\n{as_list_text(answer)}"


def thought_answers(kind: str, facts: Mapping[str, Any], marker: str) -> Enumerated:
    """Return every answer with the trace that leads to it, all equally likely."""
    results = OPERATIONS[facts["operation"]](list(facts["items"]), facts)
    return enumerated((thought(trace_of(kind, facts, result), marker, result), 1.0) for result in results)
