"""``pb points``: PBx of somebody's own measurements."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pb_plugin.cli.verb import Outcome, Verb
from pb_plugin.planning.option_grammar import parse_float, parse_int
from pb_plugin.report.terminal import range_text
from pb_plugin.results.points import points_interval, points_pbx
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
    parser.add_argument(
        "--intervals",
        metavar="n=N",
        help="add the 95 %% interval: every accuracy of a task is drawn as a proportion of N samples",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    x = parse_float(arguments.x, name="--x", low=0.0, high=100.0)
    found = points_pbx(arguments.file, arguments.rule, x, arguments.static)
    interval = None
    if arguments.intervals is not None:
        n = _samples(arguments.intervals)
        interval = points_interval(arguments.file, arguments.rule, x, arguments.static, n)
    if arguments.json:
        drawn = {} if interval is None else {"interval": interval.to_json()}
        return json.dumps({**found.to_json(), **drawn}), 0
    counted = (
        "measured settings only" if arguments.static and arguments.rule == "published" else "interpolated"
    )
    text = f"{_sentence(found, x)} (rule {arguments.rule}, {counted})"
    if interval is not None:
        text += (
            f"\n95 % interval {range_text(interval)}, reached in {100 * interval.p_reached:.1f} % of draws"
        )
    return text, 0


def _samples(text: str) -> int:
    """Return N of ``n=N``."""
    name, equals, number = text.partition("=")
    if (name, equals) != ("n", "="):
        raise ValueError(
            f"--intervals must be n=N with the samples behind each accuracy, got {text!r}; write n=100"
        )
    return parse_int(number, name="--intervals n", minimum=1)


VERB = Verb(
    what="compute PBx of your own measurements",
    example="points curve.csv --rule published --x 80",
    arguments=_arguments,
    run=_run,
)
