"""The command line of ``pb``: one function per command says what it takes; `pb_plugin.cli` runs it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

HELP_WIDTH = 100
"""Columns of the help, whatever the terminal is."""

Add = Callable[[str, str, str], argparse.ArgumentParser]
"""Adds a command: its name, what it does, an example without ``pb``."""


class _Parser(argparse.ArgumentParser):
    """A parser of fixed width that raises instead of leaving the process."""

    def __init__(self, **settings: Any) -> None:
        shape = partial(argparse.RawDescriptionHelpFormatter, width=HELP_WIDTH)
        super().__init__(formatter_class=shape, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise *message* with the command that explains what is allowed."""
        raise ValueError(f"{message}; see {self.prog} --help")


def command_line() -> argparse.ArgumentParser:
    """Return the parser of every command; the name of the one that was asked for is ``command``, or None."""
    parser = _Parser(
        prog="pb",
        description="Look at tasks, stored runs, theory and this machine. Runs are started with pytest:\n"
        "  pytest bench_tests",
        epilog="Every command takes --json, and --help shows an example of it.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND [ARGS]", dest="command")
    add = partial(_add, commands)
    commands_in_order = (
        _browse,
        _report,
        _plot,
        _rescore,
        _points,
        _theory,
        _frequencies,
        _train_tiny,
        _doctor,
    )
    for describe in commands_in_order:
        describe(add)
    return parser


def _add(commands: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=f"example: pb {example}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _stored_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", type=Path, help="the folder of records (--pb-store)")
    parser.add_argument(
        "--run", metavar="NAME", dest="name", help="a file of STORE/runs; default: the newest"
    )


def _browse(add: Add) -> None:
    browse = add("browse", "show the tasks, or one of them as a model is asked it", "browse shuffle:n=15")
    browse.add_argument(
        "task", nargs="?", metavar="TASK", help="a task as pytest --task takes it; none: a table of all"
    )
    browse.add_argument("--index", metavar="I", help="show only sample number I, from 0")
    browse.add_argument(
        "--data", metavar="DIR", type=Path, help="a checkout of the released files, instead of own data"
    )


def _report(add: Add) -> None:
    report = add("report", "show the summary of a stored run again", "report .pb")
    _stored_run(report)


def _plot(add: Add) -> None:
    plot = add("plot", "draw the scores of a stored run over tokens per step", "plot .pb curves.svg")
    _stored_run(plot)
    plot.add_argument(
        "out", metavar="OUT.svg", type=Path, help="the drawing to write; a file that is there is replaced"
    )
    plot.add_argument(
        "--tasks",
        action="append",
        default=[],
        metavar="TASK,...",
        help="draw only these tasks of the run. Default: all of them",
    )


def _rescore(add: Add) -> None:
    again = add(
        "rescore",
        "score the texts of a stored run again, without decoding",
        "rescore .pb --grammar http://127.0.0.1:8081",
    )
    _stored_run(again)
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


def _points(add: Add) -> None:
    points = add("points", "compute PBx of your own measurements", "points curve.csv --rule published --x 80")
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


def _theory(add: Add) -> None:
    theory = add(
        "theory",
        "show how hard each task is to decode in parallel",
        "theory shuffle:n=15 list_shuffle",
    )
    theory.add_argument(
        "task", nargs="*", metavar="TASK", help="tasks as pytest --task takes them; none: all"
    )


def _frequencies(add: Add) -> None:
    frequencies = add(
        "frequencies",
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


def _doctor(add: Add) -> None:
    doctor = add(
        "doctor",
        "show what is installed, what works and what is missing",
        "doctor --model llada=DIR",
    )
    doctor.add_argument(
        "--model", metavar="MODEL", help="also load this model (NAME=DIR) and show its self-tests"
    )
    allow: dict[str, Any] = {"action": "append", "default": [], "metavar": "REPO@REVISION"}
    doctor.add_argument("--pb-allow-remote-code", help="as pytest takes it", **allow)


def _train_tiny(add: Add) -> None:
    train = add(
        "train-tiny",
        "train the model tiny again, or go on with a training that was stopped",
        "train-tiny my-tiny --seed 1",
    )
    train.add_argument("out", metavar="DIR", type=Path, help="where the checkpoint goes")
    train.add_argument("--seed", default="0", metavar="SEED", help="of weights and data. Default: 0")
    train.add_argument("--steps", metavar="N", help="batches of 64 questions. Default: those of tiny")
    train.add_argument("--threads", metavar="N", help="CPU threads. Default: one for each core, at most 2")
    train.add_argument(
        "--no-compile", action="store_true", help="do not compile the network even if there is a C++ compiler"
    )
