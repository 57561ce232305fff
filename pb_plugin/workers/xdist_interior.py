"""What leans on the inside of pytest-xdist and may move with its version: none of it is documented.

A test of each assumption stands in ``unit_tests/pb_plugin/workers/test_xdist_interior.py``. The scheduler
itself follows the protocol that xdist publishes.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from xdist.dsession import get_default_max_worker_restart
from xdist.report import report_collection_diff
from xdist.workermanage import parse_tx_spec_config

from pb_plugin.faults.tries import DEATHS
from pb_plugin.workers.cell_files import asks_for_cells

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController as WorkerController

LOOK_AHEAD = 2
"""A worker starts an item only when it knows the next one, so it needs this many to keep going."""


def n_nodes(config: pytest.Config) -> int:
    """Return how many workers the run starts with."""
    return len(parse_tx_spec_config(config))


def difference(
    one: str, collection: Sequence[str], other: str, other_collection: Sequence[str]
) -> str | None:
    """Return what sets the items of two workers apart, None where they are equal."""
    message: str | None = report_collection_diff(collection, other_collection, one, other)
    return message


def most_deaths(config: pytest.Config) -> float:
    """Return how many workers are replaced before the run ends (``--max-worker-restart``)."""
    most = get_default_max_worker_restart(config)
    return math.inf if most is None else float(most)


def allow_deaths(config: pytest.Config) -> None:
    """Replace up to `DEATHS` workers for each, where nothing is said: what kills them is left out in time.

    By its own default pytest-xdist ends the run after four, and a row to blame costs two.
    """
    if config.option.maxworkerrestart is None and asks_for_cells(config.args):
        config.option.maxworkerrestart = str(DEATHS * int(config.option.numprocesses))


def end_workers(nodes: Iterable[WorkerController]) -> None:
    """End the processes of *nodes* that run on this machine: every record they made is stored."""
    for node in nodes:
        process = getattr(getattr(node.gateway, "_io", None), "popen", None)
        if process is not None:
            with suppress(OSError):
                os.kill(process.pid, signal.SIGTERM)
