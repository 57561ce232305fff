"""Speed of grammar scores, measured by hand: ``python bench_tests/scoring_speed.py --languagetool DIR``.

First texts per second, asked and known. Then the default run of all tasks with and without grammar in this
one process: how much longer it takes, and how long it waits for scores with nothing left to decode.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import torch

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.record import Record
from pb_plugin.records.store import Store
from pb_plugin.running import bench as run
from pb_plugin.running.bench import Bench
from pb_plugin.running.scoring import Scoring
from pb_plugin.running.tools import tools_of
from task_specs.audit.data_card import reference_texts
from task_specs.catalogue import BENCHMARK_IDS
from task_specs.scoring.languagetool.checker import Grammar, GrammarCache, launch, resolve

ROUNDS = 3
WARM_UP = 300
"""Texts asked before the clock starts: a Java program is slow at first."""


def distinct_texts(seed: int = 0) -> list[str]:
    """Return every reference of the text tasks, and each with two neighbouring words in one; shuffled."""
    draw = random.Random(seed)
    right = [
        text
        for task in BENCHMARK_IDS["text_writing"]
        for references in reference_texts(task)
        for text in references
    ]
    texts = list(dict.fromkeys([*right, *(spoilt(text, draw) for text in right)]))
    draw.shuffle(texts)
    return texts


def spoilt(text: str, draw: random.Random) -> str:
    """Return *text* with a word replaced by its neighbour, which is what parallel decoding does to it."""
    words = text.split()
    place = draw.randrange(len(words) - 1)
    words[place] = words[place + 1]
    return " ".join(words)


def grammar_speed(folder: Path) -> None:
    """Print texts per second: just after the start, warm, and known from memory."""
    texts = distinct_texts()
    share = (len(texts) - WARM_UP) // ROUNDS
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        backend, server = launch(resolve(str(folder), os.environ), directory=Path(directory), env=os.environ)
        assert server is not None, "a folder is started here"
        start_s = time.perf_counter() - started
        try:
            cache = GrammarCache()
            grammar = Grammar(backend, cache=cache)
            first = rate(grammar, texts[:WARM_UP])
            parts = [texts[WARM_UP + share * i : WARM_UP + share * (i + 1)] for i in range(ROUNDS)]
            asked = statistics.median(rate(grammar, part) for part in parts)
            known = statistics.median(rate(grammar, part) for part in parts)
        finally:
            server.close()
    print(
        f"{backend.name} {backend.version}, {len(texts)} distinct texts; the server starts in {start_s:.1f} s"
    )
    print(f"first {WARM_UP}: {first:.0f} texts/s; then {asked:.0f} texts/s; known: {known:.0f} texts/s")


def rate(grammar: Grammar, texts: Sequence[str]) -> float:
    """Return the texts per second that *grammar* answers."""
    started = time.perf_counter()
    results = grammar.check(texts)
    wall_s = time.perf_counter() - started
    assert all(result.version is not None for result in results), "every text has an answer"
    return len(texts) / wall_s


class WatchedScoring(Scoring):
    """Scoring that counts the seconds a run waits for it."""

    waited_s = 0.0

    def rest(self) -> Iterator[Record]:
        """Yield as ever; what passes between asking for a record and having it was waited."""
        records = super().rest()
        while True:
            started = time.perf_counter()
            record = next(records, None)
            type(self).waited_s += time.perf_counter() - started
            if record is None:
                return
            yield record


def run_seconds(grammar: str, samples: int | None) -> tuple[float, float, int]:
    """Return the seconds of a default run, those of them that it waited, and its number of results.

    The server is started before; its start is told by `grammar_speed`.
    """
    with tempfile.TemporaryDirectory() as directory:
        options = Options(store=Path(directory), samples=samples, grammar=grammar)
        cells = plan(options).cells
        groups = [
            [cell for cell in cells if cell.task == task] for task in dict.fromkeys(c.task for c in cells)
        ]
        tools = tools_of(grammar=grammar, bertscore=None, folder=options.store)
        store = Store(options.store)
        store.prepare()
        bench = Bench(options, store, tools)
        WatchedScoring.waited_s = 0.0
        try:
            tools.key({"grammar"})
            with patch.object(run, "Scoring", WatchedScoring):
                started = time.perf_counter()
                for group in groups:
                    bench.decode(group)
                wall_s = time.perf_counter() - started
        finally:
            bench.close()
            tools.close()
        return wall_s, WatchedScoring.waited_s, sum(len(bench.resources.planned(cell)) for cell in cells)


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--languagetool", type=Path, required=True, help="folder of LanguageTool")
    parser.add_argument("--samples", type=int, help="samples of each task in the runs; default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    grammar_speed(arguments.languagetool)
    without_s, _, n = run_seconds("later", arguments.samples)
    with_s, waited_s, _ = run_seconds(str(arguments.languagetool), arguments.samples)
    print(
        f"default run, {n} results: {without_s:.1f} s without grammar, {with_s:.1f} s with it "
        f"({with_s / without_s:.2f} x); of these {waited_s:.1f} s waiting for scores "
        f"({100 * waited_s / with_s:.1f} %)"
    )


if __name__ == "__main__":
    main()
