"""The hooks that this plugin calls in others: a plugin or conftest.py of yours takes part by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pb_plugin.gates.judge import Verdict


@pytest.hookspec
def pytest_pb_record(config: pytest.Config, record: Mapping[str, Any]) -> None:
    """Take in a result as soon as it is stored, in the process that decoded it.

    Reused results do not come again. A result whose scores need a tool comes once more when it has them.
    What this raises fails the item. Running example: ``docs/examples/keep_wrong.py``.

    Args:
        config: The configuration of pytest's session.
        record: The line of the store as plain data: ``parts``, ``text``, ``scores``, ``nfe``, ``error``, ...
    """


@pytest.hookspec
def pytest_pb_gate(config: pytest.Config, summary: Mapping[str, Any]) -> Sequence[Verdict] | None:
    """Judge conditions of your own at the end of a run; each verdict is a test report that may fail it.

    Called in the controlling process, not of an interrupted run. Where this raises, the run fails and says
    so. Running example: ``docs/examples/worst_task.py``.

    Args:
        config: The configuration of pytest's session.
        summary: The ``summary`` of ``pb report --json``.
    """


@pytest.hookspec
def pytest_pb_summary(
    config: pytest.Config, summary: Mapping[str, Any], gates: Sequence[Mapping[str, Any]]
) -> Sequence[str] | None:
    """Take in what the whole run measured; return lines for the end of the terminal, or None.

    Called once in the controlling process after all gates, not of an interrupted run. Where this raises, the
    run fails and says so. Running example: ``docs/examples/to_wandb.py``.

    Args:
        config: The configuration of pytest's session.
        summary: The ``summary`` of ``pb report --json``.
        gates: Every verdict as plain data: ``gate``, ``subject``, ``passed``, ``value``, ``message``.
    """
