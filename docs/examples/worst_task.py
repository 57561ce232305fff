"""A gate of one's own: no task of a run may fall below half of its samples at two tokens per step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pb_plugin.gates.judge import Verdict

K, LEAST = 2, 50.0


def pytest_pb_gate(config: pytest.Config, summary: Mapping[str, Any]) -> list[Verdict]:
    """Return a verdict for every model and method, on its worst task."""
    scores: dict[str, dict[str, float]] = {}
    for cell in summary["cells"]:
        if cell["setting"] == {"k": K} and cell["accuracy"] is not None:
            curve = f"{cell['model']}-{cell['method']}"
            scores.setdefault(curve, {})[cell["task"]] = 100 * cell["accuracy"]
    return [_judged(curve, of_task) for curve, of_task in scores.items()]


def _judged(curve: str, scores: Mapping[str, float]) -> Verdict:
    worst = min(scores, key=lambda task: scores[task])
    return Verdict(
        gate=f"worst task at k={K} >= {LEAST:g}",
        subject=curve,
        passed=scores[worst] >= LEAST,
        value=scores[worst],
        message=f"{worst} has {scores[worst]:.0f} %, the gate asks for >= {LEAST:g}",
    )
