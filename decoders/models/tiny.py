"""The shipped model ``tiny``: a small LLaDA, trained here on waiting lines, sudokus and Latin squares.

Architecture: that of LLaDA-8B (Llama blocks that look in both directions: RMSNorm, rotary attention, SwiGLU,
no biases), with 5 layers of width 128, 4 heads, an inner width of 256, and the embedding tied to the output:
0.86 million parameters. The vocabulary has 330 tokens: marks of a JSON list, task words, digits, capitals,
and the first and last names of our waiting lines, one token each.

It reads compact prompts only (``prompt_compact`` of a task): a first line with the task word and its
arguments, then the input. The line is filled up with blanks to 7 tokens and the input to 19, so that input
and answer start at the same positions in every row. Longer inputs, and words without a token, are refused.

It is trained as a masked diffusion model by ``pb train-tiny``: `decoders.training` is fed with what
`task_specs.questions` draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from decoders.loading.checkpoint import Preset
from decoders.models.llada import INERT, native_key, plan
from decoders.network.denoiser import NativeDenoiser
from decoders.network.family import Family, files_hash, load_checkpoint
from decoders.protocols import Message, ModelRequest
from decoders.text.chat import ChatFormat, check_messages
from decoders.text.hf_tokenizer import HFTokenizer

__all__ = ["fingerprint", "load", "plan"]

PROMPT_STYLE = "compact"
"""Which of a task's prompts the model reads."""

HEAD = 7
"""Tokens of the first line: task word, an index and a person with a comma before each, line break."""

BODY = 19
"""Tokens of the input: a list of 6 people (two names each, marks around them), or a 4x4 grid."""

BLANK, UNKNOWN, LINE_END = "<blank>", "<unknown>", "\n"


def render_compact(messages: Sequence[Message]) -> str:
    """Return the one message of a compact prompt.

    Raises:
        ValueError: There are more messages than one, or it is no user's.
    """
    check_messages(messages)
    roles = [message["role"] for message in messages]
    if roles != ["user"]:
        raise ValueError(
            f"messages for a model of compact prompts must be one of role user, got {', '.join(roles)}; "
            "ask without worked examples"
        )
    return messages[0]["content"]


def fill_up(ids: Sequence[int], tokenizer: HFTokenizer) -> list[int]:
    """Return the prompt *ids* with blanks after the first line and after the input, `HEAD` + `BODY` in all.

    Raises:
        ValueError: A token is unknown, there is no line break, or one of the parts is too long.
    """
    blank, unknown, line_end = (tokenizer.token_id(text) for text in (BLANK, UNKNOWN, LINE_END))
    if blank is None or line_end is None:
        raise ValueError(
            f"tokenizer {tokenizer.name!r} must hold {BLANK} and the line break, got no "
            f"{BLANK if blank is None else 'line break'}; "
            "use the tokenizer.json of the checkpoint"
        )
    if unknown is not None and unknown in ids:
        known = tokenizer.decode(ids[: list(ids).index(unknown)])
        raise ValueError(
            f"prompt must consist of the words {tokenizer.name!r} was trained on, got another one after "
            f"{known[-40:]!r}; it knows the compact prompts of our own waiting lines and puzzles only"
        )
    head = list(ids).index(line_end) + 1 if line_end in ids else 0
    for part, size, most in (("first line", head, HEAD), ("input", len(ids) - head, BODY)):
        if not 0 < size <= most:
            raise ValueError(
                f"{part} of a prompt of {tokenizer.name!r} must have 1 to {most} tokens, got {size}; "
                "it was trained on lists of 3 to 6 people and on 4x4 puzzles"
            )
    body = ids[head:]
    return [*ids[:head], *[blank] * (HEAD - head), *body, *[blank] * (BODY - len(body))]


CHAT = ChatFormat(render=render_compact, markers=(BLANK,), end_of_turn=(), mask="<mask>", arrange=fill_up)

PRESETS: Mapping[str, Preset] = MappingProxyType({})
"""None: the one checkpoint comes with this package."""

FAMILY = Family(
    architecture="TinyModelLM", presets=PRESETS, chat=CHAT, rename=native_key, plan=plan, inert=INERT
)


def shipped_folder() -> Path:
    """Return the checkpoint that comes with this package."""
    return Path(str(files("decoders") / "checkpoints" / "tiny"))


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the checkpoint's files.

    Raises:
        ValueError: It cannot be found, or is incomplete.
    """
    return files_hash(with_source(request), PRESETS)


def load(request: ModelRequest) -> NativeDenoiser:
    """Return the shipped checkpoint, or the one in the folder that *request* names.

    Raises:
        LoadError: It cannot be found, is no checkpoint of this kind, or failed a self-test.
    """
    return load_checkpoint(with_source(request), FAMILY)


def with_source(request: ModelRequest) -> ModelRequest:
    """Return *request* with the shipped folder where it names none, or only an adapter (``+ADAPTER``)."""
    source = request.source or ""
    given = source and not source.startswith("+")
    return request if given else replace(request, source=f"{shipped_folder()}{source}")
