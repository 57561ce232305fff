"""The tokenizer of a checkpoint that has none: ids 0-255 are bytes, every other id prints as ``<id>``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

BYTES = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class ByteTokenizer:
    """UTF-8 bytes as ids; the vocabulary is every row of the checkpoint's embedding.

    Nothing is special to it: an id of 256 or more prints as its number, so that no token is lost from sight.

    Args:
        vocab_size: Rows of the embedding, at least 1.
    """

    vocab_size: int
    name: ClassVar[str] = "bytes"
    is_fallback: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.vocab_size < 1:
            raise ValueError(
                f"vocab_size must be at least 1, got {self.vocab_size!r}; take the rows of the embedding"
            )

    def __len__(self) -> int:
        """Return the number of ids."""
        return self.vocab_size

    def encode(self, text: str) -> list[int]:
        """Return the UTF-8 bytes of *text*."""
        ids = list(text.encode("utf-8"))
        for byte in ids:
            if byte >= self.vocab_size:
                raise ValueError(
                    f"text must have bytes below vocab_size={self.vocab_size}, got byte {byte!r}; "
                    "a checkpoint with fewer than 256 rows needs a tokenizer of its own"
                )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of *ids*; bytes that are not UTF-8 become U+FFFD, ids from 256 on ``<id>``."""
        for token in ids:
            if not 0 <= token < self.vocab_size:
                raise ValueError(
                    f"ids must be in [0, {self.vocab_size}), got {token!r}; they belong to another vocabulary"
                )
        pieces = []
        for are_bytes, run in groupby(ids, key=lambda token: token < BYTES):
            tokens = list(run)
            if are_bytes:
                pieces.append(bytes(tokens).decode("utf-8", errors="replace"))
            else:
                pieces += [f"<{token}>" for token in tokens]
        return "".join(pieces)
