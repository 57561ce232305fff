"""What models that are asked in a chat have in common: prompt ids and the ids of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from decoders.text import chat

if TYPE_CHECKING:
    from decoders.protocols import Message
    from decoders.text.byte_tokenizer import ByteTokenizer
    from decoders.text.hf_tokenizer import HFTokenizer


class ChatModel:
    """A model with a chat format and a tokenizer; a class that has it says no more of prompts and answers."""

    name: str
    chat: chat.ChatFormat
    tokenizer: HFTokenizer | ByteTokenizer
    eos_ids: frozenset[int]

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt ids of a chat, ready to be followed by the generated region.

        Raises:
            ValueError: *messages* is not a chat, or none that the format takes, or the tokenizer lacks a
                marker of the format.
        """
        return chat.encode(messages, self.tokenizer, self.chat, name=self.name)

    def answer_ids(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return the generated *ids* before the first EOS or end of turn."""
        return chat.answer_ids(ids, self.eos_ids)
