"""``pb failures``: the wrong answers of a task in a stored run, and what is wrong with them by setting."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from pb_plugin.analyses.failures import at_setting, failures
from pb_plugin.cli.verb import Outcome, Verb, shown, stored_run
from pb_plugin.report.stored import read_report
from pb_plugin.report.terminal import table
from pb_plugin.running.tools import CACHE_FOLDER
from task_specs.scoring.languagetool.checker import GrammarCache


def lines(data: Mapping[str, Any]) -> list[str]:
    """Return the counts by setting, then the wrong answers of the chosen one."""
    kinds = list(dict.fromkeys(kind for cell in data["cells"] for kind in cell["counts"]))
    rows = [
        [cell["curve"], cell["setting"], str(cell["n"]), str(len(cell["wrong"]))]
        + [str(cell["counts"].get(kind, 0)) for kind in kinds]
        for cell in data["cells"]
    ]
    found = table(["curve", "setting", "answers", "wrong", *kinds], rows)
    for cell in data["cells"] if data["setting"] is not None else ():
        found += ["", f"{cell['curve']} at {cell['setting']}"]
        for wrong in cell["wrong"]:
            asked = "; ".join(f"{name}: {value}" for name, value in wrong["question"].items())
            found += [f"{wrong['sample']}: {', '.join(wrong['faults'])}"]
            found += [f"  asked     {asked}", f"  answered  {wrong['answer']}"]
    return found


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    parser.add_argument("--task", required=True, metavar="TASK", help="a task of the run")
    parser.add_argument(
        "--setting", metavar="NAME=VALUE", help="show the answers at this one; default: counts of all"
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    report = read_report(arguments.store, arguments.name)
    answers = GrammarCache(arguments.store / CACHE_FOLDER)
    found = failures(report.run, report.index, report.summary, arguments.task, answers.any_version)
    chosen = found if arguments.setting is None else at_setting(found, arguments.setting)
    data = {
        "task": arguments.task,
        "setting": arguments.setting,
        "cells": [cell.to_json() for cell in chosen],
    }
    return shown(arguments, data, lines), 0


VERB = Verb(
    what="show the wrong answers of a task in a stored run, and what is wrong with them",
    example="failures .pb --task shuffle --setting k=2",
    arguments=_arguments,
    run=_run,
)
