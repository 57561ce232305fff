"""The text pieces of all our answers, for a tokenizer that gives each of them one token."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files

from task_specs.catalogue import BENCHMARK_IDS
from task_specs.generate.names import vocabulary as name_pieces

_PIECE = re.compile(r" ?[A-Za-z]+(?:['-][A-Za-z]+)*")


@cache
def text_pieces() -> tuple[str, ...]:
    """Return the words of every reference of the text-writing tasks, sorted.

    A word carries the blank before it, so that a reference takes a token per word and one per mark or digit.
    No piece holds a quote or ends with a blank: the people of a waiting line keep the pieces they have
    without these.
    """
    lines = (
        line
        for task_id in BENCHMARK_IDS["text_writing"]
        for line in (files("task_specs") / "data" / f"{task_id}.jsonl").read_text("utf-8").splitlines()
    )
    texts = (text for line in lines for text in json.loads(line)["answers"])
    found = {piece for text in texts for piece in _PIECE.findall(text)}
    return tuple(sorted(piece for piece in found if len(piece) > 1))


def vocabulary() -> tuple[str, ...]:
    """Return the pieces of every waiting-line answer, then those of every text reference."""
    names = name_pieces()
    known = frozenset(names)
    return (*names, *(piece for piece in text_pieces() if piece not in known))
