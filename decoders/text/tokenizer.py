"""Our own tokenizer for the exact model: given pieces are one token each, everything else is bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

MASK_ID, EOS_ID, FIRST_BYTE = 0, 1, 2


class PieceTokenizer:
    """Longest match over *pieces*, bytes for the rest; decoding gives back the text.

    Ids: 0 MASK, 1 EOS, 2-257 the bytes, then the pieces in the order given.

    Args:
        pieces: Texts that are one token each (a name, a separator); a single ASCII character is a token
            anyway.

    Raises:
        ValueError: A piece is empty or given twice.
    """

    name = "pieces"
    is_fallback = False

    def __init__(self, pieces: Sequence[str] = ()) -> None:
        if len(set(pieces)) != len(pieces) or "" in pieces:
            twice = next(piece for piece in pieces if piece == "" or list(pieces).count(piece) > 1)
            raise ValueError(f"pieces must be distinct and not empty, got {twice!r}; remove it")
        self._pieces = tuple(piece for piece in pieces if len(piece.encode()) > 1)
        self._id_of = {chr(byte): FIRST_BYTE + byte for byte in range(128)}
        self._id_of |= {piece: FIRST_BYTE + 256 + i for i, piece in enumerate(self._pieces)}
        self._pattern = _pattern_of(self._pieces)

    def __len__(self) -> int:
        return FIRST_BYTE + 256 + len(self._pieces)

    def encode(self, text: str) -> list[int]:
        """Return the ids of *text*."""
        parts = self._pattern.findall(text)
        if text.isascii():
            return list(map(self._id_of.__getitem__, parts))
        ids: list[int] = []
        for part in parts:
            known = self._id_of.get(part)
            ids += [known] if known is not None else [FIRST_BYTE + byte for byte in part.encode()]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of *ids*; MASK and EOS are dropped, broken UTF-8 shows as U+FFFD."""
        out = b""
        for token in ids:
            if token >= FIRST_BYTE + 256:
                out += self._pieces[token - FIRST_BYTE - 256].encode()
            elif token >= FIRST_BYTE:
                out += bytes([token - FIRST_BYTE])
        return out.decode("utf-8", errors="replace")


@lru_cache(maxsize=8)
def _pattern_of(pieces: tuple[str, ...]) -> re.Pattern[str]:
    """Return what cuts a text into the longest of *pieces*, and single characters where there is none."""
    return re.compile(f"{_longest_of(pieces)}|[\\s\\S]" if pieces else r"[\s\S]")


def _longest_of(texts: Iterable[str]) -> str:
    """Return a pattern that matches the longest of *texts*: a tree of what they share from the start."""
    branches: dict[str, list[str]] = {}
    ends = False
    for text in texts:
        if text:
            branches.setdefault(text[0], []).append(text[1:])
        else:
            ends = True
    if not branches:
        return ""
    inner = "|".join(re.escape(first) + _longest_of(rest) for first, rest in branches.items())
    return f"(?:{inner}){'?' if ends else ''}"
