"""``pb report``: the summary of a stored run again."""

from __future__ import annotations

import argparse

from pb_plugin.cli.verb import Outcome, Verb, shown, stored_run
from pb_plugin.report.stored import read_report


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)


def _run(arguments: argparse.Namespace) -> Outcome:
    report = read_report(arguments.store, arguments.name)
    return shown(arguments, report.to_json(), lambda _: report.lines()), 0


VERB = Verb(
    what="show the summary of a stored run again",
    example="report .pb",
    arguments=_arguments,
    run=_run,
)
