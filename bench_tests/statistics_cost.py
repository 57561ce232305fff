"""What the statistics of a full run cost: ``python bench_tests/statistics_cost.py``.

Records are made up, nothing is decoded: 17 tasks x 6 settings x 100 samples for every method and model. The
time counts everything from records to the report with all intervals, groups and derived numbers, less the
same without the resample. Each size has a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

from pb_plugin.records.asked import Asked
from pb_plugin.records.record import Record
from pb_plugin.report.sections import section_lines
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_result import CellResult, CurveKind, PlannedCell
from pb_plugin.results.derived import derived_json
from pb_plugin.results.differences import comparisons
from pb_plugin.results.suites import SUITES
from pb_plugin.statistics.resample import Resample
from task_specs.catalogue import BENCHMARK_IDS

SIZES = ((4, 1, 2.0), (12, 3, 10.0))
"""Methods, models, and the seconds that are allowed."""

KS = (1, 2, 4, 8, 16, 32)
N = 100
CANVAS = 64
CATEGORY_OF = {task: category for category, tasks in BENCHMARK_IDS.items() for task in tasks}


def cells(n_methods: int, n_models: int) -> list[CellResult]:
    """Return the cells of a made-up run; the text tasks have scores between 0 and 1."""
    generator = np.random.default_rng(0)
    return [
        cell(f"model{model}", f"method{method}", method, task, k, generator)
        for model in range(n_models)
        for method in range(n_methods)
        for task in SUITES["all"]
        for k in KS
    ]


def cell(
    model: str, method: str, place: int, task: str, k: int, generator: np.random.Generator
) -> CellResult:
    """Return one cell of `N` records; the chance of being right falls with k."""
    asked = Asked(
        task=task,
        data_source="own",
        model=model,
        method=method,
        method_params={},
        k=k,
        block_length=None,
        canvas=CANVAS,
        seed=0,
    )
    other = {
        "data_checksum": task,
        "spec_version": 1,
        "model_fingerprint": model,
        "prompt_style": "natural",
        "dtype": "bfloat16",
        "method_code": method,
        "decode_code": "code",
    }
    chance = 1.0 / (1.0 + k * (1.0 + place) / 40.0)
    scores = generator.random(N) < chance if task in SUITES["core"] else chance * generator.random(N)
    lost = generator.integers(0, 3, size=N)
    records = [
        Record(
            parts={**asked.parts(), **other, "sample_id": f"s{i:03d}", "input_hash": f"{task}{i}"},
            nfe=CANVAS // k + int(lost[i]),
            commit_step=(),
            canvas_tokens=CANVAS,
            to_eos_tokens=40,
            content_tokens=39,
            scores={"accuracy": float(scores[i])},
            score_key="key",
        )
        for i in range(N)
    ]
    planned = PlannedCell(
        asked=asked,
        curve=CurveKind(family="adaptive" if place % 2 else "static"),
        category=CATEGORY_OF[task],
        score="accuracy",
        n_planned=N,
    )
    return CellResult(planned=planned, records=records)


def report_seconds(found: list[CellResult], resample: Resample | None) -> float:
    """Return the processor seconds from records to the whole report, in text and JSON."""
    started = time.process_time()
    summary = aggregate(found, resample=resample)
    section_lines(summary)
    json.dumps([summary.to_json(), derived_json(summary)])
    json.dumps([one.to_json() for suite in SUITES for one in comparisons(summary, suite)])
    return time.process_time() - started


def measure(n_methods: int, n_models: int, allowed: float) -> None:
    """Print the cost of one size."""
    found = cells(n_methods, n_models)
    without = report_seconds(found, None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = report_seconds(found, Resample()) - without
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    n_records = sum(len(one.records) for one in found)
    print(
        f"{n_methods} methods x {n_models} models, {n_records:,} records: statistics {seconds:.1f} s "
        f"(allowed {allowed:g}{'' if seconds <= allowed else ': MISSED'}), {peak:.0f} MB "
        f"above what the process held; the report without them {without:.1f} s"
    )


def main() -> None:
    """Measure one size, or all of them in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, choices=range(len(SIZES)), help="measure only this one, here")
    chosen = parser.parse_args().size
    if chosen is not None:
        measure(*SIZES[chosen])
        return
    for size in range(len(SIZES)):
        subprocess.run([sys.executable, __file__, "--size", str(size)], check=True)


if __name__ == "__main__":
    main()
