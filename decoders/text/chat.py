"""Chat messages to prompt text, and generated ids to the answer they hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from decoders.text.byte_tokenizer import ByteTokenizer

if TYPE_CHECKING:
    from decoders.protocols import Message
    from decoders.text.hf_tokenizer import HFTokenizer

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatFormat:
    """How a family writes a chat.

    Args:
        render: Messages to the prompt text, up to where the answer starts.
        markers: Special tokens that *render* writes; a tokenizer must hold each as one token.
        end_of_turn: Tokens that end an answer besides the EOS of config.json, where the tokenizer holds them.
        mask: The mask token as the tokenizer writes it; empty for a model without one.
        arrange: Puts the ids of a prompt where the model expects them; None leaves them as they are.
    """

    render: Callable[[Sequence[Message]], str]
    markers: tuple[str, ...]
    end_of_turn: tuple[str, ...]
    mask: str = ""
    arrange: Callable[[Sequence[int], HFTokenizer], list[int]] | None = None


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


def render_llama3(messages: Sequence[Message]) -> str:
    """Return the Llama 3.1 chat of *messages*, ending in an open assistant turn.

    Source: chat template of meta-llama/Llama-3.1-8B-Instruct: the system turn is always there and starts with
    two dates; contents are stripped.
    """
    check_messages(messages)
    turns = list(messages)
    system = turns.pop(0)["content"].strip() if turns[0]["role"] == "system" else ""
    dates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    turns = [{"role": "system", "content": dates + system}, *turns]
    written = [f"{_header(turn['role'])}{turn['content']}<|eot_id|>" for turn in turns[:1]]
    written += [f"{_header(turn['role'])}{turn['content'].strip()}<|eot_id|>" for turn in turns[1:]]
    return "<|begin_of_text|>" + "".join(written) + _header("assistant")


def render_plain(messages: Sequence[Message]) -> str:
    """Return the contents of *messages*, a blank line after each, for a tokenizer without chat markers."""
    check_messages(messages)
    return "\n\n".join(message["content"].strip() for message in messages) + "\n\n"


def chatml(
    *, system: str | None, before_end: str = "", opening: str = ""
) -> Callable[[Sequence[Message]], str]:
    """Return the ChatML writer of a family.

    Source: chat templates of Qwen2.5, Qwen3, Dream and SDAR; apple/DiffuCoder-7B-Instruct for *before_end*.
    Contents are written as they are.

    Args:
        system: The system message of a chat that starts without one, or None for no system message.
        before_end: Written between the content of a user message and the end of its turn.
        opening: What the answer starts with, for example an empty thought.
    """

    def render(messages: Sequence[Message]) -> str:
        check_messages(messages)
        turns = list(messages)
        if system is not None and turns[0]["role"] != "system":
            turns = [{"role": "system", "content": system}, *turns]
        written = [
            f"<|im_start|>{turn['role']}\n{turn['content']}"
            f"{before_end if turn['role'] == 'user' else ''}<|im_end|>\n"
            for turn in turns
        ]
        return "".join(written) + "<|im_start|>assistant\n" + opening

    return render


def render_ling(messages: Sequence[Message]) -> str:
    """Return the chat of the Ling line of models with thinking off, ending in an open assistant turn.

    Source: chat template of inclusionAI/LLaDA2.0-mini and inclusionAI/LLaDA-MoE-7B-A1B-Instruct: the system
    turn is always there and ends with the switch of thinking.
    """
    check_messages(messages)
    turns = list(messages)
    system = f"{turns.pop(0)['content']}\n" if turns[0]["role"] == "system" else ""
    names = {"system": "SYSTEM", "user": "HUMAN", "assistant": "ASSISTANT"}
    written = [f"<role>{names[turn['role']]}</role>{turn['content']}<|role_end|>" for turn in turns]
    opening = f"<role>SYSTEM</role>{system}detailed thinking off<|role_end|>"
    return opening + "".join(written) + "<role>ASSISTANT</role>"


SEED_CODER_SYSTEM = (
    "You are an AI programming assistant, utilizing the Seed-Coder model, developed by ByteDance Seed, "
    "and you only answer questions related to computer science. For politically sensitive questions, "
    "security and privacy issues, and other non-computer science questions, you will refuse to answer."
)
"""What the published template says where a chat has no system message."""


def render_seed_coder(messages: Sequence[Message]) -> str:
    """Return the Seed-Coder chat of *messages*, ending in an open assistant turn.

    Source: chat template of ByteDance-Seed/Seed-Coder-8B-Instruct, whose tokenizer Stable-DiffCoder has: the
    system turn is always there and ends with a blank line.
    """
    check_messages(messages)
    turns = list(messages)
    system = turns.pop(0)["content"] if turns[0]["role"] == "system" else SEED_CODER_SYSTEM
    turns = [{"role": "system", "content": f"{system}\n\n"}, *turns]
    written = [f"{SEED_BEGIN}{turn['role']}\n{turn['content']}{SEED_END}" for turn in turns]
    return "".join(written) + f"{SEED_BEGIN}assistant\n"


SEED_BEGIN, SEED_END = "<[begin▁of▁sentence]>", "<[end▁of▁sentence]>"

SEED_CODER_CHAT = ChatFormat(
    render=render_seed_coder, markers=(SEED_BEGIN, SEED_END), end_of_turn=(SEED_END,)
)

LLADA_CHAT = ChatFormat(
    render=render_llada,
    markers=("<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    end_of_turn=("<|eot_id|>",),
    mask="<|mdm_mask|>",
)


CHATML_MARKERS = ("<|im_start|>", "<|im_end|>")
QWEN_ENDS = ("<|im_end|>", "<|endoftext|>")

QWEN2_CHAT = ChatFormat(
    render=chatml(system="You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    markers=CHATML_MARKERS,
    end_of_turn=QWEN_ENDS,
)

QWEN3_CHAT = ChatFormat(
    render=chatml(system=None, opening="<think>\n\n</think>\n\n"),
    markers=(*CHATML_MARKERS, "<think>", "</think>"),
    end_of_turn=QWEN_ENDS,
)

LLAMA3_CHAT = ChatFormat(
    render=render_llama3,
    markers=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    end_of_turn=("<|eot_id|>", "<|end_of_text|>"),
)

LING_CHAT = ChatFormat(
    render=render_ling,
    markers=("<|role_end|>",),
    end_of_turn=("<|role_end|>", "<|endoftext|>"),
    mask="<|mask|>",
)


def encode(
    messages: Sequence[Message], tokenizer: HFTokenizer | ByteTokenizer, form: ChatFormat, *, name: str
) -> list[int]:
    """Return the prompt ids of a chat, ready to be followed by the generated region.

    A byte tokenizer has no chat markers; there the prompt is the contents with blank lines after them.

    Raises:
        ValueError: *messages* is not a chat, the tokenizer lacks a marker of the chat format, or a content
            would become a control token.
    """
    if isinstance(tokenizer, ByteTokenizer):
        return tokenizer.encode(render_plain(messages))
    missing = [marker for marker in form.markers if tokenizer.token_id(marker) is None]
    if missing:
        raise ValueError(
            f"tokenizer {tokenizer.name!r} must hold the chat markers of {name!r}, got none of "
            f"{', '.join(missing)}; use the tokenizer.json published with the checkpoint"
        )
    refuse_control(messages, tokenizer, (*form.markers, *form.end_of_turn, form.mask))
    ids = tokenizer.encode(form.render(messages))
    return ids if form.arrange is None else form.arrange(ids, tokenizer)


def encode_plain(messages: Sequence[Message], tokenizer: HFTokenizer | ByteTokenizer) -> list[int]:
    """Return the ids of the contents, a blank line after each, for a model without a chat format.

    Raises:
        ValueError: *messages* is not a chat, or a content would become a control token.
    """
    written = render_plain(messages)
    if not isinstance(tokenizer, ByteTokenizer):
        refuse_control(messages, tokenizer)
    return tokenizer.encode(written)


def refuse_control(messages: Sequence[Message], tokenizer: HFTokenizer, others: Collection[str] = ()) -> None:
    """Raise for a content that would become a special token or one of *others*: a mask, or a forged turn."""
    check_messages(messages)
    for place, message in enumerate(messages):
        found = tokenizer.control_in(message["content"], others)
        if found is not None:
            raise ValueError(
                f"messages[{place}] content must be text for tokenizer {tokenizer.name!r}, got its control "
                f"token {found!r}; leave the sample out or write the token another way"
            )


def answer_ids(ids: Sequence[int], eos_ids: Collection[int]) -> tuple[int, ...]:
    """Return *ids* up to, and without, the first that is in *eos_ids*; all of them if none is."""
    end = next((place for place, token in enumerate(ids) if token in eos_ids), len(ids))
    return tuple(ids[:end])
