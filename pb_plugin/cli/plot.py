"""``pb plot``: the scores of a stored run over tokens per step, as a drawing."""

from __future__ import annotations

import argparse
from pathlib import Path

from pb_plugin.cli.verb import Outcome, Verb, shown, stored_run
from pb_plugin.planning.option_grammar import split_values
from pb_plugin.report import curves
from pb_plugin.report.stored import read_report


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    parser.add_argument(
        "out", metavar="OUT.svg", type=Path, help="the drawing to write; a file that is there is replaced"
    )
    parser.add_argument(
        "--tasks",
        action="append",
        default=[],
        metavar="TASK,...",
        help="draw only these tasks of the run. Default: all of them",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    curves.check_out(arguments.out)
    tasks = split_values(arguments.tasks, name="--tasks")
    drawn = curves.curves_of(read_report(arguments.store, arguments.name), tasks)
    curves.write(drawn, arguments.out)
    return shown(arguments, drawn.to_json(), lambda _: drawn.text_lines(arguments.out)), 0


VERB = Verb(
    what="draw the scores of a stored run over tokens per step",
    example="plot .pb curves.svg",
    arguments=_arguments,
    run=_run,
)
