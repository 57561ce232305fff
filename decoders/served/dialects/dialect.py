"""What a dialect is: how one engine is told its settings, says which it has, and lets steps be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from decoders.served.client.answer import Answer
from decoders.served.dialects.steps import UNKNOWN, Steps

Settings = Mapping[str, Any]
"""Everything known of how an answer is made: what is sent, what the user says, what the server tells."""


class Pages(Protocol):
    """What a server shows of itself; see `decoders.served.client.probe.Probe`."""

    def json(self, path: str) -> Any:
        """Return the JSON at *path*, or None."""
        ...

    def counters(self) -> dict[str, float] | None:
        """Return its Prometheus counters, or None."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a server says of itself: its version, or None, and its settings."""

    version: str | None = None
    settings: Settings = field(default_factory=dict)


def _nothing_told(pages: Pages) -> Told:
    return Told()


def _all_sent(sent: Settings) -> dict[str, Any]:
    return dict(sent)


def _nothing_needed(known: Settings) -> tuple[str, ...]:
    return ()


def _no_counters(known: Settings) -> bool:
    return False


def _unknown(answer: Answer, known: Settings) -> Steps:
    return UNKNOWN


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """One engine.

    Args:
        name: What users and records call it.
        owner: What the list of models calls who serves them, for a server that is asked; None: never so.
        sent: Parameters of `native` that go with each request, and their types.
        sent_prefix: Beginning of names that go with each request unchecked; empty for none.
        said: Parameters that only the server can set: the user says them where it does not tell.
        told: Asks the server.
        fields: Makes fields of the body of what is sent.
        needed: Names of what has to be known before an answer may be stored.
        counters: Whether steps are read from counters of the server, which needs one request at a time.
        finished: The counter that shows that those of an answer are complete.
        steps: Reads the steps of an answer; UNKNOWN unless somebody tells.
    """

    name: str
    owner: str | None = None
    sent: Mapping[str, type] = field(default_factory=dict)
    sent_prefix: str = ""
    said: Mapping[str, type] = field(default_factory=dict)
    told: Callable[[Pages], Told] = _nothing_told
    fields: Callable[[Settings], dict[str, Any]] = _all_sent
    needed: Callable[[Settings], tuple[str, ...]] = _nothing_needed
    counters: Callable[[Settings], bool] = _no_counters
    finished: str = ""
    steps: Callable[[Answer, Settings], Steps] = _unknown

    @property
    def tells(self) -> bool:
        """Whether its servers say anything of themselves, so that a change can be seen."""
        return self.told is not _nothing_told
