"""A model that owns its loop behind a server: the chat goes out as messages, and what is told is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from decoders.protocols import Message, Tokenizer
from decoders.rows import Decoded, DecodeError, Failed, Row, Served
from decoders.served.client.answer import Answer
from decoders.served.client.failures import AskError
from decoders.served.dialects.steps import UNKNOWN
from decoders.served.facts import Known
from decoders.served.fleet import Fleet
from decoders.served.options import CONCURRENCY, ServedOptions
from decoders.served.server import Server
from decoders.served.wire import END, WireTokenizer, answer_ids, chat_ids, chat_of
from decoders.served.workers import Workers


@dataclass(kw_only=True, eq=False)
class ServedGenerator:
    """Rows asked of a server, several at once.

    Args:
        name: What the run calls the model.
        fleet: Its servers.
        options: What goes for every server of the run.
        counter: Counts the tokens of a text where the server does not, or None.
    """

    owns_loop: ClassVar[bool] = True
    eos_ids: ClassVar[frozenset[int]] = frozenset({END})
    tokenizer: ClassVar[WireTokenizer] = WireTokenizer()
    device: ClassVar[str] = "a server"
    dtype: ClassVar[str] = "the server's"

    name: str
    fleet: Fleet
    options: ServedOptions
    counter: Tokenizer | None = None

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return a chat as the bytes of its JSON."""
        return chat_ids(messages)

    def generate(self, rows: Sequence[Row], params: Mapping[str, Any]) -> list[Decoded]:
        """Return all answers in the order of *rows*.

        Raises:
            DecodeError: A row has none.
        """
        found: dict[Any, Decoded] = {}
        for outcome in self.generate_each(rows, params):
            if isinstance(outcome, Failed):
                raise outcome.error
            found[outcome.key] = outcome
        return [found[row.key] for row in rows]

    def generate_each(self, rows: Sequence[Row], params: Mapping[str, Any]) -> Iterator[Decoded | Failed]:
        """Yield each answer as soon as it is here, in any order; a row without one gives its reason.

        Raises:
            ServerError: The server cannot be used with *params*.
            ValueError: A row asks for what a server cannot do.
        """
        for row in rows:
            _check_row(row, self.name)
        server = self.fleet.server(params)
        known = server.known(params)
        reads_counters = server.dialect.counters(known.everything)
        waiting = list(rows)
        given = self.options.concurrency
        if reads_counters and given in (None, 1):
            asking = _Asking(self, server, known, alone=True)
            while waiting:
                outcome = asking.outcome(waiting.pop(0))
                yield outcome
                if given is None and asking.counts_without:
                    break
        asking = _Asking(self, server, known, alone=False)
        yield from asking.workers.results(waiting, given or CONCURRENCY)

    def close(self) -> None:
        """Let go of connections and stop what was started."""
        self.fleet.close()


class _Asking:
    """One call of `generate_each`: after a failure that all would share, nothing more is asked."""

    def __init__(self, model: ServedGenerator, server: Server, known: Known, *, alone: bool) -> None:
        self._model = model
        self._server = server
        self._known = known
        self._alone = alone
        self._down: AskError | None = None
        self.counts_without = False
        self.workers: Workers[Row, Decoded | Failed] = Workers(self.outcome)

    def outcome(self, row: Row) -> Decoded | Failed:
        """Return what one row came to."""
        try:
            if self._down is not None:
                raise self._down
            answer, attempts, usd = self._server.ask(
                chat_of(row.prompt_ids),
                row.gen_length,
                self._known,
                _sampling(row),
                alone=self._alone,
                sleep=self.workers.stopping.wait,
            )
            return self._decoded(row, answer, attempts, usd)
        except AskError as error:
            if error.for_all:
                self._down = error
            kind = "timeout" if error.timed_out else "model_error"
            return Failed(key=row.key, error=DecodeError(str(error), kind=kind))

    def _decoded(self, row: Row, answer: Answer, attempts: int, usd: float | None) -> Decoded:
        server, known = self._server, self._known.everything
        told = server.dialect.steps(answer, known)
        self.counts_without = server.dialect.steps(replace(answer, counters={}), known).kind == "counted"
        tokens, told_by = self._tokens(answer)
        steps = told if tokens else UNKNOWN
        details = {
            "server": server.facts.to_json(),
            "answered_by": answer.model,
            "seconds": round(answer.seconds, 6),
            "first_token_seconds": None if answer.first_token_s is None else round(answer.first_token_s, 6),
            "prompt_tokens": answer.prompt_tokens,
            "tokens": tokens,
            "reasoning_tokens": answer.reasoning_tokens,
            "tokens_counted_by": told_by,
            "nfe_told": told.nfe,
            "attempts": attempts,
            "usd": usd,
        }
        if server.key and server.key in json.dumps(details, default=str):
            raise AskError(message=f"{server.url} sent its key back; the answer is not stored", again=False)
        return Decoded(
            key=row.key,
            ids=answer_ids(answer.text, ended=answer.finish != "length"),
            nfe=steps.nfe,
            nfe_kind=steps.kind,
            nfe_low=steps.low,
            nfe_high=steps.high,
            commit_step=None,
            finish_reason=answer.finish,
            served=Served(
                tokens=tokens or None,
                content_tokens=max(0, tokens - (answer.reasoning_tokens or 0)) if tokens else None,
                details=details,
            ),
        )

    def _tokens(self, answer: Answer) -> tuple[int | None, str | None]:
        """Return how many tokens were generated, and who says so."""
        if answer.tokens is not None:
            return answer.tokens, "usage"
        counter = self._model.counter
        return (None, None) if counter is None else (len(counter.encode(answer.text)), counter.name)


def _sampling(row: Row) -> dict[str, Any]:
    """Return temperature and seed; a seed of its own for each sample, and none where nothing is drawn."""
    temperature = row.setting.temperature
    if temperature == 0.0:
        return {"temperature": 0}
    seed = hashlib.sha256(f"{row.seed}/{row.sample_id}".encode()).digest()
    return {"temperature": temperature, "seed": int.from_bytes(seed[:4], "big") >> 1}


def _check_row(row: Row, name: str) -> None:
    setting = row.setting
    for what, value, default in (
        ("a template", row.template_ids, None),
        ("block_length", setting.block_length, None),
        ("cache", setting.cache, "none"),
    ):
        if value != default:
            raise ValueError(
                f"{what} must be left out for {name!r}, got it in row {row.key!r}; a server has blocks and "
                "caches of its own (say them as --unmasking native:NAME=VALUE) and fills in no templates"
            )
