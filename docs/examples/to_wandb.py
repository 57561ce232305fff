"""A hook of one's own: the curves of a run in Weights & Biases, offline; ``wandb sync`` uploads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import wandb


def pytest_pb_summary(
    config: pytest.Config, summary: Mapping[str, Any], gates: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Log a run for every curve: the score of every task over tokens per step, and PB80 of its suites."""
    settings = wandb.Settings(mode="offline", console="off", silent=True)
    wandb.setup(settings=settings)  # before the first run: else its telemetry looks for a network
    for curve in summary["curves"]:
        name = f"{curve['model']}-{curve['method']}"
        run = wandb.init(project="parallelbench", name=name, settings=settings)
        for cell in summary["cells"]:
            if (cell["model"], cell["method"]) == (curve["model"], curve["method"]) and cell["tps"]:
                run.log(
                    {f"{cell['task']}/score": cell["accuracy"], f"{cell['task']}/tps": cell["tps"]["canvas"]}
                )
        for suite, found in curve["suites"].items():
            run.summary[f"{suite}/PB80"] = found["pbx"]["published"]["canvas"]["80"]["value"]
        run.summary["gates_failed"] = sum(not gate["passed"] for gate in gates)
        run.finish()
    return [f"{len(summary['curves'])} curves logged to wandb, offline"]
