"""The tables of README.md that are generated: ``python -m unit_tests.readme_tables [--write]``.

Loopholes, findings and the text tasks come from committed tables that other tests compare with scorers, files
and decoded samples.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pb_plugin.options import TABLE
from pb_plugin.suites import SUITES
from task_specs.data_card import as_markdown
from task_specs.findings import Finding, as_table
from unit_tests import text_on_ideal
from unit_tests.readme_text import README, text, with_tables

GOLDEN = Path(__file__).parent / "task_specs" / "golden"
SCORE_NAMES = {"rougeL": "ROUGE-L", "one_minus_bleu": "1-BLEU"}


def golden(name: str) -> list[dict[str, Any]]:
    """Return the rows of a committed table."""
    rows: list[dict[str, Any]] = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    return rows


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return (
        "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        + "\n"
    )


def options_table() -> str:
    """Return option, configuration key and meaning of every option of the plugin."""
    rows = [
        [f"`{row.flag}{f' {row.metavar}' if row.metavar else ''}`", f"`{row.ini}`", row.help] for row in TABLE
    ]
    return _markdown(["option", "key", "meaning"], rows)


def loopholes_table() -> str:
    """Return what degenerate outputs score on the exact-answer tasks; outputs with one score stand below."""
    scores: dict[str, dict[str, float | None]] = {}
    for row in golden("loopholes.json"):
        if row["task"] in SUITES["core"]:
            scores.setdefault(row["output"], {})[row["task"]] = row["accuracy"]
    shown = [output for output, by_task in scores.items() if len(set(by_task.values())) > 1]
    lines = [[task, *(_percent(scores[output][task]) for output in shown)] for task in SUITES["core"]]
    constant: dict[str, list[str]] = {}
    for output, by_task in scores.items():
        if output not in shown:
            constant.setdefault(_percent(next(iter(by_task.values()))), []).append(output)
    below = [f"{percent} everywhere: {', '.join(outputs)}." for percent, outputs in constant.items()]
    return _markdown(["task", *shown], lines) + "\n" + "\n".join(below) + "\n"


def _percent(score: float | None) -> str:
    return "-" if score is None else f"{100.0 * score:.0f}"


def findings_table() -> str:
    """Return the rules that samples of the released files break."""
    return as_table(Finding(**row) for row in golden("released_findings.json"))


def text_on_ideal_table() -> str:
    """Return C and the mean scores of the text tasks on `ideal`: settings across."""
    found = json.loads(text_on_ideal.GOLDEN.read_text(encoding="utf-8"))
    rows, last = [], None
    for row in found["means"]:
        task = row["task"]
        first = [task, f"{found['bits'][task]:.1f}"] if task != last else ["", ""]
        last = task
        shown = [_percent(value / 100) for value in row["percent"]]
        rows.append([*first, SCORE_NAMES.get(row["score"], row["score"]), row["method"], *shown])
    return _markdown(["task", "C", "score", "method", *(f"k={k}" for k in text_on_ideal.KS)], rows)


def tables() -> Mapping[str, str]:
    """Return every generated table by the name in its mark."""
    return {
        "options": options_table(),
        "loopholes": loopholes_table(),
        "findings": findings_table(),
        "text_on_ideal": text_on_ideal_table(),
        "text_data": as_markdown(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, or put them into README.md."""
    parser = argparse.ArgumentParser(prog="python -m unit_tests.readme_tables", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the marked tables of README.md")
    if parser.parse_args(arguments).write:
        README.write_text(with_tables(text(), tables()), encoding="utf-8")
    else:
        print("\n".join(tables().values()), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
