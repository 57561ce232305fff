"""What a scorer asks beside the text, in whole batches: a grammar checker, an encoder.

A tool-backed score is a file that keeps this contract, its line in `pb_plugin.running.tools.tools_of`, and a
scorer that reads what the tool measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, Protocol

from task_specs.sample import Sample


class Tool(Protocol):
    """A scoring tool of one process, looked for and started at its first use.

    What cannot be used is tried once: later uses raise the same message at once.
    """

    name: str
    """What specs write in ``needs``, and where scorers find what it measured."""

    def check(self) -> None:
        """Look at what the user named, without starting or loading it.

        Raises:
            ValueError: It cannot be used.
        """

    @property
    def is_later(self) -> bool:
        """Whether texts are decoded now and judged another time."""

    @property
    def missing(self) -> str | None:
        """Why the tasks that need it are left out of this run, with the ways out; None where they are not.

        Raises:
            ValueError: What was named cannot be used.
        """

    @property
    def notes(self) -> Sequence[str]:
        """What the reader of a run should know of it, once it was used."""

    def key(self) -> str:
        """Return what a score depends on: version, rules, language; nothing of where it answers.

        Raises:
            ValueError: It does not start.
        """

    def shared(self) -> Mapping[str, Any] | None:
        """Start it, and return what a worker needs to use the same one, as plain values; None: its own.

        Raises:
            ValueError: It does not start.
        """

    def measure(self, asked: Sequence[tuple[str, Sample]], stop: Event | None = None) -> list[dict[str, Any]]:
        """Return what it says of every (text, sample), in order; ``reason`` alone where it cannot judge one.

        Args:
            asked: What to judge; each distinct text is asked once.
            stop: Once set, here or by a tool that stopped answering, no further text is asked.

        Raises:
            ValueError: It cannot be used.
        """

    def close(self) -> None:
        """End what was started here."""
