"""Decodes 10,000 items in one process and says whether memory and open files stay as they are.

``python -m bench_tests.soak [N]``; needs psutil, which the extra ``test`` brings. The items are cells of
``ideal`` with one sample, in rounds of new seeds, so that nothing is found in the store. Memory is the
resident size after each tenth of the run; the first tenth, in which everything is imported and tables grow
to their size, is the base.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from pathlib import Path

import psutil

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.running.bench import Bench

MOST_GROWTH = 0.05
TASKS = ("copy", "shuffle", "sort", "reverse")


def soak(n_items: int, folder: Path) -> list[tuple[int, int, int]]:
    """Return (items, resident bytes, open files) after every tenth of *n_items*."""
    process = psutil.Process()
    found: list[tuple[int, int, int]] = []
    done, seed, next_look = 0, 0, n_items // 10
    while done < n_items:
        options = Options(task=TASKS, samples=1, seed=(seed,), store=folder / f"store{seed // 10}")
        cells = plan(options).cells
        bench = Bench(options, Store(options.store))
        for task in TASKS:
            bench.decode([cell for cell in cells if cell.task == task])
        for cell in cells:
            assert all(record is not None and not record.failed for record in bench.records(cell))
        bench.close()
        done, seed = done + len(cells), seed + 1
        if done >= next_look:
            gc.collect()
            found.append((done, process.memory_info().rss, process.num_fds()))
            next_look += n_items // 10
    return found


def main() -> int:
    """Print what was seen; exit code 1 where memory grew by more than `MOST_GROWTH`, or files stayed open."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", nargs="?", type=int, default=10_000)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(parser.parse_args().items, Path(folder))
    for items, resident, files in found:
        print(f"{items:7,} items  {resident / 2**20:8.1f} MiB  {files:4} open files")
    (_, first, files_then), (_, last, files_now) = found[0], found[-1]
    print(f"memory {last / first - 1:+.1%} since the first tenth, open files {files_now - files_then:+}")
    return int(last > (1 + MOST_GROWTH) * first or files_now > files_then)


if __name__ == "__main__":
    raise SystemExit(main())
