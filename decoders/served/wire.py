"""What goes over the wire as ids: a chat is the bytes of its JSON, an answer the bytes of its text.

A server takes and gives text, and its tokens are its own affair. Bytes keep what the rest of this project
builds on: equal ids are equal texts, a text comes back from its ids, and the end of an answer is an id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

END = 256
"""The id behind an answer that the server ended by itself; the others are bytes."""


@dataclass(frozen=True, slots=True)
class WireTokenizer:
    """UTF-8 bytes as ids."""

    name: ClassVar[str] = "wire"
    is_fallback: ClassVar[bool] = True

    def encode(self, text: str) -> list[int]:
        """Return the UTF-8 bytes of *text*."""
        return list(text.encode("utf-8", errors="replace"))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of *ids*, without `END`."""
        return bytes(token for token in ids if token != END).decode("utf-8", errors="replace")


def chat_ids(messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Return a chat as ids: the bytes of its JSON."""
    plain = [{"role": message["role"], "content": message["content"]} for message in messages]
    return list(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


def chat_of(ids: Sequence[int]) -> list[dict[str, str]]:
    """Return the chat that `chat_ids` made *ids* of."""
    chat: list[dict[str, str]] = json.loads(bytes(ids))
    return chat


def answer_ids(text: str, *, ended: bool) -> tuple[int, ...]:
    """Return an answer as ids; *ended* says that the server did not stop for length."""
    return (*text.encode("utf-8", errors="replace"), *((END,) if ended else ()))
