"""Scorers by name: pure functions (text, sample, measured) -> scores in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any

from task_specs.scoring.lists import score_list, score_released_list
from task_specs.scoring.puzzles import (
    score_latin_square,
    score_released_latin_square,
    score_released_sudoku,
    score_sudoku,
)
from task_specs.scoring.reference.gsm8k import score_gsm8k
from task_specs.scoring.reference.humaneval import score_humaneval
from task_specs.scoring.scored import Scored, Scorer, answer_text, unfenced
from task_specs.scoring.text import (
    score_paraphrase,
    score_released_paraphrase,
    score_released_summary,
    score_released_w2s,
    score_summary,
    score_w2s,
)

__all__ = ["SCORERS", "SCORER_VERSIONS", "Scored", "Scorer", "answer_text", "resolve_scorer", "unfenced"]

SCORERS: Mapping[str, Scorer] = MappingProxyType(
    {
        "list": score_list,
        "sudoku": score_sudoku,
        "latin_square": score_latin_square,
        "words_to_sentence": score_w2s,
        "summary": score_summary,
        "paraphrase": score_paraphrase,
        "released_list": score_released_list,
        "released_sudoku": score_released_sudoku,
        "released_latin_square": score_released_latin_square,
        "released_words_to_sentence": score_released_w2s,
        "released_summary": score_released_summary,
        "released_paraphrase": score_released_paraphrase,
        "gsm8k": score_gsm8k,
        "humaneval": score_humaneval,
    }
)

SCORER_VERSIONS: Mapping[str, int] = MappingProxyType(
    {
        "list": 2,
        "sudoku": 2,
        "latin_square": 2,
        "words_to_sentence": 2,
        "summary": 2,
        "paraphrase": 2,
        "released_list": 1,
        "released_sudoku": 1,
        "released_latin_square": 1,
        "released_words_to_sentence": 1,
        "released_summary": 2,
        "released_paraphrase": 2,
        "gsm8k": 1,
        "humaneval": 1,
    }
)
"""Raised whenever a score may move; part of the key of every score."""


def resolve_scorer(name: str) -> Scorer:
    """Return the scorer called *name*: a name of the table, or a "module:attribute" reference.

    Raises:
        LookupError: No such name, or the reference does not lead anywhere.
        TypeError: The reference leads to something that cannot be called.
    """
    if ":" not in name:
        if name not in SCORERS:
            close = get_close_matches(name, SCORERS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise LookupError(
                f"scorer must be a known name or a 'module:attribute' reference, got {name!r}; "
                f"{hint}known: {', '.join(sorted(SCORERS))}"
            )
        return SCORERS[name]
    try:
        scorer: Any = EntryPoint(name, name, "pb.scorers").load()
    except (ImportError, AttributeError) as error:
        raise LookupError(
            f"scorer must be a known name or a 'module:attribute' reference, got {name!r} ({error}); "
            "check that the module can be imported and has this attribute"
        ) from error
    if not callable(scorer):
        raise TypeError(
            f"scorer must be a function (text, sample, measured) -> Scored, got {scorer!r} from {name!r}; "
            "point the reference at a function"
        )
    return scorer  # type: ignore[no-any-return]
