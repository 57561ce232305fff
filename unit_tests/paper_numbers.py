"""The numbers of docs/paper.md, out of stored runs: ``python -m unit_tests.paper_numbers STORES``.

STORES holds one store for each run of `RUNS`, which the page names with its command. It writes the committed
numbers from which the page shows its tables; no number of the page is written by hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pb_plugin.analyses.oracle import oracle
from pb_plugin.analyses.order import order_benefit, parallelizability
from pb_plugin.report.stored import read_report
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import CellSummary, Summary, setting_label
from unit_tests.paper_rows import ROWS, TOP_K, Shown

GOLDEN = Path(__file__).parent / "pb_plugin" / "golden" / "paper.json"

LIST_OPS = ("list_copy", "list_replace_index", "list_replace_random", "list_shuffle")
LENGTHS = (2, 4, 8, 10, 16)
GAMMAS = (0.3, 0.4, 0.45, 0.55, 0.6, 0.7, 0.8, 0.85, 0.95, 1.0)

_CORE = f"--task {','.join(SUITES['core'])}"
_LISTS = " ".join(
    f"--task {task}:n={','.join(map(str, LENGTHS)) if task in LIST_OPS[2:] else '10'}" for task in LIST_OPS
)
_LISTS_10 = " ".join(f"--task {task}:n=10" for task in LIST_OPS)
_CURVES = (
    f"{TOP_K} --unmasking left_to_right --unmasking threshold:gamma=0.5,0.6,0.7,0.8,0.9,1.0 "
    "--unmasking factor:f=0.7,1.0,1.3,1.6,1.9"
)
_REMASK = "--task replace_random,shuffle --unmasking random --unmasking rcr --unmasking remdm --k 2,4"
_COT = " ".join(f"--task {task} --task {task}:cot=true" for task in ("replace_random", "shuffle"))
_CACHED = "--task replace_index,replace_random,shuffle --unmasking confidence --k 2,4 --block-length 8"
_FEW = "--samples 50"

RUNS: Mapping[str, str] = MappingProxyType(
    {
        "core_ideal": f"--model ideal {_CORE} {_CURVES}",
        "core_tiny": "--model tiny "
        "--task copy,reverse,replace_index,replace_random,shuffle,latin_square,sudoku "
        f"--unmasking random,confidence --k 1,2,4,8,32 {_FEW}",
        "blocks_ideal": f"--model ideal {_CORE} {TOP_K} --k 2 --block-length 4,8,16,32",
        "blocks_tiny": f"--model tiny --task shuffle --unmasking random --k 2 --block-length 4,16,32 {_FEW}",
        "remask_ideal": f"--model ideal {_REMASK}",
        "cache_none_tiny": f"--model tiny {_CACHED} {_FEW}",
        "cache_prefix_tiny": f"--model tiny {_CACHED} --pb-cache prefix {_FEW}",
        "n15_ideal": "--model ideal --task reverse:n=15 --task replace_random:n=15 --task shuffle:n=15 "
        "--task latin_square,sudoku --unmasking confidence --k 2",
        "lengths_ideal": "--model ideal --task shuffle:n=5,20 --task reverse:n=5,20 "
        "--unmasking confidence --k 2",
        "text_ideal": "--model ideal --task paraphrasing,summarization,w2s_easy,w2s_medium,w2s_hard "
        "--unmasking confidence,random",
        "cot_ideal": f"--model ideal {_COT} --unmasking random --k 1,2,4",
        "list_greedy": f"--model ideal {_LISTS} --unmasking random --k 1,2,4,8,10,16",
        "list_sampled": f"--model ideal {_LISTS} --unmasking random --k 1,2,4,8,10,16 --pb-temperature 1",
        "list_threshold": f"--model ideal {_LISTS_10} "
        f"--unmasking threshold:gamma={','.join(map(str, GAMMAS))}",
    }
)
"""Name of a stored run to what stood behind ``pytest bench_tests``."""

ANALYSED = ("ideal",)


def numbers(stores: Path) -> dict[str, Any]:
    """Return what the page needs from the newest run of every store in *stores*.

    Raises:
        ValueError: A run or a result is missing.
    """
    summaries = {name: read_report(stores / name, None).summary for name in RUNS}
    shown = {
        key(one): _score(summaries[one.run], one) for row in ROWS for one in row.shown for one in _points(one)
    }
    lists = {
        f"{run}|{cell.task}|{setting_label(cell.setting)}": _numbers(cell)
        for run in ("list_greedy", "list_sampled", "list_threshold")
        for cell in summaries[run].cells
    }
    return {
        "shown": shown,
        "lists": lists,
        "parallelizability": _rows("core", summaries, lambda summary: parallelizability(summary).rows),
        "order_benefit": _rows("blocks", summaries, lambda summary: order_benefit(summary).rows),
        "oracle": _rows("core", summaries, lambda summary: oracle(summary, "threshold").rows),
    }


def _points(one: Shown) -> list[Shown]:
    """Return one `Shown` for every setting of *one*."""
    return [
        Shown(run=one.run, task=one.task, method=one.method, settings=(setting,), block=one.block)
        for setting in one.settings
    ]


def key(one: Shown) -> str:
    """Return the name of a number: run, task, method, block and setting."""
    (setting,) = one.settings
    parts = (one.run, one.task, one.method, one.block or "canvas", setting)
    return "|".join(map(str, parts))


def points(one: Shown) -> list[tuple[str, str]]:
    """Return (setting, key) of every number that *one* shows."""
    return [(point.settings[0], key(point)) for point in _points(one)]


def _score(summary: Summary, one: Shown) -> dict[str, float]:
    (setting,) = one.settings
    found = [
        cell
        for cell in summary.cells
        if (cell.task, cell.identity.method, setting_label(cell.setting)) == (one.task, one.method, setting)
        and cell.identity.block_length == one.block
    ]
    if len(found) != 1:
        raise ValueError(
            f"run {one.run} must have one cell {key(one)}, got {len(found)}; run its command again"
        )
    return _numbers(found[0])


def _numbers(cell: CellSummary) -> dict[str, float]:
    if cell.reason or cell.percent is None or cell.interval is None:
        raise ValueError(f"{cell.label} must be complete, got {cell.reason}; run it again")
    low, high = 100 * cell.interval.low, 100 * cell.interval.high
    return {"percent": round(cell.percent, 3), "low": round(low, 3), "high": round(high, 3), "n": cell.n}


def _rows(kind: str, summaries: Mapping[str, Summary], rows: Any) -> dict[str, list[dict[str, Any]]]:
    return {model: [_rounded(row) for row in rows(summaries[f"{kind}_{model}"])] for model in ANALYSED}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the numbers of the stores, or print the commands that make them."""
    parser = argparse.ArgumentParser(prog="python -m unit_tests.paper_numbers", description=__doc__)
    parser.add_argument("stores", type=Path)
    parser.add_argument("--commands", action="store_true", help="print the command of every run instead")
    given = parser.parse_args(arguments)
    if given.commands:
        for name, options in RUNS.items():
            print(f"pytest bench_tests --pb-store {given.stores / name} {options}")
        return 0
    found = numbers(given.stores)
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
