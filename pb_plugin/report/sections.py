"""The sections of a report, in the one order in which the terminal and a stored report show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pb_plugin.report.beside import choice_lines, text_lines
from pb_plugin.report.terminal import pbx_lines, score_lines
from pb_plugin.results.summary import Summary


class Section(NamedTuple):
    """A part of a report: how its lines are made, and whether a quiet run shows it too."""

    lines: Callable[[Summary], list[str]]
    when_quiet: bool = False


SECTIONS: tuple[Section, ...] = (
    Section(score_lines),
    Section(choice_lines),
    Section(text_lines),
    Section(pbx_lines, when_quiet=True),
)
"""What is read first stands last, as a terminal shows the end."""


def section_lines(summary: Summary, *, is_quiet: bool = False) -> list[str]:
    """Return the lines of all sections."""
    shown = [section for section in SECTIONS if section.when_quiet or not is_quiet]
    return [line for section in shown for line in section.lines(summary)]
