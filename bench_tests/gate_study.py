"""How often the gate against a baseline is red: ``python -m bench_tests.gate_study STORE``.

Two copies of one model are simulated from the stored scores of a run. Both copies are asked the same
samples, drawn from the stored ones; a sample carries its scores and speeds at all settings. With the
chance of the churn, a sample has another score in the copies: a coin says which of them is right. So
both have the same true score, and a red gate is an error of the first kind. Where the second copy is
truly worse, so many more samples are right in the first and wrong in the second, at every setting of
every task. Samples change at each setting apart; tokens per step do not change.

Legend: n = samples of a task in a simulated run, S = settings of a curve, P = stored samples of a task.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench_tests.page_marks import write
from pb_plugin.comparing.drops import Drop, drops_of, judged
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import load, summarise
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import SuiteCurve, SuitePoint, Summary
from pb_plugin.statistics.curve_draws import CurveDraws
from pb_plugin.statistics.resample import Resample

CHURNS = (0.02, 0.05, 0.1)
X, COUNT = 80.0, "canvas"

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The stored samples of one curve: by task ``scores`` and ``rates`` in tokens per step, [P, S] each."""

    label: str
    static: bool
    settings: tuple[Mapping[str, object], ...]
    scores: Mapping[str, Floats]
    rates: Mapping[str, Floats]


def curves_of(summary: Summary, suite: str) -> list[Curve]:
    """Return every curve of *summary* over *suite*.

    Raises:
        ValueError: None has a full result, or a score is neither 0 nor 1.
    """
    found = []
    for curve in summary.curves:
        if curve.suites[suite].reason is not None:
            continue
        whole = [point.setting for point in curve.suites[suite].points if point.is_whole]
        scores, rates = {}, {}
        for task in SUITES[suite]:
            of_task = {str(cell.setting): cell.samples for cell in curve.cells if cell.task == task}
            samples = [sample for setting in whole if (sample := of_task[str(setting)]) is not None]
            scores[task] = np.array([sample.scores for sample in samples]).T
            rates[task] = np.array([sample.tps[COUNT] for sample in samples]).T
            if not np.isin(scores[task], (0.0, 1.0)).all():
                raise ValueError(f"scores must be 0 or 1, got others for {task}; choose another suite")
        found.append(
            Curve(
                label=curve.identity.label,
                static=curve.family == "static",
                settings=tuple(whole),
                scores=scores,
                rates=rates,
            )
        )
    if not found:
        raise ValueError(f"the run must have a full result of suite {suite}, got none; name another suite")
    return found


def suite_curve(curve: Curve, scores: Mapping[str, Floats], rates: Mapping[str, Floats]) -> SuiteCurve:
    """Return the curve of one simulated copy, drawn by the joint resample."""
    resample = Resample()
    tps = np.sum([resample.means(task, values) for task, values in rates.items()], axis=0) / len(rates)
    draws = CurveDraws(scores=100.0 * resample.mean_scores(scores), tps={COUNT: tps})
    sums = [
        sum(Fraction(int(values[:, at].sum()), len(values)) for values in scores.values())
        for at in range(len(curve.settings))
    ]
    measured = np.mean([values.mean(axis=0) for values in rates.values()], axis=0)
    points = tuple(
        SuitePoint(setting=setting, score=float(100 * total / len(scores)), tps={COUNT: float(rate)})
        for setting, total, rate in zip(curve.settings, sums, measured, strict=True)
    )
    return SuiteCurve(suite="simulated", static=curve.static, points=points, draws=draws)


def copies(
    scores: Floats, generator: np.random.Generator, churn: float, drop: float
) -> tuple[Floats, Floats]:
    """Return the scores of both copies; *churn* differ by a coin and *drop* more are worse in the second."""
    luck, coin = generator.random(scores.shape), generator.random(scores.shape) < 0.5
    differs, is_worse = luck < churn, (churn <= luck) & (luck < churn + drop)
    before = np.where(differs, coin, np.where(is_worse, 1.0, scores)).astype(np.float64)
    after = np.where(differs, ~coin, np.where(is_worse, 0.0, scores)).astype(np.float64)
    return before, after


def simulate(
    curves: Sequence[Curve], n: int, *, churn: float, drop: float, margin: float, seed: int
) -> list[Drop]:
    """Return the drops of one simulated pair of runs, judged together."""
    generator = np.random.default_rng([seed, n, round(1000 * churn), round(1000 * drop)])
    tasks = curves[0].scores
    chosen = {task: generator.integers(0, len(values), size=n) for task, values in tasks.items()}
    found: list[Drop] = []
    for curve in curves:
        rates = {task: curve.rates[task][chosen[task]] for task in chosen}
        both = {task: copies(curve.scores[task][chosen[task]], generator, churn, drop) for task in chosen}
        sides = [suite_curve(curve, {task: both[task][at] for task in both}, rates) for at in (0, 1)]
        found += drops_of(sides[0], sides[1], x=X, count=COUNT, margin=margin)
    return judged(found)


def share_red(
    curves: Sequence[Curve], n: int, runs: int, *, churn: float, drop: float, margin: float
) -> float:
    """Return in how many percent of *runs* simulated pairs the gate is red."""
    red = sum(
        any(
            found.status == "red"
            for found in simulate(curves, n, churn=churn, drop=drop, margin=margin, seed=seed)
        )
        for seed in range(runs)
    )
    return 100.0 * red / runs


def study(curves: Sequence[Curve], n: int, runs: int) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for churn in CHURNS:
        row = [f"{churn:.0%}"]
        for drop, margin in ((0.0, 0.0), (0.0, 1.0), (0.03, 1.0)):
            row.append(f"{share_red(curves, n, runs, churn=churn, drop=drop, margin=margin):.1f}")
        print(row, flush=True)
        yield row


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the table of the page."""
    header = [
        "samples that differ", "red: no drop, margin 0", "no drop, margin 1", "true drop of 3, margin 1",
    ]  # fmt: skip
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, ["---"] * len(header), *rows))


def main() -> None:
    """Read the store, simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="of a run with a full result of the suite")
    parser.add_argument("--suite", default="waiting_line", choices=sorted(SUITES))
    parser.add_argument("--samples", type=int, default=100, help="of each task in a simulated run")
    parser.add_argument("--runs", type=int, default=500, help="simulated pairs of runs for each number")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    arguments = parser.parse_args()
    run, _ = load(arguments.store)
    summary = summarise(run, Store(arguments.store).index().find)
    curves = curves_of(summary, arguments.suite)
    print(", ".join(f"{curve.label} at {len(curve.settings)} settings" for curve in curves), flush=True)
    text = table(list(study(curves, arguments.samples, arguments.runs)))
    print(text)
    if arguments.write:
        write(text, arguments.write, "gate_study")


if __name__ == "__main__":
    main()
