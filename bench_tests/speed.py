"""Speed of the loop and of collection, measured by hand: ``python bench_tests/speed.py --llada DIR``.

Every figure is a ratio or difference of two ways measured in this one run, because machines differ and drift.
Decoding runs on one thread and is measured in processor time, which other programs do not lengthen.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from decoders.budget import Budget
from decoders.loop.batching import sweep
from decoders.models import ideal
from decoders.protocols import ModelRequest
from decoders.rows import Row, Setting
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence, random
from pb_plugin.asking.rows import answer_context
from pb_plugin.asking.samples import TaskData
from task_specs.generate.names import vocabulary
from task_specs.spec import builtin_spec

BATCHES = (1, 8, 64)
ROUNDS = 3


class Stopwatch:
    """A denoiser that counts the seconds spent inside its model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, *arguments: Any) -> Any:
        """Return what the model returns, on the clock."""
        started = time.process_time()
        logits = self._model(*arguments)
        self.seconds += time.process_time() - started
        return logits


def exact_rows() -> tuple[Any, list[Row]]:
    """Return `ideal` and 64 shuffle questions under four settings."""
    model = ideal.load(ModelRequest(name="ideal", vocabulary=vocabulary()))
    data = TaskData(planned=builtin_spec("shuffle"), data=None, n_samples=64)
    settings = [
        Setting(method=random(), k=2),
        Setting(method=confidence(), k=4),
        Setting(method=Threshold(gamma=0.9)),
    ]
    rows = []
    for question in data.questions:
        context = answer_context(question, data.spec, model)
        rows += [
            Row(
                key=len(rows) + i,
                prompt_ids=(),
                gen_length=data.spec.canvas,
                setting=setting,
                sample_id=question.sample.id,
                context=context,
            )
            for i, setting in enumerate(settings)
        ]
    return model, rows


def network_rows(folder: Path) -> tuple[Any, list[Row]]:
    """Return the LLaDA checkpoint in *folder* and 64 prompts under two settings."""
    from decoders.models import llada

    model = llada.load(ModelRequest(name="llada", source=str(folder)))
    asked = [[{"role": "user", "content": f"Question {sample}?"}] for sample in range(64)]
    return model, _rows(model, asked)


def tiny_rows() -> tuple[Any, list[Row]]:
    """Return the shipped model and 64 shuffle questions under two settings."""
    from decoders.models import tiny

    model = tiny.load(ModelRequest(name="tiny"))
    data = TaskData(planned=builtin_spec("shuffle"), data=None, n_samples=64)
    return model, _rows(model, [question.messages for question in data.asked(tiny.PROMPT_STYLE)])


def _rows(model: Any, asked: Sequence[Sequence[Mapping[str, str]]]) -> list[Row]:
    settings = [Setting(method=confidence(), k=2), Setting(method=Threshold(gamma=0.9))]
    return [
        Row(
            key=2 * sample + i,
            prompt_ids=tuple(model.encode_prompt(messages)),
            gen_length=32,
            setting=setting,
            sample_id=str(sample),
        )
        for sample, messages in enumerate(asked)
        for i, setting in enumerate(settings)
    ]


def decode_speed(name: str, model: Any, rows: Sequence[Row]) -> None:
    """Print rows per second at each batch size, and the share of the time that is not the model."""
    measured: dict[int, list[tuple[float, float]]] = {batch: [] for batch in BATCHES}
    for _ in range(ROUNDS):
        for batch in BATCHES:
            watched = Stopwatch(model)
            started = time.process_time()
            done = list(sweep(watched, rows, budget=Budget(tokens=10**9, max_rows=batch)))
            busy_s = time.process_time() - started
            assert len(done) == len(rows)
            measured[batch].append((busy_s, watched.seconds))
    alone_s = statistics.median(busy for busy, _ in measured[1])
    for batch in BATCHES:
        busy_s = statistics.median(busy for busy, _ in measured[batch])
        model_s = statistics.median(inside for _, inside in measured[batch])
        print(
            f"{name}, batch {batch:2}: {len(rows) / busy_s:8.1f} rows/s, "
            f"{alone_s / busy_s:5.2f} x one row at a time; "
            f"selection takes {(busy_s - model_s) / model_s:5.2f} x the time in the model"
        )


def collection_seconds(arguments: Sequence[str], folder: Path) -> float:
    """Return the median seconds of a ``--collect-only`` session with *arguments*."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=os.environ)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def collection_speed() -> None:
    """Print the time that 2,000 and 10,000 items add to a session that collects one plain test."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        (folder / "empty" / "test_empty.py").write_text("def test_nothing(): pass\n")
        (folder / "cells").mkdir()
        (folder / "cells" / "test_cells.py").write_text("def test_cell(pb_cell, pb_record): pass\n")
        empty_s = collection_seconds(["empty"], folder)
        for wanted in (2_000, 10_000):
            gammas = ",".join(str(round(i / (wanted // 12), 6)) for i in range(1, wanted // 12 + 1))
            cells_s = collection_seconds(
                ["cells", "--task", EXACT_TASKS, "--unmasking", f"threshold:gamma={gammas}"], folder
            )
            print(
                f"collection of {wanted // 12 * 12} items: {cells_s - empty_s:.2f} s above an empty session "
                f"({empty_s:.2f} s)"
            )


EXACT_TASKS = (
    "copy,sort,reverse,shuffle,replace_index,replace_random,insert_index,insert_random,remove_index,remove_random,"
    "latin_square,sudoku"
)


def main(measure: Callable[[str, Any, Sequence[Row]], None] = decode_speed) -> None:
    """Run everything that the arguments allow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llada", type=Path, help="folder of a LLaDA checkpoint, for the network part")
    folder = parser.parse_args().llada
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, 1 thread, median of {ROUNDS} rounds")
    measure("ideal", *exact_rows())
    measure("tiny", *tiny_rows())
    if folder is not None:
        measure("llada", *network_rows(folder))
    collection_speed()


if __name__ == "__main__":
    main()
