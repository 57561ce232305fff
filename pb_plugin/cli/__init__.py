"""The command ``pb``: look at tasks, reports, theory and this machine, draw or score again, without a run."""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from pb_plugin.asking.models import ModelUnavailable
from pb_plugin.cli.verb import Verb
from pb_plugin.printable import printable

HELP_WIDTH = 100
"""Columns of the help, whatever the terminal is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code: 2 for a bad request, with one line on stderr.

    Args:
        argv: Arguments without the program's name; None for those of the process.
    """
    try:
        verbs = all_verbs()
        parser = command_line(verbs)
        arguments = parser.parse_args(argv)
        name = arguments.command
        text, code = (parser.format_help().rstrip(), 0) if name is None else verbs[name].run(arguments)
    except (ValueError, LookupError, OSError, ModelUnavailable) as error:
        print(printable(f"pb: {_message(error)}", sys.stderr.encoding), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npb: stopped", file=sys.stderr)
        return 130
    try:
        print(printable(text, sys.stdout.encoding), flush=True)
    except BrokenPipeError:  # the reader has seen enough; nothing is left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _message(error: Exception) -> str:
    """Return what *error* says in one line; a KeyError would show its message in quotes."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(said).split())


def all_verbs() -> dict[str, Verb]:
    """Return every command by its name: the files of this folder that have one."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return {
        name.replace("_", "-"): module.VERB for name, module in modules.items() if hasattr(module, "VERB")
    }


class _Parser(argparse.ArgumentParser):
    """A parser of fixed width that raises instead of leaving the process."""

    def __init__(self, **settings: Any) -> None:
        shape = partial(argparse.RawDescriptionHelpFormatter, width=HELP_WIDTH)
        super().__init__(formatter_class=shape, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise *message* with the command that explains what is allowed."""
        raise ValueError(f"{message}; see {self.prog} --help")


def command_line(verbs: Mapping[str, Verb]) -> argparse.ArgumentParser:
    """Return the parser of *verbs*; the name of the one that was asked for is ``command``, or None."""
    parser = _Parser(
        prog="pb",
        description="Look at tasks, stored runs, theory and this machine. Runs are started with pytest:\n"
        "  pytest bench_tests",
        epilog="Every command takes --json, and --help shows an example of it.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND [ARGS]", dest="command")
    for name, verb in verbs.items():
        described = f"{verb.what[0].upper()}{verb.what[1:]}."
        own = commands.add_parser(
            name, help=verb.what, description=described, epilog=f"example: pb {verb.example}"
        )
        own.add_argument("--json", action="store_true", help="print JSON instead of text")
        verb.arguments(own)
    return parser
