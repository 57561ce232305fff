"""Forwards that the plan says against those that were counted: ``python bench_tests/cost_model.py``.

The default run of a model with some samples of each task. Methods with k are known in advance; of adaptive
ones the plan takes a number of tokens per step, which holds for `tiny` alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.portions.cost import forwards_of
from pb_plugin.records.store import Store
from pb_plugin.running.bench import Bench
from task_specs.catalogue import BENCHMARK_IDS

TASKS = (*BENCHMARK_IDS["waiting_line"], *BENCHMARK_IDS["puzzles"])


def main() -> None:
    """Print a line for every method, and one for the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--samples", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(model=(given.model,), task=TASKS, samples=given.samples, store=Path(folder))
        cells = plan(options).cells
        bench = Bench(options, Store(options.store))
        bench.known.store.prepare()
        started = time.perf_counter()
        planned, counted = Counter[str](), Counter[str]()
        try:
            for task in dict.fromkeys(cell.task for cell in cells):
                group = [cell for cell in cells if cell.task == task]
                bench.decode(group)
                for cell in group:
                    planned[cell.asked.method] += forwards_of(cell)
                    counted[cell.asked.method] += sum(
                        record.nfe or 0 for record in bench.records(cell) if record is not None
                    )
        finally:
            bench.close()
    print(
        f"{given.model}, {given.samples} samples of {len(TASKS)} tasks, {time.perf_counter() - started:.0f} s"
    )
    print("method          planned  counted  planned / counted")
    for method in planned:
        ratio = planned[method] / counted[method]
        print(f"{method:14}{planned[method]:9}{counted[method]:9}{ratio:19.2f}")
    print(f"{'all':14}{planned.total():9}{counted.total():9}{planned.total() / counted.total():19.2f}")


if __name__ == "__main__":
    main()
