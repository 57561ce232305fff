"""Chat messages to prompt text, and generated ids to the answer they hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decoders.protocols import Message

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatFormat:
    """How a family writes a chat.

    Args:
        render: Messages to the prompt text, up to where the answer starts.
        markers: Special tokens that *render* writes; a tokenizer must hold each as one token.
        end_of_turn: Tokens that end an answer besides the EOS of config.json, where the tokenizer holds them.
        mask: The mask token as the tokenizer writes it.
    """

    render: Callable[[Sequence[Message]], str]
    markers: tuple[str, ...]
    end_of_turn: tuple[str, ...]
    mask: str


def check_messages(messages: Sequence[Message]) -> None:
    """Raise a ValueError unless *messages* is a chat: one message or more, each with a role and a text."""
    if not messages:
        raise ValueError(f"messages must hold at least one message, got {messages!r}; add a user message")
    for place, message in enumerate(messages):
        if message.get("role") not in ROLES:
            raise ValueError(
                f"messages[{place}] role must be one of {', '.join(ROLES)}, got {message.get('role')!r}; "
                "rename it"
            )
        if not isinstance(message.get("content"), str):
            raise ValueError(
                f"messages[{place}] content must be a text, got {message.get('content')!r}; write one string"
            )


def render_llada(messages: Sequence[Message]) -> str:
    """Return the LLaDA chat of *messages*, ending in an open assistant turn.

    Source: chat template of GSAI-ML/LLaDA-8B-Instruct (Llama-3 style headers); contents are stripped.
    """
    check_messages(messages)
    turns = [f"{_header(message['role'])}{message['content'].strip()}<|eot_id|>" for message in messages]
    return "<|startoftext|>" + "".join(turns) + _header("assistant")


def _header(role: str) -> str:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n"


def render_plain(messages: Sequence[Message]) -> str:
    """Return the contents of *messages*, a blank line after each, for a tokenizer without chat markers."""
    check_messages(messages)
    return "\n\n".join(message["content"].strip() for message in messages) + "\n\n"


LLADA_CHAT = ChatFormat(
    render=render_llada,
    markers=("<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    end_of_turn=("<|eot_id|>",),
    mask="<|mdm_mask|>",
)


def answer_ids(ids: Sequence[int], eos_ids: Collection[int]) -> tuple[int, ...]:
    """Return *ids* up to, and without, the first that is in *eos_ids*; all of them if none is."""
    end = next((place for place, token in enumerate(ids) if token in eos_ids), len(ids))
    return tuple(ids[:end])
