"""How often an item is tried whose worker ends: one rule for workers of pytest-xdist and for those of Ray.

An item runs again elsewhere, and it comes first. It is given up when `TRIES` workers have ended while they
ran it. A worker that had rows in work does not count: these rows are known, and those that end a second
process are left out (`pb_plugin.faults.blame`). Nothing is tried again after a run has lost so many workers
that something else must be wrong.
"""

from __future__ import annotations

from collections import Counter

TRIES = 3
"""So many workers may end while they run an item, before it is not tried again."""

DEATHS = 40
"""So many workers may end for each that a run starts with, where nothing else is said, until no item is tried
again: what ends them is left out soon."""


class Tries:
    """What is known of the items that were running when their worker ended."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._ended: Counter[str] = Counter()

    def begun(self, nodeid: str) -> None:
        """Note that a worker runs an item now."""
        self._begun.add(nodeid)

    def is_over(self, nodeid: str, *, blames_item: bool, is_last: bool) -> bool:
        """Note that a worker ended whose next item, running or not, is this; return whether it is given up.

        Args:
            nodeid: The item.
            blames_item: Whether the worker was at no row, so that the item may be why.
            is_last: Whether the run has lost too many workers.
        """
        was_running = nodeid in self._begun
        self._begun.discard(nodeid)
        self._ended[nodeid] += blames_item and was_running
        return is_last or (blames_item and self._ended[nodeid] >= TRIES)

    def why(self, nodeid: str, worker: str, how: str) -> str:
        """Return what is said of an item that is given up.

        Args:
            nodeid: The item.
            worker: The last worker that ended with it.
            how: How that ended.
        """
        if (number := self._ended[nodeid]) >= TRIES:
            return f"{number} workers ended while they ran it, the last was {worker}: {how}"
        return f"{worker} ended, and so many have that nothing is tried again: {how}"
