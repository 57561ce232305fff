"""The only clock: decode one cell alone, warm and synchronised, through pytest-benchmark."""

from __future__ import annotations

from typing import Any

from decoders.traits import model_traits
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
    """Decode one sample of *cell* to warm up, then all of them under the clock, and store the records.

    ``extra_info`` gets ``tokens_per_second`` (sum of content tokens / wall seconds, all rows),
    ``step_latency_s`` (wall seconds / forwards of the batch), the number of forwards and the content tokens;
    the first two are None when a sample failed.

    Args:
        bench: The run.
        cell: What to decode.
        benchmark: The fixture of pytest-benchmark (untyped upstream).
    """
    planned = bench.resources.planned(cell)
    model: Any = bench.resources.model(cell).get()
    sync = model_traits(model).sync
    list(bench.sweep([(cell, planned[0])]))
    forwards = 0

    def count(n_rows: int) -> None:
        nonlocal forwards
        forwards += 1

    def run() -> list[Record]:
        records = list(bench.sweep([(cell, sample) for sample in planned], on_step=count))
        sync()
        return records

    sync()
    benchmark.group = f"{cell.model.name}-{cell.task}"
    records = benchmark.pedantic(run, rounds=1, iterations=1)
    wall_s = benchmark.stats.stats.total
    content = sum(record.content_tokens or 0 for record in records)
    whole = not any(record.failed for record in records)
    benchmark.extra_info |= {
        "cell": cell.id,
        "content_tokens": content,
        "forwards": forwards,
        "tokens_per_second": content / wall_s if whole else None,
        "step_latency_s": wall_s / forwards if whole else None,
    }
    for record in records:
        bench.known.keep(record)
    bench.decode([cell])
