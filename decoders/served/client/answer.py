"""A question as it is sent and an answer as it came, and how an OpenAI-style stream becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FINISHES: Mapping[str, str] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
"""What servers call the end of an answer, and what records call it; any other end is a failure."""


class Malformed(ValueError):
    """What came back is no answer of this API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One request.

    Args:
        model: The model's id at the server.
        messages: The chat.
        max_tokens: Most tokens that may be generated.
        fields: Further fields of the body: sampling, and what the dialect sends.
    """

    model: str
    messages: Sequence[Mapping[str, str]]
    max_tokens: int
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer.

    Args:
        text: What the model said.
        finish: ``stop``, ``length`` or ``content_filter``.
        model: The id the answer carries, or None.
        prompt_tokens: As the server tells, or None.
        tokens: Generated ones as the server tells, reasoning included, or None.
        reasoning_tokens: Those of them that are no part of the text, or None.
        seconds: From sending to the last byte.
        first_token_s: From sending to the first text, None where the answer came in one piece.
        extra: Fields that the API does not have, by name: of the answer, its choice and its usage.
        counters: How far each counter of the server moved, where they were read.
    """

    text: str
    finish: str
    model: str | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    reasoning_tokens: int | None = None
    seconds: float = 0.0
    first_token_s: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)

    def extra_count(self, name: str) -> int | None:
        """Return the whole number that the server tells as *name*, or None."""
        value = self.extra.get(name)
        return value if type(value) is int and value >= 0 else None


_STANDARD = frozenset(
    {
        *("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"),
        *("index", "delta", "message", "finish_reason", "logprobs"),
        *("prompt_tokens", "completion_tokens", "total_tokens"),
        *("prompt_tokens_details", "completion_tokens_details"),
    }
)
"""Fields that the API has; the others are an engine's own."""


class Gathered:
    """An OpenAI-style answer that comes in pieces, or in one."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._finish: str | None = None
        self._model: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._extra: dict[str, Any] = {}

    def take(self, piece: Any) -> bool:
        """Take in a chunk, or a whole answer; return whether it held text.

        Raises:
            Malformed: It is neither.
        """
        body = _mapping(piece, "an answer")
        if isinstance(body.get("model"), str):
            self._model = body["model"]
        self._note_extra(body)
        if body.get("usage") is not None:
            self._usage = _mapping(body["usage"], "usage")
            self._note_extra(self._usage)
        choices = body.get("choices") or []
        if not isinstance(choices, list):
            raise Malformed(f"choices must be a list, got {type(choices).__name__}")
        if not choices:
            return False
        choice = _mapping(choices[0], "a choice")
        self._note_extra(choice)
        if choice.get("finish_reason") is not None:
            self._finish = str(choice["finish_reason"])
        said = choice.get("delta") if "delta" in choice else choice.get("message")
        content = _mapping(said or {}, "a message").get("content")
        if content is not None and not isinstance(content, str):
            raise Malformed(f"content must be text, got {type(content).__name__}")
        if content:
            self._text.append(content)
        return bool(content)

    def answer(self, *, seconds: float, first_token_s: float | None) -> Answer:
        """Return the whole answer.

        Raises:
            Malformed: It did not reach its end.
        """
        details = self._usage.get("completion_tokens_details")
        reasoning = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
        return Answer(
            text="".join(self._text),
            finish=finish_of(self._finish),
            model=self._model,
            prompt_tokens=_count(self._usage.get("prompt_tokens")),
            tokens=_count(self._usage.get("completion_tokens")),
            reasoning_tokens=_count(reasoning),
            seconds=seconds,
            first_token_s=first_token_s,
            extra=self._extra,
        )

    def _note_extra(self, part: Mapping[str, Any]) -> None:
        self._extra |= {name: value for name, value in part.items() if name not in _STANDARD}


def finish_of(written: str | None) -> str:
    """Return how records call the end *written*.

    Raises:
        Malformed: There is none, so the answer was cut; or it is the end of no answer.
    """
    if written is None:
        raise Malformed("the answer ended without a finish reason: it was cut on the way")
    if written not in FINISHES:
        raise Malformed(f"the answer ended with {written[:40]!r}, which is the end of no answer")
    return FINISHES[written]


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Malformed(f"{what} must be a JSON object, got {type(value).__name__}")
    return value


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
