"""A process of its own that renders chat templates, so that an endless or too large one can be stopped.

Run as ``python -m decoders.loading.template_process``. It writes a line when it is ready; then for a line of
JSON (template, messages, tokens) one with the text or the error. It ends with its input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

MEMORY = 512 << 20
"""Bytes that rendering may take beyond what the process has when it starts; where the system can say so."""
LONGEST = 1_000_000
"""Characters of a rendered prompt."""


def render(request: Mapping[str, Any]) -> dict[str, str]:
    """Return ``{"text": ...}``, or ``{"error": ...}`` for whatever the template did.

    Source: transformers renders chats with the same function (``apply_chat_template``).
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        written = [
            render_jinja_template(
                conversations=[request["messages"]],
                chat_template=request["template"],
                add_generation_prompt=True,
                **request["tokens"],
            )[0][0]
            for _ in range(2)
        ]
    except Exception as error:  # a template may do anything: 1/0, recursion, include, no memory left
        said = " ".join(str(error).split()) or "no reason"
        return {"error": f"{said[:200]} ({type(error).__name__})"}
    if written[0] != written[1]:
        return {"error": "two different prompts for the same chat"}
    if len(written[0]) > LONGEST:
        return {"error": f"a prompt of {len(written[0])} characters, above {LONGEST}"}
    return {"text": written[0]}


def limit_memory() -> None:
    """Let this process take `MEMORY` more than it has, where the system knows how much that is (Linux)."""
    try:
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Answer every line of the input."""
    from transformers.utils import chat_template_utils  # noqa: F401 (its memory is not the template's)

    limit_memory()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(render(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
