"""What leans on the inside of pytest-xdist and may move with its version: none of it is documented.

A test of each assumption stands in ``unit_tests/pb_plugin/session/test_xdist_interior.py``. The scheduler
itself follows the protocol that xdist publishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from xdist.report import report_collection_diff
from xdist.workermanage import parse_tx_spec_config

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
