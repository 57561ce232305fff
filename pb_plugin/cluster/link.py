"""What an engine asks of whatever starts workers on other machines; Ray is one, a test has another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from pb_plugin.cluster.messages import Message


class Event(NamedTuple):
    """What happened to a worker.

    Args:
        worker: Its name.
        kind: ``ready``: it can take groups; ``told``: messages; ``through``: the call that was running it has
            ended; ``lost``: it is gone with its machine or process.
        messages: Of ``told``.
        place: Of ``ready``: ``host`` and ``gpu``.
        why: Of ``lost``.
    """

    worker: str
    kind: Literal["ready", "told", "through", "lost"]
    messages: Sequence[Message] = ()
    place: Mapping[str, str] = {}
    why: str = ""


class Link(Protocol):
    """Starts supervisors (`pb_plugin.cluster.supervisor`) elsewhere and passes on what they say."""

    def open(self) -> str:
        """Connect; return a line that says to what.

        Raises:
            ValueError: There is nothing to connect to.
        """
        ...

    def n_places(self) -> int:
        """Return how many workers find a place."""
        ...

    def add(self, worker: str, setup: Mapping[str, Any]) -> None:
        """Start a worker; ``ready`` comes when there is a place for it."""
        ...

    def run(
        self,
        worker: str,
        nodeids: Sequence[str],
        records: Sequence[str],
        ends: Sequence[tuple[str, str]],
    ) -> None:
        """Let it run a group; ``told`` comes again and again, then ``through``."""
        ...

    def finish(self, worker: str) -> None:
        """Let it end well; ``told`` comes, then ``through``."""
        ...

    def stop(self, worker: str) -> None:
        """End its session at once; the call that runs it tells the rest."""
        ...

    def drop(self, worker: str) -> None:
        """Forget it; nothing more comes from it."""
        ...

    def events(self, timeout: float) -> list[Event]:
        """Return what has happened, after waiting at most *timeout* seconds for something."""
        ...

    def close(self) -> None:
        """End every worker and the connection."""
        ...
