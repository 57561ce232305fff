"""Where things stand in a row of training, in positions counted from 0.

A prompt has a fixed width: the task word with its arguments and the line break, padded with blanks, then the
input, padded with blanks. So the input and the answer start at the same position in every row. The model
`decoders.models.tiny` reads prompts of these widths.
"""

from __future__ import annotations

LENGTHS = (3, 4, 5, 6)
"""How many people stand in a line."""

MOST_PEOPLE = max(LENGTHS) + 1
"""Those in the line and one newcomer, who is the last index."""

HEAD = 1 + 2 + 3 + 1
"""Tokens of the first line: task word, an index and a person with a comma before each, line break."""

BODY = 3 * max(LENGTHS) + 1
"""Tokens of the input: a list of people (two names each, marks around them), or a 4x4 grid in lines."""

PROMPT = HEAD + BODY
CANVAS = 64
"""The longest generated region."""

LIST_ANSWER = 3 * MOST_PEOPLE + 1
"""Tokens of the longest answer of a waiting line."""

PUZZLE_ANSWER = 31
"""Tokens of a Latin square as CSV; a sudoku's solution has 19."""
