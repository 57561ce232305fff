"""Does thinking first lower the dependency of an answer? By ``python -m bench_tests.thinking FOLDER``.

`ideal` and `tiny`, trained on it (`bench_tests.fine_tuning` says how, and what FOLDER holds), write an order
of four letters, or put a letter in the place of one of four: as it is, and behind a trace of what they chose
(`task_specs.generate.traces`), of independent numbers or of numbers that depend on each other. Thinking is
decoded in any order, and with blocks of which the first holds the trace. ``--write docs/tuning.md`` puts the
table into that page.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench_tests.fine_tuning import EXAMPLES, Study, measure, train
from bench_tests.page_marks import write
from pb_plugin.results.summary import CellSummary
from task_specs.catalogue import TRACED_OPERATIONS, TRACES

MARK = "thinking"
IDEAL = "ideal"
IDEAL_CANVAS, IDEAL_BLOCK = 32, 16
"""`ideal` spells the marker: every trace ends before its position 16, and every letter comes behind it."""

TINY_CANVAS = 20
TINY_BLOCKS: Mapping[tuple[str, str], int] = {
    ("draws", "shuffle"): 10,
    ("draws", "replace_random"): 5,
    ("places", "shuffle"): 10,
    ("places", "replace_random"): 10,
}
"""Trace and operation to the block whose end lies between the trace and the first letter; for `tiny` the
marker is one token."""

WAYS = ("without", "thinking", "thinking, trace first")
METHODS = ("confidence", "random")
SPEEDS = ("--unmasking", "confidence", "--unmasking", "random", "--k", "1,2,4,8")
CONFIG = {
    "epochs": 4,
    "rate": 0.001,
    "train_samples": 19_200,
    "validation_samples": 320,
    "save_every_s": 60.0,
}


def tasks_of(traces: Sequence[str], canvas: int | None = None) -> tuple[str, ...]:
    """Return the tasks with these traces, each without and with thinking, as ``--task`` takes them."""
    files = [
        EXAMPLES / f"think_{trace}_{operation}.yaml" for trace in traces for operation in TRACED_OPERATIONS
    ]
    sized, also = ("", "") if canvas is None else (f":canvas={canvas}", f";canvas={canvas}")
    return tuple(text for file in files for text in (f"{file}{sized}", f"{file}:cot=true{also}"))


STUDIES: Mapping[str, Study] = {
    IDEAL: Study(
        model=IDEAL,
        tasks=tasks_of(TRACES, IDEAL_CANVAS),
        config=None,
        speeds=(*SPEEDS, "--block-length", f"{IDEAL_BLOCK},{IDEAL_CANVAS}"),
    ),
    **{
        f"tiny thinking in {trace}": Study(
            model="tiny",
            tasks=tasks_of([trace]),
            config=CONFIG,
            speeds=(
                *SPEEDS,
                "--block-length",
                ",".join(map(str, sorted({*TINY_BLOCKS.values(), TINY_CANVAS}))),
            ),
            full=True,
        )
        for trace in TRACES
    },
}


def table(cells_of: Mapping[str, Sequence[CellSummary]]) -> str:
    """Return a row per model, trace, operation and way to decode, with the scores of each method by k.

    A score is a mean in percent with its 95 % interval; behind k stand the content tokens of a step.
    """
    header = ["model", "trace", "task", "decoded", *METHODS]
    lines = [f"| {' | '.join(header)} |\n", f"| {' | '.join(['---'] * len(header))} |\n"]
    for name, cells in cells_of.items():
        for trace in TRACES:
            for operation in TRACED_OPERATIONS:
                for way in WAYS:
                    scores = [_scores(cells, name, trace, operation, way, method) for method in METHODS]
                    if any(scores):
                        parts = (name.partition(" ")[0], trace, operation, way, *scores)
                        lines.append(f"| {' | '.join(parts)} |\n")
    return "".join(lines)


def _scores(
    cells: Sequence[CellSummary], name: str, trace: str, operation: str, way: str, method: str
) -> str:
    """Return the scores of one row under one method; empty where the run did not ask for it."""
    size = f"_canvas{IDEAL_CANVAS}" if name == IDEAL else ""
    task = f"think_{trace}_{operation}{'' if way == WAYS[0] else '_cot'}{size}"
    block = None
    if way == WAYS[2]:
        block = IDEAL_BLOCK if name == IDEAL else TINY_BLOCKS[trace, operation]
    found = [
        cell
        for cell in cells
        if (cell.task, cell.identity.method, cell.identity.block_length) == (task, method, block)
    ]
    return ", ".join(map(_score, found))


def _score(cell: CellSummary) -> str:
    k, mean = cell.setting["k"], cell.scores.get(cell.score)
    if mean is None or cell.reason is not None or cell.tps is None:
        return f"k={k}: incomplete"
    low, high = 100 * mean.interval.low, 100 * mean.interval.high
    return f"k={k} ({cell.tps['content']:.1f}): {100 * mean.mean:.0f} ({low:.0f}..{high:.0f})"


def main(argv: Sequence[str] | None = None) -> None:
    """Train and measure what is missing, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where models and results are kept")
    parser.add_argument("--samples", type=int, default=100, help="samples of a task")
    parser.add_argument("--only", action="append", choices=tuple(STUDIES), help="this study alone")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    arguments = parser.parse_args(argv)
    folder = arguments.folder.resolve()
    cells_of = {}
    for name in arguments.only or STUDIES:
        train(folder, name, STUDIES[name])
        cells_of[name] = measure(folder, name, STUDIES[name], arguments.samples)
    text = table(cells_of)
    print(text)
    if arguments.write:
        write(text, arguments.write, MARK)


if __name__ == "__main__":
    main()
