"""``pb report``: the summary of a stored run again, in the terminal or as an HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from pb_plugin.cli.verb import Outcome, Verb, check_file, shown, stored_run
from pb_plugin.export.comparison import FORMATS
from pb_plugin.report.comparison.chosen import read_asked
from pb_plugin.report.comparison.gathered import compare_models, read_runs
from pb_plugin.report.comparison.text import text_lines
from pb_plugin.report.html.before import answers_of
from pb_plugin.report.html.page import held_line, write_html
from pb_plugin.report.html.target import check_html
from pb_plugin.report.html.tokens import folders_of
from pb_plugin.report.stored import read_report

LAYOUTS = ("summary", "comparison")
OF_COMPARISON = ("markdown", "latex", "at", "curve", "others")
"""Arguments that only the comparison takes."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default=LAYOUTS[0],
        help="summary: everything of one run (the default); comparison: models beside each other in tables "
        "like 5 to 7 of the paper, one setting of each curve",
    )
    parser.add_argument(
        "--html", metavar="FILE", type=Path, help="write everything to one HTML file that needs no network"
    )
    comparison = parser.add_argument_group("with --layout comparison")
    comparison.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables as Markdown")
    comparison.add_argument("--latex", metavar="FILE", type=Path, help="write the tables for booktabs")
    comparison.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="[CURVE:]SETTING",
        help="the setting to show, of every curve that has it or of one (llada-threshold:gamma=0.9); "
        "repeatable. Default: k=2 of curves over k, the slowest setting of every other",
    )
    comparison.add_argument(
        "--curve", action="append", default=[], metavar="CURVE", help="only these curves; repeatable"
    )
    comparison.add_argument(
        "--with",
        dest="others",
        action="append",
        default=[],
        metavar="STORE[@RUN]",
        help="a run of another store too (models measured elsewhere); repeatable",
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
    if arguments.layout == "comparison":
        return _comparison(arguments)
    for name in OF_COMPARISON:
        if getattr(arguments, name):
            option = "--with" if name == "others" else f"--{name}"
            raise ValueError(f"{option} must come with --layout comparison, got it alone; add that")
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


def _comparison(arguments: argparse.Namespace) -> Outcome:
    for option, given in (("--tokenizer", arguments.tokenizer), ("--against", arguments.against)):
        if given:
            raise ValueError(f"{option} must come without --layout comparison, got both; leave one out")
    files = {name: out for name in FORMATS if (out := getattr(arguments, name)) is not None}
    for name, out in files.items():
        check_file(out, f"--{name}")
    reports = read_runs(arguments.store, arguments.name, arguments.others)
    found = compare_models(reports, read_asked(arguments.at), arguments.curve)
    for name, out in files.items():
        out.write_text(FORMATS[name](found), encoding="utf-8", newline="\n")
    written = [str(out) for out in files.values()]
    data = {**found.to_json(), "files": written}
    return shown(arguments, data, lambda _: [f"written: {name}" for name in written] or text_lines(found)), 0


VERB = Verb(
    what="show the summary of a stored run again, or models beside each other; write it as HTML",
    example="report .pb --html report.html",
    arguments=_arguments,
    run=_run,
)
