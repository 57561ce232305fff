"""Where things stand in the row of the tiny model, in positions counted from 0.

A prompt has a fixed width: the task word with its arguments and the line break, padded with blanks, then the
input, padded with blanks. So the input and the answer start at the same position in every row.
"""

from __future__ import annotations

from decoders.models.tiny import BODY, HEAD

__all__ = ["BODY", "CANVAS", "HEAD", "LIST_ANSWER", "PROMPT", "PUZZLE_ANSWER"]

PROMPT = HEAD + BODY
CANVAS = 64
"""The longest generated region it is trained for."""

LIST_ANSWER = 22
"""Tokens of a list of 7 people, the longest answer of a waiting line."""

PUZZLE_ANSWER = 31
"""Tokens of a Latin square as CSV; a sudoku's solution has 19."""
