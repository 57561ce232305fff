"""``pb analyses``: a stored run after the paper's analyses, and which command makes what it lacks."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pb_plugin.analyses.given import GivenPoint, read_given
from pb_plugin.analyses.oracle import DEFAULT, oracle
from pb_plugin.analyses.order import METHODS, order_benefit, parallelizability
from pb_plugin.analyses.reference import against_ideal
from pb_plugin.cli.verb import Outcome, Verb, shown, stored_run
from pb_plugin.report.stored import read_report
from pb_plugin.report.terminal import pbx_text, table
from pb_plugin.results.summary import Summary
from pb_plugin.statistics.pbx import PBx


def analyses(summary: Summary, method: str, given: Sequence[GivenPoint] = ()) -> dict[str, Any]:
    """Return all analyses of a run as plain data.

    Args:
        summary: The run.
        method: The sweep whose oracle is taken.
        given: Points from elsewhere for the two numbers of Figure 6.

    Raises:
        ValueError: The run has no curve of *method*, or a task of *given* too.
    """
    return {
        "oracle": oracle(summary, method).to_json(),
        "parallelizability": parallelizability(summary, given).to_json(),
        "order_benefit": order_benefit(summary, given).to_json(),
        "against_ideal": against_ideal(summary).to_json(),
    }


def lines(data: Mapping[str, Any]) -> list[str]:
    """Return a table for every analysis that has rows, then what is missing."""
    found = [
        *_section(
            [
                "curve",
                "tasks",
                "oracle's score",
                "its TPS",
                "score at its TPS",
                "gap",
                "95 %",
                "TPS at its score",
            ],
            [_of_oracle(row) for row in data["oracle"]["rows"]],
            "oracle: for every sample the fastest setting with its best score",
        ),
        *_section(
            ["task", "model", "value", "95 %", "over k", "methods"],
            [_of_task(row) for row in data["parallelizability"]["rows"]],
            "parallelizability: centre of mass of the scores over k; smaller is harder",
        ),
        *_section(
            ["task", "model", "value", "95 %", "over blocks", "methods"],
            [_of_task(row) for row in data["order_benefit"]["rows"]],
            "benefit of order: points per halving of the block at k=2; positive where blocks help",
        ),
        *_section(
            ["cell", "score", "ideal", "difference", "95 %", "entropy", "of ideal"],
            [_of_cell(row) for row in data["against_ideal"]["rows"]],
            "against ideal: score minus its score at the same setting; entropy of choices, 1 is even",
        ),
    ]
    return found + [f"missing: {line}" for part in data.values() for line in part["missing"]]


def _section(header: Sequence[str], rows: Sequence[Sequence[str]], about: str) -> list[str]:
    return [*table(header, rows), "", about, ""] if rows else []


def _of_oracle(row: Mapping[str, Any]) -> list[str]:
    gap = (_number(row["gap_in_score"], 1), _between(row["gap_interval"], 1))
    measured = (_number(row["score_at_tps"], 1), *gap, _pbx(row["tps_at_score"]))
    return [row["curve"], row["tasks"], f"{row['score']:.1f}", f"{row['tps']:.2f}", *measured]


def _of_cell(row: Mapping[str, Any]) -> list[str]:
    scores = (f"{row['score']:.1f}", f"{row['ideal']:.1f}", f"{row['difference']:+.1f}")
    entropies = (_number(row["entropy"], 2), _number(row["entropy_of_ideal"], 2))
    return [row["cell"], *scores, _between(row["interval"], 1), *entropies]


def _of_task(row: Mapping[str, Any]) -> list[str]:
    over = ",".join(map(str, row["over"]))
    value = (f"{row['value']:.2f}", _between(row["interval"], 2))
    return [row["task"], row["model"], *value, over, ",".join(row["methods"])]


def _between(interval: Mapping[str, float] | None, digits: int) -> str:
    if interval is None:
        return "-"
    return f"[{interval['low']:.{digits}f}, {interval['high']:.{digits}f}]"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _pbx(plain: Mapping[str, Any]) -> str:
    return pbx_text(PBx(value=plain["value"], censored=plain["censored"] or "none"))


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    parser.add_argument(
        "--oracle", metavar="METHOD", default=DEFAULT, help="whose settings the oracle chooses from"
    )
    parser.add_argument(
        "--points",
        metavar="FILE.csv",
        type=Path,
        help="scores from elsewhere beside those of the run, for parallelizability and benefit of order: "
        "columns model, task, method, k, block_length (empty: any order) and score (in percent)",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    given = () if arguments.points is None else read_given(arguments.points, METHODS)
    report = read_report(arguments.store, arguments.name)
    return shown(arguments, analyses(report.summary, arguments.oracle, given), lines), 0


VERB = Verb(
    what="show the paper's analyses of a stored run, and what it lacks for them",
    example="analyses .pb",
    arguments=_arguments,
    run=_run,
)
