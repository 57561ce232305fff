"""What sharing a run and watching it costs: ``python bench_tests/sharing.py idle``, ``overhead``, ``guard``.

``idle`` runs a suite with two workers and shows the share of their time in which one had nothing left to do,
and that the records are those of one process. ``overhead`` runs thousands of empty cells in one process,
with two workers and, where Ray is installed, with two of its workers, and shows seconds and milliseconds per
item, starting included. ``guard`` decodes with and without the watch over time and rows, in turn.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest

from decoders.loop.batching import sweep
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser
from decoders.unmasking.top_k import confidence
from pb_plugin.faults.at_work import AtWork
from pb_plugin.faults.guard import Guard
from pb_plugin.planning.limits import Limits
from pb_plugin.records.store import Store

ROOT = Path(__file__).resolve().parents[1]
TASKS = "copy,sort,shuffle,replace_index,insert_random,remove_index,latin_square,sudoku"
SUITES: Mapping[str, Sequence[str]] = {
    "eight tasks on ideal": ("--task", TASKS),
    "one task on ideal": ("--task", "shuffle", "--samples", "100"),
    "four tasks on tiny": ("--task", "copy,sort,shuffle,remove_index", "--model", "tiny", "--samples", "20"),
}
TEMPERATURES = ",".join(f"{number / 20:g}" for number in range(26))
NOTHING = "def test_cell(pb_cell):\n    pass\n"


class Watch:
    """Notes when each worker began its first item and ended its last."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See the report of an item that a worker ran."""
        worker = getattr(report, "worker_id", None)
        if worker is not None:
            self.begun[worker] = min(report.start, self.begun.get(worker, report.start))
            self.ended[worker] = max(report.stop, self.ended.get(worker, report.stop))

    @property
    def idle_share(self) -> float:
        """The part of the workers' time, from the first item to the last, after a worker's own last item."""
        end = max(self.ended.values())
        whole = len(self.ended) * (end - min(self.begun.values()))
        return sum(end - moment for moment in self.ended.values()) / whole


def results(store: Path) -> dict[str, tuple[object, ...]]:
    """Return what was decoded, by key."""
    return {
        line.record.decode_key: (line.record.ids, line.record.nfe, tuple(line.record.scores.items()))
        for line in Store(store).read()
    }


def idle() -> None:
    """Print the idle share of every suite."""
    for name, options in SUITES.items():
        with tempfile.TemporaryDirectory() as folder:
            arguments = [str(ROOT / "bench_tests"), "-q", "--no-summary", *options]
            watch = Watch()
            pytest.main([*arguments, "-n", "2", f"--pb-store={folder}/two"], plugins=[watch])
            took = max(watch.ended.values()) - min(watch.begun.values())
            subprocess.run(
                [sys.executable, "-m", "pytest", *arguments, f"--pb-store={folder}/one"],
                check=False,
                stdout=subprocess.DEVNULL,
            )
            same = results(Path(folder) / "two") == results(Path(folder) / "one")
        print(
            f"{name}: idle {watch.idle_share:.1%} of {took:.0f} s x 2, {'equal' if same else 'OTHER'} records"
        )


def overhead() -> None:
    """Print what an item that does nothing costs."""
    ways: dict[str, Sequence[str]] = {"one process": (), "two workers (-n 2)": ("-n", "2")}
    if find_spec("ray"):
        ways["two workers of Ray"] = (
            "--pb-engine",
            "ray",
            "--pb-ray-workers",
            "2",
            "--pb-ray-address",
            "local",
        )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_nothing.py").write_text(NOTHING, encoding="utf-8")
        common = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-summary"]
        common += ["-p", "no:hypothesispytest", "-p", "no:benchmark", "--pb-temperature", TEMPERATURES]
        for name, options in ways.items():
            begin = time.monotonic()
            done = subprocess.run(
                [*common, *options], cwd=folder, check=False, capture_output=True, text=True
            )
            took = time.monotonic() - begin
            last = done.stdout.strip().splitlines()[-1]
            n_items = int(last.split(" passed")[0].split()[-1])
            print(f"{name}: {n_items} items in {took:.1f} s, {1000 * took / n_items:.2f} ms each")


def guard(rounds: int = 7) -> None:
    """Print what it costs to watch a forward: the time it may take, and which rows are in it."""
    setting = Setting(method=confidence(), k=1)
    rows = [
        Row(key=i, prompt_ids=(3,) * 8, gen_length=32, setting=setting, sample_id=str(i)) for i in range(64)
    ]
    extra, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        watch = Guard(Limits(forward=60.0, sample=600.0), AtWork(Path(folder), "bench"))
        for _ in range(rounds):
            begun = time.process_time()
            list(sweep(HashDenoiser(), rows))
            plain = time.process_time() - begun
            forwards: list[int] = []
            begun = time.process_time()
            with watch.sweeping("hash", [(str(row.key), "confidence k=1") for row in rows]):
                list(sweep(HashDenoiser(), rows, on_step=forwards.append, guard=watch.step))
            watched, steps = time.process_time() - begun, len(forwards)
            extra.append(1e6 * (watched - plain) / steps)
            ratios.append(watched / plain)
        watch.close()
    print(
        f"{steps} forwards of {len(rows)} rows, watched and not in turn, {rounds} rounds: "
        f"{median(extra):+.0f} us for each, x{median(ratios):.3f} in processor time"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("idle", "overhead", "guard"))
    {"idle": idle, "overhead": overhead, "guard": guard}[parser.parse_args().what]()
