"""What both ways to decode a SEDD checkpoint have in common: prompts, answers, and the checkpoint itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from decoders import devices
from decoders.models.sedd.checkpoint import Sedd
from decoders.text import chat

if TYPE_CHECKING:
    import torch

    from decoders.protocols import Message
    from decoders.text.byte_tokenizer import ByteTokenizer
    from decoders.text.hf_tokenizer import HFTokenizer


class SeddModel:
    """A SEDD checkpoint in memory until it is closed. ``used_to`` says what a closed one cannot do."""

    used_to: ClassVar[str]

    checkpoint: Sedd | None
    name: str
    eos_ids: frozenset[int]
    tokenizer: HFTokenizer | ByteTokenizer
    device: torch.device

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of the contents, a blank line after each: SEDD has no chat format."""
        return chat.encode_plain(messages, self.tokenizer)

    def answer_ids(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return the generated *ids* before the first end of text."""
        return chat.answer_ids(ids, self.eos_ids)

    def sync(self) -> None:
        """Wait until the device is idle."""
        devices.sync(self.device)

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be used afterwards."""
        self.checkpoint = None
        devices.release(self.device)

    def _open(self) -> Sedd:
        if self.checkpoint is None:
            raise RuntimeError(
                f"model {self.name!r} must be open to {self.used_to}, got a closed one; load it again"
            )
        return self.checkpoint
