"""The command ``pb``: look at tasks, reports, theory and this machine, or score again, without a run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pb_plugin.models import ModelUnavailable

if TYPE_CHECKING:
    from pb_plugin.pbx import PBx

HELP_WIDTH = 100
"""Columns of the help, whatever the terminal is."""

Outcome = tuple[str, int]
"""The text to print and the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code: 2 for a bad request, with one line on stderr.

    Args:
        argv: Arguments without the program's name; None for those of the process.
    """
    try:
        parser = _parser()
        arguments = parser.parse_args(argv)
        text, code = (parser.format_help().rstrip(), 0) if arguments.run is None else arguments.run(arguments)
    except (ValueError, LookupError, OSError, ModelUnavailable) as error:
        print(f"pb: {_message(error)}", file=sys.stderr)
        return 2
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader has seen enough; nothing is left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _message(error: Exception) -> str:
    """Return what *error* says in one line; a KeyError would show its message in quotes."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(said).split())


class _Parser(argparse.ArgumentParser):
    """A parser of fixed width that raises instead of leaving the process."""

    def __init__(self, **settings: Any) -> None:
        shape = partial(argparse.RawDescriptionHelpFormatter, width=HELP_WIDTH)
        super().__init__(formatter_class=shape, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise *message* with the command that explains what is allowed."""
        raise ValueError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pb",
        description="Look at tasks, stored runs, theory and this machine. Runs are started with pytest:\n"
        "  pytest bench_tests",
        epilog="Every command takes --json, and --help shows an example of it.",
    )
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND [ARGS]")
    add = partial(_add, commands)

    browse = add(
        "browse", _browse, "show the tasks, or one of them as a model is asked it", "browse shuffle:n=15"
    )
    browse.add_argument(
        "task", nargs="?", metavar="TASK", help="a task as pytest --task takes it; none: a table of all"
    )
    browse.add_argument("--index", metavar="I", help="show only sample number I, from 0")
    browse.add_argument(
        "--data", metavar="DIR", type=Path, help="a checkout of the released files, instead of own data"
    )

    report = add("report", _report, "show the summary of a stored run again", "report .pb")
    report.add_argument("store", metavar="STORE", type=Path, help="the folder of records (--pb-store)")
    report.add_argument(
        "--run", metavar="NAME", dest="name", help="a file of STORE/runs; default: the newest"
    )

    again = add(
        "rescore",
        _rescore,
        "score the texts of a stored run again, without decoding",
        "rescore .pb --grammar http://127.0.0.1:8081",
    )
    again.add_argument("store", metavar="STORE", type=Path, help="the folder of records (--pb-store)")
    again.add_argument("--run", metavar="NAME", dest="name", help="a file of STORE/runs; default: the newest")
    again.add_argument(
        "--grammar",
        "--pb-grammar",
        metavar="WHAT",
        default="auto",
        help="LanguageTool: http://HOST:PORT, a folder, download, auto, or none to leave the tasks that need "
        "it as they are. Default: auto",
    )
    again.add_argument(
        "--bertscore",
        "--pb-bertscore",
        metavar="ENCODER",
        help="encoder of BERTScore, as pytest --pb-bertscore takes it",
    )
    again.add_argument(
        "--data", metavar="DIR", type=Path, help="where the checkout of the released files is now"
    )

    points = add(
        "points", _points, "compute PBx of your own measurements", "points curve.csv --rule published --x 80"
    )
    points.add_argument(
        "file",
        metavar="FILE.csv",
        type=Path,
        help="columns task, tps (tokens per step), accuracy (in percent) and perhaps setting; rows of "
        "task avg are means already",
    )
    points.add_argument(
        "--rule",
        default="published",
        metavar="RULE",
        help="published: as ParallelBench does; uniform: every method is interpolated. Default: published",
    )
    points.add_argument("--x", default="80", metavar="X", help="the score in percent to be kept. Default: 80")
    points.add_argument(
        "--static",
        action="store_true",
        help="the method unmasks a fixed number per step: under rule published only measured settings count",
    )

    theory = add(
        "theory",
        _theory,
        "show how hard each task is to decode in parallel",
        "theory shuffle:n=15 list_shuffle",
    )
    theory.add_argument(
        "task", nargs="*", metavar="TASK", help="tasks as pytest --task takes them; none: all"
    )

    frequencies = add(
        "frequencies",
        _frequencies,
        "count the tokens of texts, for the method pc_sampler",
        "frequencies counts.json README.md --tokenizer DIR",
    )
    frequencies.add_argument("out", metavar="OUT.json", type=Path, help="the table to write")
    frequencies.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, help="texts in UTF-8, each encoded as a whole"
    )
    frequencies.add_argument(
        "--tokenizer",
        metavar="DIR",
        type=Path,
        help="the folder of the model's tokenizer.json. Default: the built-in tokenizer of ideal",
    )

    doctor = add(
        "doctor",
        _doctor,
        "show what is installed, what works and what is missing",
        "doctor --model llada=DIR",
    )
    doctor.add_argument(
        "--model", metavar="MODEL", help="also load this model (NAME=DIR) and show its self-tests"
    )
    return parser


def _add(
    commands: Any, name: str, run: Callable[[argparse.Namespace], Outcome], what: str, example: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=f"example: pb {example}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run)
    return parser


def _text(arguments: argparse.Namespace, data: Mapping[str, Any], lines: Callable[[Any], list[str]]) -> str:
    """Return *data* as JSON with sorted keys where that was asked for, else its *lines*."""
    if arguments.json:
        return json.dumps(data, sort_keys=True, indent=2, allow_nan=False)
    return "\n".join(lines(data))


def _browse(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin import browse
    from pb_plugin.grammar import parse_int

    if arguments.task is None:
        if arguments.index is not None:
            raise ValueError(
                f"--index must come with a task, got {arguments.index!r} alone; for example: "
                f"pb browse shuffle --index {arguments.index}"
            )
        return _text(arguments, browse.all_tasks(arguments.data), browse.all_tasks_lines), 0
    index = None if arguments.index is None else parse_int(arguments.index, name="--index", minimum=0)
    data = browse.one_task(arguments.task, index, arguments.data)
    return _text(arguments, data, browse.task_lines if index is None else browse.sample_lines), 0


def _report(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.report.stored import read_report

    report = read_report(arguments.store, arguments.name)
    return _text(arguments, report.to_json(), lambda _: report.lines()), 0


def _rescore(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.rescore import rescore

    found = rescore(
        arguments.store,
        arguments.name,
        grammar=arguments.grammar,
        bertscore=arguments.bertscore,
        data=arguments.data,
    )
    return _text(arguments, found.to_json(), lambda _: found.lines()), 0 if found.ok else 1


def _points(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.grammar import parse_float
    from pb_plugin.points import points_pbx

    x = parse_float(arguments.x, name="--x", low=0.0, high=100.0)
    found = points_pbx(arguments.file, arguments.rule, x, arguments.static)
    if arguments.json:
        return json.dumps(found.to_json()), 0
    counted = (
        "measured settings only" if arguments.static and arguments.rule == "published" else "interpolated"
    )
    return f"{_sentence(found, x)} (rule {arguments.rule}, {counted})", 0


def _sentence(found: PBx, x: float) -> str:
    if found.censored == "never":
        return f"PB{x:g} is 0: no setting reaches {x:g} %"
    if found.censored == "at_least":
        return (
            f"PB{x:g} is at least {found.value:g} tokens per step: the fastest setting still reaches {x:g} %"
        )
    return f"PB{x:g} is {found.value:g} tokens per step"


def _theory(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.grammar import split_values
    from pb_plugin.theory_table import theory, theory_lines

    return _text(arguments, theory(split_values(arguments.task, name="task")), theory_lines), 0


def _frequencies(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.frequency_table import table_lines, write_table

    data = write_table(arguments.out, arguments.files, arguments.tokenizer)
    return _text(arguments, data, table_lines), 0


def _doctor(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.doctor import examine, examine_lines

    data = examine(arguments.model)
    return _text(arguments, data, examine_lines), 0 if data["ok"] else 1
