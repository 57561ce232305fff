"""The numbers of the model card of `tiny`, out of a stored run: ``python -m unit_tests.tiny_card STORE``.

It writes the committed numbers from which docs/tiny.md shows the tables of the card. The run is the one that
the page names: `tiny` and `ideal` under the default settings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pb_plugin.report.stored import read_report
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import CellSummary, Summary, setting_label
from task_specs.scoring.lists import RANDOM_OPERATIONS

GOLDEN = Path(__file__).parent / "pb_plugin" / "golden" / "tiny_card.json"
TRAININGS = (
    Path(__file__).parents[1] / "decoders" / "checkpoints" / "tiny" / "card.json",
    Path(__file__).parent / "pb_plugin" / "golden" / "tiny_seed_1.json",
)
"""What ``pb train-tiny`` wrote beside the shipped model, and beside one of another seed."""

TASKS = SUITES["core"]
MODELS = ("tiny", "ideal")
METHODS = ("confidence", "left_to_right", "random", "threshold")
ONE_BY_ONE = "k=1"
SHOWN_SUITES = ("core", "waiting_line")


def numbers(store: Path) -> dict[str, Any]:
    """Return the card's numbers from the newest run of *store*.

    Raises:
        ValueError: The run lacks a model, a method, or a result.
    """
    summary = read_report(store, None).summary
    cells = {
        (cell.identity.model, cell.identity.method, cell.task, setting_label(cell.setting)): cell
        for cell in summary.cells
    }
    settings = {
        method: list(dict.fromkeys(setting for _, m, _, setting in cells if m == method))
        for method in METHODS
    }
    found = [key[:2] for key in cells]
    missing = [f"{model}-{m}" for model in MODELS for m in METHODS if (model, m) not in found]
    if missing:
        raise ValueError(f"the run must have {', '.join(missing)}; run both models with the default methods")
    return {
        "settings": settings,
        "percent": [
            {
                "task": task,
                "method": method,
                **{m: [_percent(cells[m, method, task, s]) for s in settings[method]] for m in MODELS},
            }
            for task in TASKS
            for method in METHODS
        ],
        "choices": [
            {
                "task": task,
                **{model: _choices(cells[model, "random", task, ONE_BY_ONE]) for model in MODELS},
            }
            for task in TASKS
            if task in RANDOM_OPERATIONS
        ],
        "pb80": [
            {
                "suite": suite,
                "method": method,
                **{model: _pb80(summary, model, method, suite) for model in MODELS},
            }
            for suite in SHOWN_SUITES
            for method in METHODS
        ],
    }


def _percent(cell: CellSummary) -> float:
    if cell.incomplete or cell.accuracy is None:
        raise ValueError(
            f"{cell.label} must be complete, got {cell.incomplete or cell.unscored}; run it again"
        )
    return round(100 * cell.accuracy, 4)


def _choices(cell: CellSummary) -> Mapping[str, float | None]:
    assert cell.choices is not None, f"{cell.label} is a random task"
    names = ("entropy_ratio", "entropy_ratio_unbiased", "p_value")
    found = {name: getattr(cell.choices, name) for name in names}
    return {name: None if value is None else round(value, 4) for name, value in found.items()}


def _pb80(summary: Summary, model: str, method: str, suite: str) -> float | None:
    (curve,) = [c for c in summary.curves if (c.identity.model, c.identity.method) == (model, method)]
    value = curve.suites[suite].pbx(80).value
    return None if value is None else round(value, 4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the numbers of a store."""
    parser = argparse.ArgumentParser(prog="python -m unit_tests.tiny_card", description=__doc__)
    parser.add_argument("store", type=Path)
    found = numbers(parser.parse_args(arguments).store)
    parts = []
    for name, value in found.items():
        rows = ",\n".join(json.dumps(row) for row in value) if isinstance(value, list) else None
        parts.append(f"{json.dumps(name)}: " + (json.dumps(value) if rows is None else f"[\n{rows}\n]"))
    GOLDEN.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
