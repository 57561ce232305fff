"""The only clock: decode one cell alone, warm and synchronised, through pytest-benchmark."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from decoders.devices import PeakMemory
from decoders.traits import ModelTraits, model_traits
from pb_plugin.measuring.measured import Measured
from pb_plugin.measuring.throughput import Throughput
from pb_plugin.planning.cell import Cell
from pb_plugin.records.record import Record
from pb_plugin.running.bench import Bench


def check_timing(config: Any) -> None:
    """Check that this session can measure.

    Args:
        config: pytest's configuration.

    Raises:
        ValueError: pytest-benchmark is absent or switched off, or other processes disturb the clock.
    """
    if not config.pluginmanager.hasplugin("benchmark"):
        raise ValueError(
            "--pb-timing must have pytest-benchmark, which is not active; pip install pytest-benchmark"
        )
    for name in ("disable", "skip"):
        if config.getoption(f"benchmark_{name}"):
            raise ValueError(
                f"--pb-timing must have pytest-benchmark measure, got --benchmark-{name}; leave one out"
            )
    if hasattr(config, "workerinput") or config.getoption("numprocesses", 0):
        raise ValueError(
            "--pb-timing must run in one process, got -n: workers disturb each other's clock; leave -n out"
        )


def decode_timed(bench: Bench, cell: Cell, benchmark: Any) -> None:
    """Decode all samples of *cell* under the clock at every batch size asked for, and store the records.

    A first sweep of as many samples as the batch holds warms up. pytest-benchmark times the first size, and
    its ``extra_info`` gets the numbers of `Throughput` for that one, and under ``batches`` those of all. The
    records stored are those of the first size.

    Args:
        bench: The run.
        cell: What to decode.
        benchmark: The fixture of pytest-benchmark (untyped upstream).
    """
    planned = bench.resources.planned(cell)
    handle = bench.resources.model(cell)
    traits = model_traits(handle.get())
    benchmark.group = f"{cell.model.name}-{cell.task}"
    records: list[Record] = []
    found: list[Throughput] = []
    for batch in bench.options.batch or (None,):
        with handle.at_most(batch):
            list(bench.sweep([(cell, sample) for sample in planned[: batch or 1]]))
            clocked = _Clocked(bench, cell, traits)
            if not records:
                benchmark.pedantic(clocked.run, rounds=1, iterations=1)
                records, clocked.seconds = clocked.records, benchmark.stats.stats.total
            else:
                clocked.run()
        found.append(clocked.result(batch, records))
    first = asdict(found[0])
    benchmark.extra_info |= first | {"batches": [asdict(one) for one in found]}
    bench.measured += Measured(throughput=tuple(found))
    for record in records:
        bench.known.keep(record)
    bench.decode([cell])


class _Clocked:
    """One sweep over all samples of a cell, its seconds, forwards and memory."""

    def __init__(self, bench: Bench, cell: Cell, traits: ModelTraits) -> None:
        self._bench, self._cell, self._sync = bench, cell, traits.sync
        self._memory = PeakMemory(traits.device)
        self._rows: list[int] = []
        self.seconds = 0.0
        self.records: list[Record] = []

    def run(self) -> None:
        """Decode on the clock."""
        planned = self._bench.resources.planned(self._cell)
        self._sync()
        self._memory.start()
        started = time.perf_counter()
        wanted = [(self._cell, sample) for sample in planned]
        self.records = list(self._bench.sweep(wanted, on_step=self._rows.append))
        self._sync()
        self.seconds = time.perf_counter() - started

    def result(self, batch: int | None, first: Sequence[Record]) -> Throughput:
        """Return what was measured at size *batch*; *first* are the records of the first size."""
        whole = not any(record.failed for record in self.records)
        content = sum(record.content_tokens or 0 for record in self.records)
        ids = {record.decode_key: record.ids for record in first}
        return Throughput(
            cell=self._cell.id,
            batch=batch,
            rows_per_forward=sum(self._rows) / max(len(self._rows), 1),
            forwards=len(self._rows),
            content_tokens=content,
            tokens_per_second=content / self.seconds if whole else None,
            seconds_per_sample=self.seconds / len(self.records) if whole else None,
            step_latency_s=self.seconds / len(self._rows) if whole else None,
            peak_bytes=self._memory.most(),
            differ=sum(record.ids != ids[record.decode_key] for record in self.records),
        )
