"""An earlier run beside the one of a page: what it answered to the same requests."""

from __future__ import annotations

from pathlib import Path

from pb_plugin.report.html.samples import Before, said_of, shown_cells
from pb_plugin.report.stored import read_report


def answers_of(text: str) -> Before:
    """Return what the run ``STORE`` or ``STORE@RUN`` answered.

    Raises:
        ValueError: There is no such run, or it is damaged.
    """
    store, _, name = text.partition("@") if not Path(text).is_dir() else (text, "", "")
    answers = {}
    for cell in shown_cells(read_report(Path(store), name or None)):
        for sample, record in cell.by_sample.items():
            outcome = cell.outcome(sample)
            assert outcome is not None, "it has a record"
            answers[record.pair_key] = (outcome, cell.score(sample), said_of(record))
    return Before(name=text, answers=answers)
