"""``pb points``: PBx of somebody's own measurements."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pb_plugin.cli.verb import Outcome, Verb
from pb_plugin.planning.option_grammar import parse_float
from pb_plugin.results.points import points_pbx
from pb_plugin.statistics.pbx import PBx


def _sentence(found: PBx, x: float) -> str:
    if found.censored == "never":
        return f"PB{x:g} is 0: no setting reaches {x:g} %"
    if found.censored == "at_least":
        return (
            f"PB{x:g} is at least {found.value:g} tokens per step: the fastest setting still reaches {x:g} %"
        )
    return f"PB{x:g} is {found.value:g} tokens per step"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE.csv",
        type=Path,
        help="columns task, tps (tokens per step), accuracy (in percent) and perhaps setting; rows of "
        "task avg are means already",
    )
    parser.add_argument(
        "--rule",
        default="published",
        metavar="RULE",
        help="published: as ParallelBench does; uniform: every method is interpolated. Default: published",
    )
    parser.add_argument("--x", default="80", metavar="X", help="the score in percent to be kept. Default: 80")
    parser.add_argument(
        "--static",
        action="store_true",
        help="the method unmasks a fixed number per step: under rule published only measured settings count",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    x = parse_float(arguments.x, name="--x", low=0.0, high=100.0)
    found = points_pbx(arguments.file, arguments.rule, x, arguments.static)
    if arguments.json:
        return json.dumps(found.to_json()), 0
    counted = (
        "measured settings only" if arguments.static and arguments.rule == "published" else "interpolated"
    )
    return f"{_sentence(found, x)} (rule {arguments.rule}, {counted})", 0


VERB = Verb(
    what="compute PBx of your own measurements",
    example="points curve.csv --rule published --x 80",
    arguments=_arguments,
    run=_run,
)
