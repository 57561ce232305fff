"""One attempt at Anthropic's Messages API, through the official SDK."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from decoders.served.client.answer import Answer, Ask, Malformed, finish_of
from decoders.served.client.http import http_client


class AnthropicClient:
    """Asks one server.

    Args:
        url: Its base URL, without ``/v1``.
        key: Its key, or an empty text for a server without.
        timeout_s: Longest wait for the next bytes.
    """

    def __init__(self, url: str, key: str, timeout_s: float) -> None:
        import anthropic

        self.http = http_client(timeout_s)
        self._client = anthropic.Anthropic(
            api_key=key or "none", base_url=url, max_retries=0, http_client=self.http
        )

    def ask(self, asked: Ask) -> Answer:
        """Return the answer of one attempt; whatever fails is raised as it came."""
        started, first = perf_counter(), None
        texts: list[str] = []
        told: dict[str, Any] = {}
        reason = model = None
        system = "\n\n".join(m["content"] for m in asked.messages if m["role"] == "system")
        turns: Any = [dict(m) for m in asked.messages if m["role"] != "system"]
        body = {**asked.fields, **({"system": system} if system else {})}
        with self._client.messages.create(
            model=asked.model, messages=turns, max_tokens=asked.max_tokens, stream=True, extra_body=body
        ) as events:
            event: Any
            for event in events:
                kind = getattr(event, "type", None)
                if kind == "message_start":
                    told |= _usage(event.message)
                    model = event.message.model
                elif kind == "content_block_delta" and event.delta.type == "text_delta":
                    texts.append(event.delta.text)
                    first = perf_counter() - started if first is None else first
                elif kind == "message_delta":
                    reason = event.delta.stop_reason
                    told |= _usage(event)
        return Answer(
            text="".join(texts),
            finish=finish_of(reason),
            model=model,
            prompt_tokens=told.get("input_tokens"),
            tokens=told.get("output_tokens"),
            reasoning_tokens=(told.get("output_tokens_details") or {}).get("thinking_tokens"),
            seconds=perf_counter() - started,
            first_token_s=first,
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def _usage(part: Any) -> dict[str, Any]:
    """Return the counts that a part of the stream tells."""
    if getattr(part, "usage", None) is None:
        raise Malformed("a message must tell its usage, got none")
    told: dict[str, Any] = part.usage.to_dict(mode="python", warnings=False)
    return {name: value for name, value in told.items() if value is not None}
