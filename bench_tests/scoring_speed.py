"""Speed of grammar scores, measured by hand: ``python bench_tests/scoring_speed.py --languagetool DIR``.

First texts per second, asked and known. Then the default run of all tasks with and without grammar in this
one process: how much longer it takes, and how long it waits for scores with nothing left to decode.

``--fake SECONDS`` needs no LanguageTool: a tool that sleeps so long for every distinct text stands in for it.
It takes no processor from the decoding, so the run should take little more than the longer of both alone.
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
from threading import Event
from typing import Any
from unittest.mock import patch

import torch

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.portions.ahead import ahead_of
from pb_plugin.records.record import Record
from pb_plugin.records.store import Store
from pb_plugin.running import bench as run
from pb_plugin.running.bench import Bench
from pb_plugin.running.scoring import Scoring
from pb_plugin.running.tools import Tools, tools_of
from task_specs.audit.data_card import reference_texts
from task_specs.catalogue import BENCHMARK_IDS
from task_specs.scoring.bertscore_tool import BertScoreTool
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


class Sleeping:
    """A tool like LanguageTool's that finds nothing wrong, and sleeps for every text that it has not seen."""

    name, is_later, missing, notes = "grammar", False, None, ()

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: set[str] = set()
        self.slept_s = 0.0

    def check(self) -> None:
        """Nothing can be wrong."""

    def key(self) -> str:
        """Return what a score depends on."""
        return "sleeping"

    def measure(self, asked: Sequence[tuple[str, Any]], stop: Event | None = None) -> list[dict[str, Any]]:
        """Return that no rule is broken, after a while."""
        fresh = {text for text, _ in asked} - self._seen
        self._seen |= fresh
        self.slept_s += len(fresh) * self._seconds
        time.sleep(len(fresh) * self._seconds)
        return [{"matches": 0, "rules": [], "version": "1"} for _ in asked]

    def close(self) -> None:
        """Nothing was started."""


def run_seconds(grammar: str, samples: int | None, tool: Sleeping | None = None) -> tuple[float, float, int]:
    """Return the seconds of a default run, those of them that it waited, and its number of results.

    The server is started before; its start is told by `grammar_speed`. A *tool* stands in for it.
    """
    with tempfile.TemporaryDirectory() as directory:
        options = Options(store=Path(directory), samples=samples, grammar=grammar)
        cells = plan(options).cells
        groups = [
            [cell for cell in cells if cell.task == task] for task in dict.fromkeys(c.task for c in cells)
        ]
        tools = tools_of(grammar=grammar, bertscore=None, folder=options.store)
        if tool is not None:
            tools = Tools(tool, BertScoreTool(None))
        store = Store(options.store)
        store.prepare()
        bench = Bench(options, store, tools)
        WatchedScoring.waited_s = 0.0
        try:
            tools.key({"grammar"})
            with patch.object(run, "Scoring", WatchedScoring):
                started = time.perf_counter()
                for group in groups:
                    bench.decode_ahead(ahead_of(group[0], groups))
                    bench.decode(group)
                wall_s = time.perf_counter() - started
        finally:
            bench.close()
            tools.close()
        return wall_s, WatchedScoring.waited_s, sum(len(bench.resources.planned(cell)) for cell in cells)


def overlap(seconds: float, samples: int | None) -> None:
    """Print the seconds of a run beside those of its parts."""
    tool = Sleeping(seconds)
    at_start = time.process_time()
    without_s, _, n = run_seconds("later", samples)
    between = time.process_time()
    with_s, waited_s, _ = run_seconds("auto", samples, tool)
    busy = (between - at_start, time.process_time() - between)
    longer = max(without_s, tool.slept_s)
    print(
        f"default run, {n} results: decoding alone {without_s:.1f} s, grammar alone {tool.slept_s:.1f} s, "
        f"together {with_s:.1f} s ({with_s / longer:.2f} x the longer), {waited_s:.1f} s of them waiting; "
        f"processor time {busy[0]:.1f} s without grammar and {busy[1]:.1f} s with it"
    )


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--languagetool", type=Path, help="folder of LanguageTool")
    parser.add_argument("--fake", type=float, help="seconds for each text of a tool that stands in for it")
    parser.add_argument("--samples", type=int, help="samples of each task in the runs; default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.fake is not None:
        overlap(arguments.fake, arguments.samples)
        return
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
