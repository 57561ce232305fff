"""Every cell of a run as a row of plain numbers, and the rows as CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pb_plugin.results.cell_numbers import COUNTS
from pb_plugin.results.summary import CellSummary, Summary, setting_label

COLUMNS: Mapping[str, type] = {
    **{name: str for name in ("task", "category", "model", "method", "curve", "setting")},
    **{
        name: float
        for name in ("tps", "tps_to_eos", "tps_content", "tps_per_canvas", "accuracy", "low", "high")
    },
    **{name: int for name in ("n", "n_failed", "n_planned")},
    **{name: str for name in ("score", "reason", "nfe_kind")},
    **{name: float for name in ("tps_low", "tps_high", "content_tokens")},
}
"""Column -> type; any of them but the names may be empty.

``tps`` is by canvas positions, as published; ``tps_per_canvas`` divides them by the canvases evaluated;
``accuracy``, ``low`` and ``high`` (95 %) are in percent, ``score`` names the
score, ``reason`` says why a row is no full result. ``nfe_kind`` says how the forwards are known; where as
bounds, ``tps`` is empty and between ``tps_low`` and ``tps_high``. ``content_tokens`` is a mean over samples.
"""


def rows_of(summary: Summary) -> list[dict[str, Any]]:
    """Return a row for every cell, with all of `COLUMNS`; None where there is no number."""
    return [_row(cell) for cell in summary.cells]


def _row(cell: CellSummary) -> dict[str, Any]:
    rates = dict.fromkeys(COUNTS) if cell.tps is None else cell.tps
    interval = cell.interval
    return {
        "task": cell.task,
        "category": cell.category,
        "model": cell.identity.model,
        "method": cell.identity.method,
        "curve": cell.identity.label,
        "setting": setting_label(cell.setting),
        "tps": rates["canvas"],
        "tps_to_eos": rates["to_eos"],
        "tps_content": rates["content"],
        "tps_per_canvas": rates["per_canvas"],
        "accuracy": cell.percent,
        "low": None if interval is None else 100 * interval.low,
        "high": None if interval is None else 100 * interval.high,
        "n": cell.n,
        "n_failed": cell.n_failed,
        "n_planned": cell.n_planned,
        "score": cell.score,
        "reason": cell.reason,
        "nfe_kind": "+".join(cell.nfe_kinds) or None,
        "tps_low": None if cell.tps_bounds is None else cell.tps_bounds["canvas"][0],
        "tps_high": None if cell.tps_bounds is None else cell.tps_bounds["canvas"][1],
        "content_tokens": cell.content_tokens,
    }


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return *rows* as CSV with a header; an empty field is None, and numbers are written in full."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def check_parquet() -> None:
    """Refuse to write Parquet without its library.

    Raises:
        ValueError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise ValueError(
            '--parquet must have pyarrow, got none installed; pip install -e ".[parquet]", or write --csv'
        )


def write_parquet(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write *rows* to *out* with a column of one type for each of `COLUMNS`."""
    import pyarrow
    from pyarrow import parquet

    types = {str: pyarrow.string(), float: pyarrow.float64(), int: pyarrow.int64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows], schema=schema), out)
