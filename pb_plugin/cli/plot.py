"""``pb plot``: the scores of a stored run over tokens per step, as a drawing."""

from __future__ import annotations

import argparse
from pathlib import Path

from pb_plugin.cli.verb import Outcome, Verb, shown, stored_run
from pb_plugin.planning.option_grammar import split_values
from pb_plugin.report.curves import curves_of, suite_curves_of
from pb_plugin.report.curves_file import WIDTH, check_out, width_of, write
from pb_plugin.report.stored import read_report


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        help="the drawing to write: OUT.svg, OUT.png or OUT.pdf; a file that is there is replaced",
    )
    panels = parser.add_mutually_exclusive_group()
    panels.add_argument(
        "--tasks",
        action="append",
        default=[],
        metavar="TASK,...",
        help="draw only these tasks of the run. Default: all of them",
    )
    panels.add_argument(
        "--suites",
        action="append",
        default=[],
        metavar="SUITE,...",
        help="draw the means over these suites in place of tasks",
    )
    parser.add_argument(
        "--width",
        default=WIDTH,
        metavar="WIDTH",
        help=f"width with its unit; 84mm is a column of a paper. Default: {WIDTH}",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    check_out(arguments.out)
    width = width_of(arguments.width)
    tasks = split_values(arguments.tasks, name="--tasks")
    suites = split_values(arguments.suites, name="--suites")
    report = read_report(arguments.store, arguments.name)
    drawn = suite_curves_of(report, suites) if suites else curves_of(report, tasks)
    write(drawn, arguments.out, width)
    return shown(arguments, drawn.to_json(), lambda _: drawn.text_lines(str(arguments.out))), 0


VERB = Verb(
    what="draw the scores of a stored run over tokens per step",
    example="plot .pb curves.svg",
    arguments=_arguments,
    run=_run,
)
