"""Where each worker ran, for the summary."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from pb_plugin.workers.gpus import VISIBLE
from pb_plugin.workers.pins import THREADS


class Places:
    """A worker says where it ran; the controlling process tells it at the end.

    One that crashed has said nothing: what is known of it is the GPU that it was given.
    """

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controlling process, where there is one."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["pb_place"] = place(_cards())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Learn where a worker of pytest-xdist ran."""
        environ = node.gateway.spec.env or {}
        self.note(node.gateway.id, getattr(node, "workeroutput", {}), environ.get(VISIBLE))

    def note(self, worker: str, output: Mapping[str, Any], gpu: str | None, *, host: str = "") -> None:
        """Remember where *worker* ran, by what it said itself or else by the *gpu* that it was given."""
        place = output.get("pb_place") or (
            f"GPU {gpu} (ended before it could name it)" if gpu else "a process that ended early"
        )
        self._places[worker] = f"{host}: {place}" if host else place

    def note_missing(self, worker: str, gpu: str | None, *, host: str) -> None:
        """Remember where *worker* ran if it has not said so."""
        if worker not in self._places:
            self.note(worker, {}, gpu, host=host)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name the place of every worker, those of one place together."""
        workers: dict[str, list[str]] = {}
        for worker in sorted(self._places):
            workers.setdefault(self._places[worker], []).append(worker)
        for where, names in workers.items():
            terminalreporter.write_line(f"parallelbench: {', '.join(names)} on {where}")


def place(cards: tuple[str, ...]) -> str:
    """Return where this process computes: its GPUs by name, or the CPU with its threads.

    Args:
        cards: The names of the GPUs that torch has found.
    """
    if not cards:
        threads = os.environ.get(THREADS)
        return f"the CPU, {threads} thread{'s' * (threads != '1')}" if threads else "the CPU"
    named = os.environ.get(VISIBLE)
    return f"{', '.join(cards)}" + (f" (GPU {named})" if named else "")


def _cards() -> tuple[str, ...]:
    """Return what torch has found, where it was loaded: a worker that only reused results has no card."""
    if "torch" not in sys.modules:
        return ()
    from decoders.devices import machine

    return tuple(device for device in machine().devices if device.startswith("cuda"))
