"""Scores of the text tasks on `ideal`, out of a stored run: ``python -m unit_tests.text_on_ideal STORE``.

It writes the committed numbers from which docs/tasks.md shows its table. The run is the one that the page
names.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pb_plugin.cli.theory import theory
from pb_plugin.report.stored import StoredReport, read_report
from pb_plugin.results.summary import CellSummary
from task_specs.catalogue import BENCHMARK_IDS

GOLDEN = Path(__file__).parent / "pb_plugin" / "golden" / "text_on_ideal.json"
TASKS = BENCHMARK_IDS["text_writing"]
METHODS = ("confidence", "random")
KS = (1, 2, 4, 8, 16, 32)
SCORES = {"paraphrasing": ("grammar", "one_minus_bleu"), "summarization": ("grammar", "rougeL")}
W2S_SCORES = ("grammar", "inclusion", "combined")


def scores_of(task: str) -> tuple[str, ...]:
    """Return the scores of *task* that the table shows."""
    return SCORES.get(task, W2S_SCORES)


def numbers(store: Path) -> dict[str, Any]:
    """Return what the table needs from the newest run of *store*, and C of every task.

    Raises:
        ValueError: The run lacks a result or a score, or was scored by several versions.
    """
    report = read_report(store, None)
    cells = {(cell.task, cell.identity.method, cell.setting["k"]): cell for cell in report.summary.cells}
    bits = {task["task"]: task["all"]["bits"]["mean"] for task in theory(TASKS)["tasks"]}
    return {
        "languagetool": _version(report),
        "samples": {task: cells[task, METHODS[0], 1].n for task in TASKS},
        "bits": {task: round(bits[task], 4) for task in TASKS},
        "means": [
            {
                "task": task,
                "score": score,
                "method": method,
                "percent": [_percent(cells[task, method, k], score) for k in KS],
            }
            for task in TASKS
            for score in scores_of(task)
            for method in METHODS
        ],
    }


def _percent(cell: CellSummary, score: str) -> float:
    found = cell.scores.get(score)
    if cell.incomplete or found is None or found.mean is None:
        problem = cell.incomplete or (found and found.reason) or "no such score"
        raise ValueError(
            f"{cell.label} must be complete and have {score}, got {problem}; run it again with LanguageTool"
        )
    return round(100 * found.mean, 4)


def _version(report: StoredReport) -> str:
    keys = {cell.score_key for cell in report.run.cells if cell.asked.task in TASKS}
    versions = {match[1] for key in keys for match in re.finditer(r"/grammar=languagetool:([\w.]+)", key)}
    if len(versions) != 1:
        raise ValueError(
            f"the run must be scored by one LanguageTool, got {sorted(versions)}; score it again"
        )
    return versions.pop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the numbers of a store."""
    parser = argparse.ArgumentParser(prog="python -m unit_tests.text_on_ideal", description=__doc__)
    parser.add_argument("store", type=Path)
    found = numbers(parser.parse_args(arguments).store)
    GOLDEN.parent.mkdir(exist_ok=True)
    rows = ",\n".join(json.dumps(row) for row in found.pop("means"))
    head = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in found.items())
    GOLDEN.write_text(f'{{\n{head}"means": [\n{rows}\n]\n}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
