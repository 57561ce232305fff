"""The gates of a run while it is decoded: what is certain, what is decoded next, and what that saved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pb_plugin.gates.cell_state import CellState, state_of
from pb_plugin.gates.certain import Standing, standing, verdict
from pb_plugin.gates.claims import Claim, claims_of
from pb_plugin.gates.grammar import Gate
from pb_plugin.gates.judge import Verdict
from pb_plugin.records.record import Record
from pb_plugin.results.cell_result import PlannedCell

ROUNDS = 5
"""A cell is decoded in so many parts at most; after each it is asked again whether it is still needed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Savings:
    """Samples of a run by gates.

    Args:
        planned: All that a full sweep has.
        known: Those with a result.
        unneeded: Those of cells that no gate could depend on before anything was decoded.
        stopped: The rest: their gates were certain before it was their turn.
    """

    planned: int
    known: int
    unneeded: int
    stopped: int

    @property
    def line(self) -> str:
        """What is said of them at the end of the run."""
        return (
            f"gates decided by {self.known} of {self.planned} samples; not decoded: {self.unneeded} of cells "
            f"that no gate depends on, {self.stopped} because every gate was certain before"
        )


class GateSweep:
    """Gates on a plan, told of results as they come.

    Args:
        gates: What is asked; none has a lower bound of an interval, which no count can settle.
        cells: Every planned cell.
        expected: For each the canvas tokens per step that follow from what is asked, or None. Where a result
            says otherwise, nothing is expected of that model and method any more.
    """

    def __init__(
        self, gates: Sequence[Gate], cells: Sequence[PlannedCell], expected: Sequence[float | None]
    ) -> None:
        self._cells = cells
        self._expected = list(expected)
        self._records: list[Sequence[Record]] = [()] * len(cells)
        self._blocked: list[str | None] = [None] * len(cells)
        found = [claim for gate in gates for claim in claims_of(gate, cells)]
        self._said = found
        self._states = [self._state(place) for place in range(len(cells))]
        self._needed: set[int] | None = None
        self._at_first = frozenset(self._wanted())

    def _state(self, place: int) -> CellState:
        return state_of(
            self._cells[place],
            self._records[place],
            expected=self._expected[place],
            blocked=self._blocked[place],
        )

    def update(self, place: int, records: Sequence[Record]) -> None:
        """Take in what is known of the cell at *place*: all records so far."""
        if len(records) == len(self._records[place]):
            return
        self._records[place] = records
        self._states[place] = self._state(place)
        self._needed = None
        expected, state = self._expected[place], self._states[place]
        if expected is not None and any(rate != expected for rate in (state.rates or {}).get("canvas", ())):
            self._expect_nothing(self._cells[place])

    def _expect_nothing(self, cell: PlannedCell) -> None:
        owner = (cell.asked.model, cell.asked.method)
        for place, other in enumerate(self._cells):
            if (other.asked.model, other.asked.method) == owner:
                self._expected[place] = None
                self._states[place] = self._state(place)

    def block(self, place: int, reason: str) -> None:
        """Note that the rest of the cell at *place* cannot be decoded."""
        self._blocked[place] = reason
        self._states[place] = self._state(place)
        self._needed = None

    def n_known(self, place: int) -> int:
        """Return how many samples of the cell have a result."""
        return len(self._records[place])

    def is_blocked(self, place: int) -> bool:
        """Return whether the rest of the cell cannot be decoded."""
        return self._blocked[place] is not None

    def wants(self, place: int) -> bool:
        """Return whether an open gate may depend on what is missing of the cell at *place*."""
        return place in self._wanted()

    def _wanted(self) -> set[int]:
        if self._needed is None:
            settings = [setting for _, found in self._open() for setting in found.wanted]
            self._needed = self._incomplete(cell for setting in settings for cell in setting)
        return self._needed

    def _open(self) -> Iterable[tuple[Claim, Standing]]:
        claims = [claim for claim in self._said if isinstance(claim, Claim)]
        found = [(claim, standing(claim, self._states)) for claim in claims]
        return [(claim, stands) for claim, stands in found if stands.passed is None]

    def _incomplete(self, cells: Iterable[int]) -> set[int]:
        return {cell for cell in cells if not self._states[cell].is_complete}

    def next_cells(self, among: Collection[int]) -> list[int]:
        """Return the cells of *among* to decode a part of next; none where no open gate needs any of them.

        Of each open gate it is the first setting that it wants, or all that nothing is known about.
        """
        chosen: set[int] = set()
        for _, found in self._open():
            settings = [self._incomplete(setting) & set(among) for setting in found.wanted]
            left = [setting for setting in settings if setting]
            unknown = [s for s in left if any(self._is_unknown(cell) for cell in s)]
            chosen |= set().union(*unknown) if unknown else set().union(*left[:1])
        return sorted(chosen)

    def _is_unknown(self, cell: int) -> bool:
        state = self._states[cell]
        return state.known == 0 and state.expected is None

    def part(self, place: int) -> int:
        """Return how many samples of the cell are decoded before it is asked again."""
        return -(-self._cells[place].n_planned // ROUNDS)

    def verdicts(self) -> list[Verdict]:
        """Return a verdict for everything that the gates name."""
        return [
            said if isinstance(said, Verdict) else verdict(said, standing(said, self._states), self._states)
            for said in self._said
        ]

    def savings(self) -> Savings:
        """Return what was decoded and what was not."""
        missing = [state.planned.n_planned - len(self._records[at]) for at, state in enumerate(self._states)]
        planned = sum(cell.n_planned for cell in self._cells)
        unneeded = sum(n for at, n in enumerate(missing) if at not in self._at_first)
        return Savings(
            planned=planned,
            known=planned - sum(missing),
            unneeded=unneeded,
            stopped=sum(missing) - unneeded,
        )
