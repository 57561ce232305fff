"""Grammar by LanguageTool: texts in, matches out, several in flight, each distinct text asked once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from task_specs.scoring.languagetool.backend import Backend, resolve
from task_specs.scoring.languagetool.client import (
    ANSWER_TIMEOUT_S,
    Client,
    NotCheckedError,
    NotReachedError,
    TimedOutError,
)
from task_specs.scoring.languagetool.server import Server, ServerStartError, start_server

__all__ = ["Backend", "Grammar", "GrammarCache", "GrammarResult", "ServerStartError", "launch", "resolve"]

IN_FLIGHT = 8
PAUSES_S = (0.25, 1.0)
"""Waits before the second and the third time a text is asked; then it is given up."""

Key = tuple[str, str, str]
"""Backend, its version and rules, text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrammarResult:
    """What LanguageTool says of a text, or why it says nothing.

    Args:
        rules: Id of the rule of every match, in order; empty for a text that is right.
        version: Of the server; None where it said nothing.
        reason: Why it said nothing, else None.
    """

    rules: tuple[str, ...] = ()
    version: str | None = None
    reason: str | None = None

    def measured(self) -> dict[str, Any]:
        """Return it as scorers read it, under the key ``grammar``."""
        if self.reason is not None:
            return {"reason": self.reason}
        return {"matches": len(self.rules), "rules": list(self.rules), "version": self.version}


NOT_ASKED = GrammarResult(reason="not asked: LanguageTool stopped answering")


class GrammarCache:
    """Answers by (backend, its version and rules, text): in memory, and in a file that is only appended to.

    Several processes may append to one file. A line that is no answer (torn by a kill) is skipped
    and its text asked again.

    Args:
        folder: Where ``grammar.jsonl`` is kept; None for memory only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = None if folder is None else folder / "grammar.jsonl"
        self._known: dict[Key, tuple[str, ...]] = {}
        if self._path is not None and self._path.is_file():
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
            self._known.update(answer for line in lines if (answer := _cached(line)) is not None)

    def get(self, key: Key) -> tuple[str, ...] | None:
        """Return the rules stored for *key*, or None."""
        return self._known.get(key)

    def any_version(self, text: str) -> tuple[str, ...] | None:
        """Return the rules stored for *text*, or None where there are none or versions disagree."""
        found = {rules for (_, _, known), rules in self._known.items() if known == text.strip()}
        return found.pop() if len(found) == 1 else None

    def put(self, key: Key, rules: tuple[str, ...]) -> None:
        """Store *rules* for *key*."""
        self._known[key] = rules
        if self._path is not None:
            backend, version, text = key
            line = json.dumps({"backend": backend, "version": version, "text": text, "rules": rules})
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                file.write(f"\n{line}\n".encode())  # the first newline ends a line that a kill has torn


class Grammar:
    """The grammar checker of one process.

    Args:
        backend: What to ask; one without a running server answers every text with a reason.
        cache: Where answers are kept.
        in_flight: Texts asked at the same time.
        timeout_s: How long one reply may take.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        cache: GrammarCache | None = None,
        in_flight: int = IN_FLIGHT,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self.backend = backend
        self._cache = GrammarCache() if cache is None else cache
        self._in_flight = in_flight
        self._timeout_s = timeout_s
        self._client: Client | None = None
        self._hangs = Event()

    def check(self, texts: Iterable[str], stop: Event | None = None) -> list[GrammarResult]:
        """Return the result of every text, in order; texts are stripped, an empty one is never asked.

        A text that fails is asked three times in all. Once the server cannot be reached for one text, the
        texts still waiting are given up with the same reason. One that does not answer in time is not asked
        again by this process. A failure is not cached.

        Args:
            texts: What to check.
            stop: Set where the server cannot be reached; no text is asked once it is set, so calls that
                share it share an outage, and another thread can end them. None: one of this call.
        """
        stripped = [text.strip() for text in texts]
        found = {text: self._known(text) for text in stripped}
        open_texts = [text for text, result in found.items() if result is None]
        if open_texts:
            found |= self._ask(open_texts, Event() if stop is None else stop)
        return [result for text in stripped if (result := found[text]) is not None]

    def _known(self, text: str) -> GrammarResult | None:
        if not text:
            return GrammarResult(reason="the text is empty")
        if self.backend.version is None:
            return GrammarResult(reason=self.backend.reason or "the grammar server was not started")
        rules = self._cache.get((self.backend.name, str(self.backend.identity), text))
        return None if rules is None else GrammarResult(rules=rules, version=self.backend.version)

    def _ask(self, texts: list[str], unreached: Event) -> dict[str, GrammarResult]:
        found: dict[str, GrammarResult] = {}
        if unreached.is_set() or self._hangs.is_set():
            return dict.fromkeys(texts, NOT_ASKED)
        with ThreadPoolExecutor(max_workers=min(self._in_flight, len(texts))) as pool:
            try:
                client = self._connected()
            except NotReachedError as error:
                unreached.set()
                return dict.fromkeys(texts, GrammarResult(reason=_unreached(error)))
            waiting = {pool.submit(self._ask_one, client, text, unreached): text for text in texts}
            for future in as_completed(waiting):
                text, result = waiting[future], future.result()
                found[text] = result
                if result.version is not None:
                    of = replace(self.backend, version=result.version).identity
                    self._cache.put((self.backend.name, str(of), text), result.rules)
        return found

    def _ask_one(self, client: Client, text: str, unreached: Event) -> GrammarResult:
        last: NotReachedError | NotCheckedError | None = None
        for pause in (0.0, *PAUSES_S):
            if unreached.is_set() or self._hangs.is_set():
                return NOT_ASKED
            time.sleep(pause)
            try:
                rules, version = client.check(text)
            except TimedOutError as error:
                self._hangs.set()
                unreached.set()
                return GrammarResult(reason=_unreached(error))
            except (NotReachedError, NotCheckedError) as error:
                last = error
            else:
                return GrammarResult(rules=rules, version=version)
        if isinstance(last, NotReachedError):
            unreached.set()
            return GrammarResult(reason=_unreached(last))
        return GrammarResult(reason=f"LanguageTool could not check the text: {last}")

    def _connected(self) -> Client:
        if self._client is None:
            assert self.backend.url is not None, "a backend with a version has an address"
            self._client = Client(self.backend.url, timeout_s=self._timeout_s)
        return self._client


def launch(backend: Backend, *, directory: Path, env: Mapping[str, str]) -> tuple[Backend, Server | None]:
    """Return *backend* with a running server, and that server where it had to be started (close it).

    Args:
        backend: What `resolve` returned.
        directory: Where the log of a started server goes.
        env: Its environment.

    Raises:
        ServerStartError: The server did not come up.
    """
    if backend.folder is None or backend.java is None:
        return backend, None
    server = start_server(Path(backend.folder), java=Path(backend.java), directory=directory, env=env)
    return backend.at(server.url, server.version, server.rules), server


def _unreached(error: NotReachedError) -> str:
    return f"LanguageTool did not answer: {error}"


def _cached(line: str) -> tuple[Key, tuple[str, ...]] | None:
    """Return the answer in a line of the cache, or None where it holds none."""
    try:
        entry = json.loads(line)
        key = (entry["backend"], entry["version"], entry["text"])
        rules = entry["rules"]
    except (ValueError, KeyError, TypeError):
        return None
    is_answer = isinstance(rules, list) and all(isinstance(part, str) for part in (*key, *rules))
    return (key, tuple(rules)) if is_answer else None
