"""One server: what it is, asked once, and answers of it, each stored only if the server is still the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from decoders.served.client.answer import Answer, Ask
from decoders.served.client.anthropic_api import AnthropicClient
from decoders.served.client.budget import Spending, cost
from decoders.served.client.failures import AskError, failure_of
from decoders.served.client.keys import key_for
from decoders.served.client.openai_api import OpenAIClient
from decoders.served.client.probe import Probe, moved
from decoders.served.client.retry import ask_until_answered
from decoders.served.dialects import DIALECTS, dialect_of
from decoders.served.dialects.dialect import Dialect
from decoders.served.facts import Facts, Known, ServerError, known_settings
from decoders.served.options import Price, ServedOptions

SETTLE_S = 2.0
"""How long counters may take to show an answer that is already here."""

FIRST_ATTEMPTS = 2
"""Attempts at the first contact: a wrong URL is told at once."""


class Server:
    """A server under one URL.

    Args:
        url: Its base URL.
        scheme: The dialect's name, ``openai`` to ask.
        model: Id of the model, or None where it has exactly one.
        options: What goes for every server of the run.
        spending: What the run has spent.
        where: What the key knows it by: its URL, or the command that starts it.
        alias: What the run calls the model, for its price.
    """

    def __init__(
        self,
        *,
        url: str,
        scheme: str,
        model: str | None,
        options: ServedOptions,
        spending: Spending,
        where: str,
        alias: str,
    ) -> None:
        self.url = url
        self._scheme = scheme
        self._model = model
        self._options = options
        self._spending = spending
        self._where = where
        self._alias = alias

    @cached_property
    def key(self) -> str:
        """Its key, or an empty text."""
        return key_for(self.url)

    @cached_property
    def _client(self) -> OpenAIClient | AnthropicClient:
        kind = AnthropicClient if self._scheme == "anthropic" else OpenAIClient
        return kind(self.url, self.key, self._options.timeout_s)

    @cached_property
    def _probe(self) -> Probe:
        header = "x-api-key" if self._scheme == "anthropic" else "Authorization"
        return Probe(self._client.http, self.url, self.key, header)

    @cached_property
    def facts(self) -> Facts:
        """What it told at the first contact.

        Raises:
            ServerError: It cannot be reached, or has not exactly one model.
        """
        try:
            found, _ = ask_until_answered(
                self._ask_facts, replace(self._options, attempts=FIRST_ATTEMPTS), sleep=_wait
            )
        except AskError as error:
            raise ServerError(str(error)) from None
        return found

    @cached_property
    def dialect(self) -> Dialect:
        """How it is spoken to."""
        return DIALECTS[self.facts.engine]

    def known(self, params: Mapping[str, Any]) -> Known:
        """Return what is known of answers under *params* of `native`.

        Raises:
            ServerError: Not enough, or nonsense.
        """
        return known_settings(self.dialect, self.facts.settings, params, self.url)

    def price(self) -> Price | None:
        """Return what the user says its tokens cost."""
        prices = self._options.prices
        return prices.get(self._alias) or prices.get(self.facts.model)

    def ask(
        self,
        chat: list[dict[str, str]],
        max_tokens: int,
        known: Known,
        sampling: Mapping[str, Any],
        *,
        alone: bool,
        sleep: Callable[[float], bool],
    ) -> tuple[Answer, int, float | None]:
        """Return an answer, how many attempts it took, and what it cost, where that is known.

        Args:
            chat: The messages.
            max_tokens: Most tokens of the answer.
            known: From `known`.
            sampling: Temperature and seed.
            alone: Whether nothing else is asked meanwhile, so that the server's counters may be read.
            sleep: Waits between attempts; returns whether the run is ending.

        Raises:
            AskError: There is no answer, it is empty, or the server is not what it was.
        """
        sent = {name: value for name, value in known.sent.items() if name != "own_temperature"}
        fields = {**self.dialect.fields(sent), **({} if known.sent.get("own_temperature") else sampling)}
        asked = Ask(model=self.facts.model, messages=chat, max_tokens=max_tokens, fields=fields)
        n_bytes = sum(len(message["content"].encode("utf-8")) for message in chat)
        price = self.price()

        def once() -> Answer:
            with self._spending.request(n_bytes, max_tokens, price) as settle:
                answer = self._counted(asked) if alone and self.dialect.finished else self._once(asked)
                settle.known(cost(answer, price))
                return answer

        answer, attempts = ask_until_answered(once, self._options, sleep=sleep)
        self._check(answer)
        self._check_same(sleep)
        return answer, attempts, cost(answer, price)

    def close(self) -> None:
        """Let go of its connections; the next question makes new ones."""
        if "_client" in self.__dict__:
            self._client.close()
            del self.__dict__["_client"]
            self.__dict__.pop("_probe", None)

    def _once(self, asked: Ask) -> Answer:
        try:
            return self._client.ask(asked)
        except AskError:
            raise
        except Exception as error:  # whatever an SDK, httpx or a server's nonsense raises
            raise failure_of(error, where=self.url, key=self.key) from None  # it may hold the key

    def _counted(self, asked: Ask) -> Answer:
        """Ask between two readings of the server's counters."""
        before = self._probe.counters() or {}
        answer = self._once(asked)
        until = time.monotonic() + SETTLE_S
        while True:
            change = moved(before, self._probe.counters() or {})
            if change.get(self.dialect.finished, 0.0) >= 1.0 or time.monotonic() > until:
                return replace(answer, counters=change)
            time.sleep(0.02)

    def _check(self, answer: Answer) -> None:
        if self.key and self.key in answer.text:
            raise AskError(
                message=f"{self.url} sent its key back in an answer; it is not stored", again=False
            )
        if not answer.text.strip():
            reasoning = f", {answer.reasoning_tokens} tokens of reasoning" if answer.reasoning_tokens else ""
            raise AskError(
                message=f"{self.url} gave an empty answer (finish {answer.finish}{reasoning}); a longer "
                "canvas leaves more room: --task TASK:canvas=N",
                again=False,
            )

    def _check_same(self, sleep: Callable[[float], bool]) -> None:
        """Ask the server again what it is: an answer of a restarted one belongs to another key.

        Raises:
            AskError: It is another one, or does not say.
        """
        if not self.dialect.tells:
            return
        found, _ = ask_until_answered(self._ask_facts, self._options, sleep=sleep)
        if found != self.facts:
            raise AskError(
                message=f"{self.url} was restarted with other settings in the middle of the run, got "
                f"{_changes(self.facts, found)}; run again: its answers have keys of their own",
                again=False,
                for_all=True,
            )

    def _ask_facts(self) -> Facts:
        listed = None
        if self._scheme != "anthropic":
            listed = self._probe.json("/v1/models" if self.url.endswith("/v1") else "/models")
        models = listed.get("data", []) if isinstance(listed, Mapping) else []
        models = [model for model in models if isinstance(model, Mapping)]
        dialect = dialect_of(self._scheme, models)
        told = dialect.told(self._probe)
        return Facts(
            engine=dialect.name,
            version=told.version,
            model=self._model or _only_model(models, self.url),
            settings=told.settings,
            where=self._where,
        )


def _only_model(models: list[Any], url: str) -> str:
    ids = [str(model.get("id")) for model in models]
    if len(ids) != 1:
        shown = ", ".join(ids[:5]) or "none"
        raise ServerError(
            f"{url} must have exactly one model where none is named, got {shown}; write URL#MODEL"
        )
    return ids[0]


def _changes(before: Facts, after: Facts) -> str:
    old, new = before.to_json(), after.to_json()
    flat_old = {**old, **old.pop("settings")}
    flat_new = {**new, **new.pop("settings")}
    names = [name for name in sorted({*flat_old, *flat_new}) if flat_old.get(name) != flat_new.get(name)]
    return ", ".join(f"{name} {flat_old.get(name)!r} -> {flat_new.get(name)!r}" for name in names)


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False
