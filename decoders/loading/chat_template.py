"""A checkpoint's own chat template, rendered by transformers in a sandbox: data, not code."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from decoders.loading import template_process
from decoders.loading.checkpoint import LoadError, read_object
from decoders.loading.template_process import MEMORY
from decoders.protocols import Message
from decoders.text.chat import check_messages
from decoders.text.json_file import one_line, shortened

TEMPLATE_FILE = "chat_template.jinja"
SECONDS = 10.0
"""How long a prompt may take to be written."""


def read_template(directory: Path) -> str | None:
    """Return the chat template of *directory*: the file of its own, else that of tokenizer_config.json.

    Raises:
        LoadError: It is neither a text nor a list with one called ``default``.
    """
    own = directory / TEMPLATE_FILE
    if own.is_file():
        try:
            return own.read_text(encoding="utf-8")
        except ValueError as error:
            raise LoadError(f"{own} must be UTF-8, got {one_line(error)}; fetch it again") from error
    found = _settings(directory).get("chat_template")
    if isinstance(found, list):
        default = [one for one in found if isinstance(one, dict) and one.get("name") == "default"]
        found = default[-1].get("template") if default else found
    if found is not None and not isinstance(found, str):
        raise LoadError(
            f"{directory / 'tokenizer_config.json'}: chat_template must be a text, got {shortened(found)}; "
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

    The function raises a ValueError for a chat that the template refuses, takes too long for, writes in two
    ways, or writes without one of its contents.

    Raises:
        LoadError: The template writes the date, so that a prompt would not be the same tomorrow.
    """
    if "strftime_now" in template:
        raise LoadError(
            f"chat template of {str(directory)!r} must not depend on the day, got strftime_now; "
            "write a fixed date into it"
        )
    tokens = special_tokens(directory)

    def render(messages: Sequence[Message]) -> str:
        check_messages(messages)
        chat = [dict(message) for message in messages]
        answer = shared_process().ask({"template": template, "messages": chat, "tokens": tokens})
        if "error" in answer:
            raise ValueError(
                f"messages must be what the chat template of {str(directory)!r} takes, got "
                f"{answer['error']}; correct the template, or remove it for plain text"
            )
        for place, message in enumerate(messages):
            if message["content"].strip() not in answer["text"]:
                raise ValueError(
                    f"chat template of {str(directory)!r} must write every message, got a prompt without "
                    f"the content of messages[{place}] ({message['role']}); correct the template, or "
                    "remove it for plain text"
                )
        return answer["text"]

    return render


class TemplateProcess:
    """The process that renders, started with the first chat and anew after one that it did not survive."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def ask(self, request: Mapping[str, Any]) -> dict[str, str]:
        """Return the answer of `template_process.render`; an error too if there is none in time."""
        with self._lock:
            process = self._process = self._process or _started()
            late = threading.Timer(self._seconds, process.kill)
            late.start()
            try:
                print(json.dumps(request), file=process.stdin, flush=True)
                line = _line(process)
            except OSError:
                line = ""
            finally:
                late.cancel()
            if not line:
                self._process = None
                _end(process)
                return {"error": f"no prompt within {self._seconds:g} s and {MEMORY >> 20} MB"}
        answer: dict[str, str] = json.loads(line)
        return answer


@cache
def shared_process() -> TemplateProcess:
    """Return the one process that renders the templates of all models here."""
    return TemplateProcess()


def _started() -> subprocess.Popen[str]:
    """Return a running `template_process`; it ends with its input, thus with this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", template_process.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    atexit.register(_end, process)
    if not _line(process):
        raise RuntimeError(
            f"python -m {template_process.__name__} must start to render chat templates, got exit code "
            f"{process.wait()}; run it to see why"
        )
    return process


def _line(process: subprocess.Popen[str]) -> str:
    return "" if process.stdout is None else process.stdout.readline()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _settings(directory: Path) -> dict[str, Any]:
    path = directory / "tokenizer_config.json"
    return read_object(path) if path.is_file() else {}
