"""One attempt at an OpenAI-compatible server, through the official SDK."""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from decoders.served.client.answer import Answer, Ask, Gathered, Malformed
from decoders.served.client.http import http_client

OPENAI = "api.openai.com"
"""The host whose newer models take ``max_completion_tokens`` alone; other servers know ``max_tokens``."""


class OpenAIClient:
    """Asks one server.

    Args:
        url: Its base URL, with the path before ``/chat/completions``.
        key: Its key, or an empty text for a server without.
        timeout_s: Longest wait for the next bytes.
    """

    def __init__(self, url: str, key: str, timeout_s: float) -> None:
        import openai

        omit: Any = openai.Omit()
        headers: dict[str, Any] = {"OpenAI-Organization": omit, "OpenAI-Project": omit}
        self._limit = "max_completion_tokens" if urlsplit(url).hostname == OPENAI else "max_tokens"
        self.http = http_client(timeout_s)
        self._client = openai.OpenAI(
            api_key=key or "none",  # the SDK insists; a server without keys does not look
            base_url=url,
            max_retries=0,
            http_client=self.http,
            default_headers=headers,
        )

    def ask(self, asked: Ask) -> Answer:
        """Return the answer of one attempt; whatever fails is raised as it came."""
        started, first = perf_counter(), None
        gathered = Gathered()
        body = {self._limit: asked.max_tokens, **asked.fields}
        messages: Any = list(asked.messages)
        with self._client.chat.completions.with_streaming_response.create(
            model=asked.model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=body,
        ) as response:
            if "text/event-stream" in response.headers.get("content-type", ""):
                for chunk in response.parse():
                    if gathered.take(_plain(chunk)) and first is None:
                        first = perf_counter() - started
            else:
                gathered.take(json.loads(response.read()))
        return gathered.answer(seconds=perf_counter() - started, first_token_s=first)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def _plain(chunk: Any) -> Any:
    """Return a chunk as it came, with the fields that the SDK does not know."""
    if not hasattr(chunk, "to_dict"):
        raise Malformed(f"a chunk must be a JSON object, got {type(chunk).__name__}")
    return chunk.to_dict(mode="python", warnings=False)
