"""``pb export``: the numbers of a stored run in the files of other tools."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pb_plugin.cli.verb import Outcome, Verb, check_file, check_parent, shown, stored_run
from pb_plugin.export.curve import POINT_COLUMNS, check_exact, check_suite, curve_of, point_rows, whole_curves
from pb_plugin.export.latex import latex_table
from pb_plugin.export.leaderboard import files_of
from pb_plugin.export.rows import COLUMNS, check_parquet, csv_text, rows_of, write_parquet
from pb_plugin.report.stored import read_report
from pb_plugin.results.summary import Summary

FORMATS = ("csv", "parquet", "leaderboard", "latex")


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--csv", metavar="FILE", type=Path, help="every task at every setting, a row each")
    where.add_argument("--parquet", metavar="FILE", type=Path, help="the same, with types (needs pyarrow)")
    where.add_argument(
        "--leaderboard",
        metavar="DIR",
        type=Path,
        help="a folder per model as the ParallelBench leaderboard has it: PBx as JSON, a CSV per method",
    )
    where.add_argument("--latex", metavar="FILE", type=Path, help="PBx with intervals as a booktabs table")
    parser.add_argument(
        "--curve",
        metavar="CURVE",
        help="with --csv: the points of this curve alone, as pb points reads them (ideal-confidence)",
    )
    parser.add_argument(
        "--suite",
        default="all",
        metavar="SUITE",
        help="the tasks of --curve, --leaderboard and --latex. Default: all",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    check_suite(arguments.suite)
    kind = next(name for name in FORMATS if getattr(arguments, name) is not None)
    out: Path = getattr(arguments, kind)
    if arguments.curve is not None and kind != "csv":
        raise ValueError(f"--curve must come with --csv, got it with --{kind}; leave it out")
    if kind == "parquet":
        check_parquet()
    _check_out(out, f"--{kind}", is_folder=kind == "leaderboard")
    summary = read_report(arguments.store, arguments.name).summary
    written = _written(summary, kind, out, arguments.curve, arguments.suite)
    return shown(arguments, {"files": written}, _lines), 0


def _lines(data: Mapping[str, Any]) -> list[str]:
    return [f"written: {name}" for name in data["files"]]


def _check_out(out: Path, option: str, *, is_folder: bool) -> None:
    if is_folder and out.exists() and not out.is_dir():
        raise ValueError(f"{option} must be a folder, got the file {str(out)!r}; name another")
    if is_folder:
        check_parent(out, option)
    else:
        check_file(out, option)


def _written(summary: Summary, kind: str, out: Path, curve: str | None, suite: str) -> list[str]:
    """Write the files and return their names."""
    if kind == "leaderboard":
        curves = whole_curves(summary, suite)
        check_exact(curves, suite, "--leaderboard")
        return _write_folders(files_of(curves, suite), out)
    if kind == "parquet":
        write_parquet(rows_of(summary), out)
    elif kind == "latex":
        out.write_text(latex_table(whole_curves(summary, suite), suite), encoding="utf-8")
    elif curve is None:
        out.write_text(csv_text(rows_of(summary), tuple(COLUMNS)), encoding="utf-8")
    else:
        chosen = curve_of(summary, curve)
        check_exact(whole_curves(Summary(cells=(), curves=(chosen,)), suite), suite, "--curve")
        out.write_text(csv_text(point_rows(chosen, suite), POINT_COLUMNS), encoding="utf-8")
    return [str(out)]


def _write_folders(files: Mapping[str, Mapping[str, Any]], out: Path) -> list[str]:
    for model, of_model in files.items():
        folder = out / model
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in of_model.items():
            text = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
            (folder / name).write_text(text, encoding="utf-8")
    return [str(out / model / name) for model, of_model in files.items() for name in of_model]


VERB = Verb(
    what="write the numbers of a stored run as CSV, Parquet, LaTeX, or for the leaderboard",
    example="export .pb --csv numbers.csv",
    arguments=_arguments,
    run=_run,
)
