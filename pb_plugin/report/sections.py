"""The sections of a report, in the one order in which the terminal and a stored report show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pb_plugin.report.beside import choice_lines, served_lines, text_lines
from pb_plugin.report.screen import WIDE
from pb_plugin.report.standing_out import standing_out_lines
from pb_plugin.report.terminal import pbx_lines, score_lines
from pb_plugin.results.run_file import Run
from pb_plugin.results.summary import Summary

QUIET, USUAL, VERBOSE = -1, 0, 1
"""How much is shown, as pytest counts -q and -v."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What is shown, how much of it, and into how many columns."""

    run: Run
    summary: Summary
    verbosity: int = VERBOSE
    width: int = WIDE


class Section(NamedTuple):
    """A part of a report: how its lines are made, and from which verbosity on it is shown."""

    lines: Callable[[Shown], list[str]]
    verbosity: int


SECTIONS: tuple[Section, ...] = (
    Section(lambda shown: score_lines(shown.summary), VERBOSE),
    Section(lambda shown: choice_lines(shown.summary), VERBOSE),
    Section(lambda shown: text_lines(shown.summary), VERBOSE),
    Section(lambda shown: served_lines(shown.summary), USUAL),
    Section(lambda shown: standing_out_lines(shown.summary, shown.run.chosen, width=shown.width), USUAL),
    Section(
        lambda shown: pbx_lines(shown.summary, width=shown.width, is_short=shown.verbosity < VERBOSE), QUIET
    ),
)
"""What is read first stands last, as a terminal shows the end."""


ONE_SCREEN = 32
"""Lines of the sections that fit on a screen of about 40 with what stands around them."""

MORE = "every task at every setting: pb report {store}, or run with -v"


def section_lines(shown: Shown) -> tuple[list[str], bool]:
    """Return the lines of the sections that are shown, and whether all of them are.

    Without -v and -q the tables of every method are shown where everything fits on a screen.
    """
    found = [(section.verbosity, section.lines(shown)) for section in SECTIONS]
    everything = [line for _, lines in found for line in lines]
    if shown.verbosity >= VERBOSE or (shown.verbosity == USUAL and len(everything) <= ONE_SCREEN):
        return everything, True
    return [line for least, lines in found if shown.verbosity >= least for line in lines], False
