"""Scores that tools still owe a run, by model and task: stored while other tasks are decoded."""

from __future__ import annotations

from pb_plugin.planning.cell import Cell
from pb_plugin.running.known import Known
from pb_plugin.running.scoring import Scoring

Place = tuple[str, str]
"""A model and a task."""


def place_of(cell: Cell) -> Place:
    """Return the model and the task of *cell*."""
    return cell.model.text, cell.task


class Pending:
    """Every scoring of a run whose decoding is over and whose last scores are not back.

    Args:
        known: Where scored records go.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._scorings: list[tuple[Place, Scoring]] = []
        self._errors: dict[Place, Exception] = {}

    def add(self, place: Place, scoring: Scoring) -> None:
        """Take in a *scoring* to which nothing will be added; what waits in it is asked at once."""
        scoring.send()
        self._scorings.append((place, scoring))

    def collect(self) -> None:
        """Store what is back by now; an error waits for `finish` of its own place."""
        for entry in list(self._scorings):
            place, scoring = entry
            try:
                for scored in scoring.ready():
                    self._known.keep(scored)
            except Exception as error:
                self._scorings.remove(entry)
                scoring.end(error)
                self._errors[place] = error

    def finish(self, place: Place) -> None:
        """Store the other scores of *place*, waiting for the tools.

        Raises:
            ValueError: A tool that was named cannot be used.
        """
        if place in self._errors:
            raise self._errors.pop(place)
        for entry in [entry for entry in self._scorings if entry[0] == place]:
            self._scorings.remove(entry)
            with entry[1] as scoring:
                for scored in scoring.rest():
                    self._known.keep(scored)

    def drop(self) -> None:
        """Ask nothing further: the run is over."""
        for _, scoring in self._scorings:
            scoring.end(GeneratorExit())
        self._scorings.clear()
