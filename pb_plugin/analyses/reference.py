"""What a model achieves of the exact reference: its score minus that of `ideal` at the same setting."""

from __future__ import annotations

from typing import Any

from pb_plugin.analyses.found import Found
from pb_plugin.records.canonical import canonical_json
from pb_plugin.results.summary import CellSummary, Summary, setting_label
from pb_plugin.statistics.intervals import Interval

REFERENCE = "ideal"
LEVEL = 0.95


def against_ideal(summary: Summary) -> Found:
    """Return a row for every complete cell of another model whose setting `ideal` was measured at.

    Beside the difference in points stand the entropies of the choices among right answers (1 is even): a
    model that always picks the same one is above the reference by a bias.
    """
    whole = [cell for cell in summary.cells if cell.percent is not None and cell.incomplete is None]
    ideal = {_asked(cell): cell for cell in whole if cell.exact}
    rows, lacking = [], set()
    for cell in whole:
        if cell.exact:
            continue
        reference = ideal.get(_asked(cell))
        if reference is None or cell.percent is None or reference.percent is None:
            lacking.add((cell.task, cell.identity.method))
            continue
        rows.append(
            {
                "cell": cell.label,
                "task": cell.task,
                "curve": cell.identity.label,
                "setting": setting_label(cell.setting),
                "score": cell.percent,
                "ideal": reference.percent,
                "difference": cell.percent - reference.percent,
                "interval": _interval(cell, reference),
                "entropy": _entropy(cell),
                "entropy_of_ideal": _entropy(reference),
            }
        )
    methods = sorted({method for _, method in lacking})
    tasks = sorted({task for task, _ in lacking})
    missing = (
        f"{REFERENCE} at the settings of {', '.join(methods)} is missing for {', '.join(tasks)}; run pytest "
        f"bench_tests --model {REFERENCE} {' '.join(f'--unmasking {name}' for name in methods)} "
        f"{' '.join(f'--task {name}' for name in tasks)} with the other models and options of this run"
    )
    return Found(rows=tuple(rows), missing=(missing,) if lacking else ())


def _interval(cell: CellSummary, reference: CellSummary) -> dict[str, float] | None:
    """Return the 95 % interval of the difference in points: both answer the same samples, drawn together."""
    import numpy as np

    from pb_plugin.statistics.resample import Resample, percentile_interval

    both = (cell.samples, reference.samples)
    if both[0] is None or both[1] is None or len(both[0].scores) != len(both[1].scores):
        return None
    scores = np.array([both[0].scores, both[1].scores]).T
    drawn = 100.0 * Resample().mean_scores({cell.task: scores})
    low, high = percentile_interval(drawn[:, 0] - drawn[:, 1], LEVEL)
    return Interval(low=float(low), high=float(high), level=LEVEL).to_json()


def _asked(cell: CellSummary) -> str:
    return canonical_json({name: value for name, value in cell.asked.parts().items() if name != "model"})


def _entropy(cell: CellSummary) -> Any:
    return None if cell.choices is None else cell.choices.entropy_ratio
