"""``pb report``: the summary of a stored run again, in the terminal or as an HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from pb_plugin.cli.verb import Outcome, Verb, shown, stored_run
from pb_plugin.report.html.before import answers_of
from pb_plugin.report.html.page import held_line, write_html
from pb_plugin.report.html.target import check_html
from pb_plugin.report.html.tokens import folders_of
from pb_plugin.report.stored import read_report


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    parser.add_argument(
        "--html", metavar="FILE", type=Path, help="write everything to one HTML file that needs no network"
    )
    parser.add_argument(
        "--against",
        metavar="STORE[@RUN]",
        help="in --html: an earlier run; samples whose answer or score is another now can be listed",
    )
    parser.add_argument(
        "--tokenizer",
        action="append",
        default=[],
        metavar="MODEL=FOLDER",
        help="the tokenizer.json that the traces of MODEL are shown with in --html; repeatable. Without it "
        "ideal and tiny have words, and other models ids",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    if arguments.html is None:
        for option, given in (("--tokenizer", arguments.tokenizer[:1]), ("--against", [arguments.against])):
            if given and given[0] is not None:
                raise ValueError(
                    f"{option} must come with --html, got {given[0]!r} alone; "
                    "add --html report.html or leave it out"
                )
        report = read_report(arguments.store, arguments.name)
        return shown(arguments, report.to_json(), lambda _: report.lines()), 0
    check_html(arguments.html)
    folders = folders_of(arguments.tokenizer)
    before = None if arguments.against is None else answers_of(arguments.against)
    report = read_report(arguments.store, arguments.name)
    written = write_html(report, arguments.html, folders=folders, before=before)
    return shown(arguments, written, lambda held: [held_line(held)]), 0


VERB = Verb(
    what="show the summary of a stored run again, or write it as HTML",
    example="report .pb --html report.html",
    arguments=_arguments,
    run=_run,
)
