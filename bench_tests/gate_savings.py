"""What ``--pb-sweep gate`` would have decoded: ``python -m bench_tests.gate_savings STORE GATE...``.

The stored results are shown to the gates in the order in which a run would decode them, until each gate is
certain; nothing is decoded. A row for each gate by itself and, of several, one for all of them together.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench_tests.page_marks import write
from decoders.unmasking.top_k import SCORES
from pb_plugin.gates.gate_sweep import GateSweep, Savings
from pb_plugin.gates.grammar import Gate, parse_gate
from pb_plugin.records.record import Record
from pb_plugin.report.stored import StoredReport, read_report
from pb_plugin.results.cell_result import PlannedCell


def replay(gates: Sequence[Gate], report: StoredReport) -> tuple[bool, Savings]:
    """Return whether all *gates* hold and what they needed of the stored run.

    Raises:
        ValueError: A sample has no result in the store.
    """
    cells = [cell for cell in report.run.cells if cell.unscored is None]
    stored = [_records(cell, report) for cell in cells]
    sweep = GateSweep(
        gates, cells, [_expected(cell, records) for cell, records in zip(cells, stored, strict=True)]
    )
    everything = range(len(cells))
    while chosen := sweep.next_cells(everything):
        for place in chosen:
            n_shown = sweep.n_known(place) + sweep.part(place)
            sweep.update(place, stored[place][:n_shown])
    return all(verdict.passed for verdict in sweep.verdicts()), sweep.savings()


def _records(cell: PlannedCell, report: StoredReport) -> list[Record]:
    found = [report.index.find(key, cell.score_key) for key in cell.keys]
    known = [record for record in found if record is not None]
    if len(known) < cell.n_planned:
        raise ValueError(
            f"{report.store} must hold a result of every sample, got {len(known)} of {cell.n_planned} of "
            f"{cell.asked.task} with {cell.asked.method}; finish the run first"
        )
    return known


def _expected(cell: PlannedCell, records: Sequence[Record]) -> float | None:
    """Return the tokens per step that a run knows before it decodes: not where cells of a grid are given."""
    if cell.asked.method not in SCORES:  # one that decides for itself
        return None
    rates = {record.canvas_tokens / record.nfe for record in records if record.canvas_tokens and record.nfe}
    return rates.pop() if len(rates) == 1 else None


def row(name: str, gates: Sequence[Gate], report: StoredReport) -> list[str]:
    """Return the row of *gates*."""
    passed, saved = replay(gates, report)
    counts = (saved.planned, saved.known, saved.unneeded, saved.stopped)
    return [name, "holds" if passed else "fails", *(f"{count:,}" for count in counts)]


def main() -> None:
    """Replay every gate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, metavar="STORE", help="its newest run, complete")
    parser.add_argument("gates", nargs="+", metavar="GATE", help="as for --pb-gate")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    arguments = parser.parse_args()
    report = read_report(arguments.store, None)
    gates = [parse_gate(text) for text in arguments.gates]
    rows = [row(f"`{gate.text}`", [gate], report) for gate in gates]
    if len(gates) > 1:
        rows.append(row("all of them", gates, report))
    header = ["gate", "it", "samples", "decoded", "of cells that no gate depends on", "stopped early"]
    text = "".join(f"| {' | '.join(line)} |\n" for line in (header, ["---"] * len(header), *rows))
    print(text)
    if arguments.write:
        write(text, arguments.write, "gate_savings")


if __name__ == "__main__":
    main()
