"""The command ``pb``: look at tasks, reports, theory and this machine, draw or score again, without a run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pb_plugin.asking.models import ModelUnavailable
from pb_plugin.cli.arguments import command_line

if TYPE_CHECKING:
    from pb_plugin.results.pbx import PBx

Outcome = tuple[str, int]
"""The text to print and the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code: 2 for a bad request, with one line on stderr.

    Args:
        argv: Arguments without the program's name; None for those of the process.
    """
    try:
        parser = command_line()
        arguments = parser.parse_args(argv)
        name = arguments.command
        text, code = (parser.format_help().rstrip(), 0) if name is None else COMMANDS[name](arguments)
    except (ValueError, LookupError, OSError, ModelUnavailable) as error:
        print(f"pb: {_message(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npb: stopped", file=sys.stderr)
        return 130
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader has seen enough; nothing is left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _message(error: Exception) -> str:
    """Return what *error* says in one line; a KeyError would show its message in quotes."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(said).split())


def _text(arguments: argparse.Namespace, data: Mapping[str, Any], lines: Callable[[Any], list[str]]) -> str:
    """Return *data* as JSON with sorted keys where that was asked for, else its *lines*."""
    if arguments.json:
        return json.dumps(data, sort_keys=True, indent=2, allow_nan=False)
    return "\n".join(lines(data))


def _browse(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.cli import browse
    from pb_plugin.planning.option_grammar import parse_int

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


def _plot(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.planning.option_grammar import split_values
    from pb_plugin.report import curves
    from pb_plugin.report.stored import read_report

    curves.check_out(arguments.out)
    tasks = split_values(arguments.tasks, name="--tasks")
    drawn = curves.curves_of(read_report(arguments.store, arguments.name), tasks)
    curves.write(drawn, arguments.out)
    return _text(arguments, drawn.to_json(), lambda _: drawn.text_lines(arguments.out)), 0


def _rescore(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.cli.rescore import rescore

    found = rescore(
        arguments.store,
        arguments.name,
        grammar=arguments.grammar,
        bertscore=arguments.bertscore,
        data=arguments.data,
    )
    return _text(arguments, found.to_json(), lambda _: found.lines()), 0 if found.ok else 1


def _points(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.planning.option_grammar import parse_float
    from pb_plugin.results.points import points_pbx

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
    from pb_plugin.cli.theory import theory, theory_lines
    from pb_plugin.planning.option_grammar import split_values

    return _text(arguments, theory(split_values(arguments.task, name="task")), theory_lines), 0


def _frequencies(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.cli.frequencies import table_lines, write_table

    data = write_table(arguments.out, arguments.files, arguments.tokenizer)
    return _text(arguments, data, table_lines), 0


def _train_tiny(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.cli.train_tiny import train_tiny, training_lines
    from pb_plugin.planning.option_grammar import parse_int

    numbers = {
        name: None if given is None else parse_int(given, name=f"--{name}", minimum=low)
        for name, given, low in (("steps", arguments.steps, 1), ("threads", arguments.threads, 1))
    }
    data = train_tiny(
        arguments.out,
        seed=parse_int(arguments.seed, name="--seed", minimum=0),
        **numbers,
        compiled=not arguments.no_compile,
        out=sys.stderr,
    )
    return _text(arguments, data, training_lines), 0


def _doctor(arguments: argparse.Namespace) -> Outcome:
    from pb_plugin.cli.doctor import examine, examine_lines

    data = examine(arguments.model, arguments.pb_allow_remote_code)
    return _text(arguments, data, examine_lines), 0 if data["ok"] else 1


COMMANDS: Mapping[str, Callable[[argparse.Namespace], Outcome]] = MappingProxyType(
    {
        "browse": _browse,
        "report": _report,
        "plot": _plot,
        "rescore": _rescore,
        "points": _points,
        "theory": _theory,
        "frequencies": _frequencies,
        "train-tiny": _train_tiny,
        "doctor": _doctor,
    }
)
"""What runs each command of `command_line`, by name."""
