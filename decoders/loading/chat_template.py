"""A checkpoint's own chat template, rendered by transformers in a sandbox: it is data and runs no code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from decoders.loading.checkpoint import LoadError, read_object
from decoders.protocols import Message
from decoders.text.chat import check_messages

TEMPLATE_FILE = "chat_template.jinja"


def read_template(directory: Path) -> str | None:
    """Return the chat template of *directory*: the file of its own, else that of tokenizer_config.json.

    Raises:
        LoadError: It is neither a text nor a list with one called ``default``.
    """
    own = directory / TEMPLATE_FILE
    if own.is_file():
        return own.read_text(encoding="utf-8")
    found = _settings(directory).get("chat_template")
    if isinstance(found, list):
        named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
        found = named.get("default", found)
    if found is not None and not isinstance(found, str):
        raise LoadError(
            f"{directory / 'tokenizer_config.json'}: chat_template must be a text, got {found!r}; "
            "fetch it again"
        )
    return found


def special_tokens(directory: Path) -> dict[str, str]:
    """Return the special tokens that tokenizer_config.json names (``mask_token``), as they are written."""
    found = {}
    for key, value in _settings(directory).items():
        written = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(written, str):
            found[key] = written
    return found


def writer(directory: Path, template: str) -> Callable[[Sequence[Message]], str]:
    """Return what writes a chat by *template*, ending in an open assistant turn.

    The function raises a ValueError for a chat that the template refuses.

    Raises:
        LoadError: The template writes the date, so that a prompt would not be the same tomorrow.
    """
    from jinja2 import TemplateError
    from transformers import PreTrainedTokenizerFast

    if "strftime_now" in template:
        raise LoadError(
            f"chat template of {str(directory)!r} must not depend on the day, got strftime_now; "
            "write a fixed date into it"
        )
    read: Any = PreTrainedTokenizerFast
    tokenizer = read(
        tokenizer_file=str(directory / "tokenizer.json"), chat_template=template, **special_tokens(directory)
    )

    def render(messages: Sequence[Message]) -> str:
        check_messages(messages)
        chat = [dict(message) for message in messages]
        try:
            return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
        except TemplateError as error:
            raise ValueError(
                f"messages must be what the chat template of {str(directory)!r} takes, got {error}; "
                "correct the template, or remove it for plain text"
            ) from error

    return render


def _settings(directory: Path) -> dict[str, Any]:
    path = directory / "tokenizer_config.json"
    return read_object(path) if path.is_file() else {}
