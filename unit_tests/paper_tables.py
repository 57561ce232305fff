"""The tables of docs/paper.md: closed forms, and the committed numbers of stored runs beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from decoders.theory.closed_forms import (
    replace_random_accuracy,
    replace_random_correlation,
    replace_random_threshold_accuracy,
    shuffle_accuracy,
    shuffle_bound,
    shuffle_correlation,
    shuffle_threshold_accuracy,
)
from unit_tests.paper_numbers import ANALYSED, GAMMAS, GOLDEN, LENGTHS, points
from unit_tests.paper_rows import ROWS, Row, Shown

Rows = tuple[Sequence[str], list[list[str]]]
"""Header and body of a table."""


def numbers() -> dict[str, Any]:
    """Return the committed numbers."""
    found: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


def index() -> Rows:
    """Return a row for every figure and table of the paper."""
    found = numbers()["shown"]
    body = [[row.what, row.claim, _command(row), _came_out(row, found), row.weights] for row in ROWS]
    return ["in the paper", "what it claims", "our command", "what came out here", "with weights"], body


def _command(row: Row) -> str:
    is_ours = row.command.startswith("pb ")
    return f"`{row.command}`" if is_ours else f"`pytest bench_tests {row.command}`"


def _came_out(row: Row, found: Mapping[str, Mapping[str, float]]) -> str:
    parts: list[str] = [row.instead] if row.instead else []
    last = ""
    for one in row.shown:
        curve = _curve(one)
        if curve != last:
            parts.append(f"**{curve}**:")
        last = curve
        scores = ", ".join(f"{setting} {interval(found[name])}" for setting, name in points(one))
        parts.append(f"{one.task} {scores};")
    return " ".join(parts).removesuffix(";")


def _curve(one: Shown) -> str:
    model = one.run.rpartition("_")[2]
    cache = " with a prefix cache" if "prefix" in one.run else ""
    block = "" if one.block is None else f", blocks of {one.block}"
    return f"{model}, {one.method}{block}{cache}"


def interval(number: Mapping[str, float]) -> str:
    """Return ``41 [32, 51]``, in percent."""
    return f"{number['percent']:.0f} [{number['low']:.0f}, {number['high']:.0f}]"


def correlations() -> Rows:
    """Return what Table 1 says of the data: bits lost when all items, or two per step, come out together."""
    body = [
        [
            str(n),
            "0",
            f"{replace_random_correlation(n):.3f}",
            f"{shuffle_correlation(n):.3f}",
            f"{shuffle_bound(n, [2] * (n // 2)):.3f}",
        ]
        for n in (*LENGTHS, 64, 1024)
    ]
    header = ["n", "copy, replace index", "replace random", "shuffle", "shuffle, two per step"]
    return header, body


def top_k() -> Rows:
    """Return Figures 2a to 2d: accuracy in percent by closed form, and as `ideal` measured it."""
    found = numbers()["lists"]
    body = []
    for task, form in (("list_shuffle", _shuffle), ("list_replace_random", _replace)):
        for n in LENGTHS:
            for k in dict.fromkeys((1, 2, n)):
                cells = []
                for run, greedy in (("list_greedy", True), ("list_sampled", False)):
                    closed = form(n, k, greedy)
                    measured = found[f"{run}|{task}{'' if n == 10 else f'_n{n}'}|k={k}"]
                    cells += ["-" if closed is None else f"{100 * closed:.1f}", interval(measured)]
                body.append([task, str(n), str(k), *cells])
    header = [
        "task",
        "n",
        "k",
        "greedy, closed form",
        "greedy, measured",
        "sampled, closed form",
        "sampled, measured",
    ]
    return header, body


def _shuffle(n: int, k: int, greedy: bool) -> float:
    return shuffle_accuracy(n, k)


def _replace(n: int, k: int, greedy: bool) -> float | None:
    return None if not greedy and 1 < k < n else replace_random_accuracy(n, k, greedy=greedy)


def threshold() -> Rows:
    """Return Figure 2e: accuracy in percent at n = 10 under a threshold, by closed form and measured."""
    found = numbers()["lists"]
    forms = {
        "list_copy": lambda gamma: 1.0,
        "list_replace_index": lambda gamma: 1.0,
        "list_replace_random": lambda gamma: replace_random_threshold_accuracy(10, gamma),
        "list_shuffle": lambda gamma: shuffle_threshold_accuracy(10, gamma),
    }
    body = [
        [
            f"{gamma:g}",
            *(
                f"{100 * form(gamma):.1f} / {interval(found[f'list_threshold|{task}|gamma={gamma:g}'])}"
                for task, form in forms.items()
            ),
        ]
        for gamma in GAMMAS
    ]
    return ["threshold", *forms], body


def figure_6() -> Rows:
    """Return both numbers of Figure 6 for every task of the core."""
    found = numbers()
    tasks = [row["task"] for row in found["parallelizability"]["ideal"]]
    sources = [(name, model) for name in ("parallelizability", "order_benefit") for model in ANALYSED]
    by_task = {(name, model): {row["task"]: row for row in found[name][model]} for name, model in sources}
    body = [[task, *(_with_interval(by_task[one].get(task)) for one in sources)] for task in tasks]
    names = {"parallelizability": "parallelizability", "order_benefit": "benefit of order"}
    return ["task", *(f"{names[name]}, {model}" for name, model in sources)], sorted(
        body, key=lambda row: float(row[1].split()[0])
    )


def _with_interval(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    ends = row["interval"]
    return f"{row['value']:.2f} [{ends['low']:.2f}, {ends['high']:.2f}]"


def figure_7() -> Rows:
    """Return the oracle over the core, and each curve of its model beside it."""
    body = []
    for model, rows in numbers()["oracle"].items():
        for row in rows:
            if row["tasks"] != "core":
                continue
            gap, ends = row["gap_in_score"], row["gap_interval"]
            shown = (
                "-" if gap is None or ends is None else f"{gap:.1f} [{ends['low']:.1f}, {ends['high']:.1f}]"
            )
            body.append([model, f"{row['score']:.1f} at {row['tps']:.2f} TPS", row["curve"], shown])
    return ["model", "oracle", "curve", "oracle minus curve at that speed, points"], body
