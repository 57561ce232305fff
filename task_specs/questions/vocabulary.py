"""The tokens of the tiny model: a name, a mark, a digit or a task word each; and its tokenizer.json."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from task_specs.generate.names import FIRST_NAMES, LAST_NAMES
from task_specs.generate.puzzles import SYMBOLS

MASK, EOS, BLANK, UNKNOWN = range(4)
SPECIALS = ("<mask>", "<eos>", "<blank>", "<unknown>")
MARKS = ('["', '", "', '"]', ", ", ",", "\n")
OPEN, BETWEEN, CLOSE, COMMA_BLANK, COMMA, NEWLINE = range(len(SPECIALS), len(SPECIALS) + len(MARKS))

WAITING_LINE = (
    "copy",
    "reverse",
    "sort",
    "shuffle",
    "replace_index",
    "replace_random",
    "insert_index",
    "insert_random",
    "remove_index",
    "remove_random",
)
PUZZLES = ("sudoku", "latin_square")
TASKS = (*WAITING_LINE, *PUZZLES)
"""What the model is trained on; the word of a task is the first token of its compact prompt."""

PIECES = (
    *SPECIALS,
    *MARKS,
    *TASKS,
    *sorted(SYMBOLS),
    *FIRST_NAMES,
    *(f" {name}" for name in LAST_NAMES),
)
"""Every token; its place is its id. A last name carries the blank before it."""

ID = MappingProxyType({piece: place for place, piece in enumerate(PIECES)})
TASK_WORD = ID[TASKS[0]]
DIGIT_ZERO = ID["0"]
FIRST_NAME = ID[FIRST_NAMES[0]]
LAST_NAME = ID[f" {LAST_NAMES[0]}"]

PATTERN = r'\["|", "|"\]|, | ?[A-Za-z_]+|[\s\S]'
"""How a text is cut: the marks of a JSON list, words with the blank before them, single characters."""


def tokenizer_json() -> dict[str, Any]:
    """Return the content of a tokenizer.json (library ``tokenizers``): one token per match of `PATTERN`."""
    special = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": place, "content": text, **special} for place, text in enumerate(SPECIALS)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": PATTERN},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": dict(ID), "unk_token": SPECIALS[UNKNOWN]},
    }
