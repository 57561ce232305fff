"""``--pb-sweep gate``: one process decodes what the gates still need of its cells, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pb_plugin.gates.gate_sweep import GateSweep, Savings
from pb_plugin.gates.grammar import Gate
from pb_plugin.gates.judge import Verdict
from pb_plugin.planning.cell import Cell
from pb_plugin.results.run_file import describe

if TYPE_CHECKING:
    from pb_plugin.planning.options import Options
    from pb_plugin.records.record import Record
    from pb_plugin.running.bench import Bench

UNNEEDED = "no gate depends on it (--pb-sweep gate)"
"""Why an item without any result is skipped."""

STOPPED = "decoded in part: every gate was certain before the rest (--pb-sweep gate)"
"""Why an item is skipped that has some results."""


def check_gate_sweep(options: Options, gates: Sequence[Gate]) -> None:
    """Check that a run for gates alone is given gates, and nothing that needs every sample.

    Raises:
        ValueError: It is not.
    """
    if options.sweep != "gate":
        return
    if not gates:
        raise ValueError(
            "--pb-sweep gate must come with --pb-gate, got none; give a gate, or leave --pb-sweep out"
        )
    lower = next((gate for gate in gates if gate.is_lower), None)
    if lower is not None:
        raise ValueError(
            f"--pb-sweep gate must have gates on the number itself, got {lower.text!r}; the interval of "
            "lo(...) needs every sample: leave --pb-sweep out"
        )
    for name, given in (
        ("--pb-baseline", options.baseline is not None),
        ("--pb-save-baseline", options.save_baseline is not None),
        ("--pb-timing", options.timing),
        ("--pb-floor", bool(options.floor)),
        ("several seeds", len(options.seed) > 1),
    ):
        if given:
            raise ValueError(
                f"--pb-sweep gate must come without {name}, got both; it needs every sample: leave one out"
            )


def expected_rate(cell: Cell) -> float | None:
    """Return the canvas tokens per step that follow from what is asked: k, and a block's remainder.

    None for a method that decides for itself, and where positions of the canvas are given. The masks of a
    block take one forward per k of them (`decoders.loop`); results that say otherwise win.
    """
    from decoders.unmasking.top_k import TopK

    method, asked = cell.method, cell.asked
    if asked.k is None or cell.spec.infilling or not isinstance(method, TopK) or method.may_idle:
        return None
    return asked.canvas / (asked.canvas // asked.block * -(-asked.block // asked.k))


class GateRun:
    """The gates of a session, and what its process decodes for them.

    Args:
        gates: The gates.
        cells: All selected cells.
        bench: What decodes and knows results.
    """

    def __init__(self, gates: Sequence[Gate], cells: Sequence[Cell], bench: Bench) -> None:
        self._bench = bench
        self._cells = sorted(cells, key=lambda cell: cell.position)
        self._place = {cell.id: place for place, cell in enumerate(self._cells)}
        run = describe(bench.resources, self._cells, missing_tasks=(), notes=())
        self._planned = run.cells
        self._sweep = GateSweep(gates, run.cells, [expected_rate(cell) for cell in self._cells])
        self._read(bench.known.record)

    def _read(self, find: Callable[[str, str], Record | None]) -> None:
        """Take in what is known by now, of other processes too."""
        self._bench.known.refresh()
        for place, planned in enumerate(self._planned):
            found = (find(key, planned.score_key) for key in planned.keys)
            self._sweep.update(place, [record for record in found if record is not None])

    def wants(self, cell: Cell) -> bool:
        """Return whether something of *cell* is to be decoded, as far as is known; see `settle`."""
        place = self._place[cell.id]
        return self._sweep.is_blocked(place) or self._sweep.wants(place)

    def settle(self, cells: Sequence[Cell]) -> None:
        """Decode what open gates need of *cells*, all of one model, part by part.

        A cell that gives no result is not asked for again here; as an item it says why.

        Raises:
            ModelUnavailable: The model cannot be loaded.
            ValueError: A sample does not fit the model, or a scoring tool does not start.
        """
        among = {self._place[cell.id] for cell in cells}
        self._read(self._bench.known.record)
        while chosen := self._sweep.next_cells(among):
            before = {place: self._sweep.n_known(place) for place in chosen}
            groups: dict[tuple[str, ...], list[Cell]] = {}
            for place in chosen:
                groups.setdefault(self._cells[place].group, []).append(self._cells[place])
            for group in groups.values():
                most = max(self._sweep.part(self._place[cell.id]) for cell in group)
                self._bench.decode(group, most=most)
            self._read(self._bench.known.record)
            for place, n_known in before.items():
                if self._sweep.n_known(place) == n_known:
                    self._sweep.block(place, "cannot be decoded; its item says why")

    def left_out(self, cell: Cell) -> str | None:
        """Return why *cell* is not decoded whole; None where it is, or where a sample of it failed."""
        records = self._bench.records(cell)
        known = [record for record in records if record is not None]
        if len(known) == len(records) or any(record.failed for record in known):
            return None
        return STOPPED if known else UNNEEDED

    def conclude(self) -> tuple[list[Verdict], list[str]]:
        """Return the verdicts by what is shown of every sample, and what the store tells of the others.

        Both are empty where the results contradict each other; the summary of the run says so.
        """
        try:
            self._read(self._bench.known.find)
        except ValueError:
            return [], []
        return self._sweep.verdicts(), [self.savings.line]

    @property
    def savings(self) -> Savings:
        """What was decoded and what was not."""
        return self._sweep.savings()
