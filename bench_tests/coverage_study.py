"""How often 95 % intervals hold the truth: ``python -m bench_tests.coverage_study --write docs/numbers.md``.

A run is simulated: the samples of every task are drawn from a large pool whose means are known, so the truth
is too. The pool of ``random`` has the exact chance of being right of every sample under a random partition
(`decoders.theory.exact_law`), and a run draws right or wrong by it. Those of ``confidence`` and ``threshold``
have orders that depend on tokens, so they hold samples that `ideal` decoded under seeds of their own. One
sample carries all settings together.

The pool is written to a file and read again, as decoding it takes most of the time.

Legend: P = samples of a pool, S = settings, n = samples of a run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench_tests.page_marks import write
from decoders.budget import Budget
from decoders.loop.batching import sweep
from decoders.models import ideal
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row, Setting
from decoders.theory.answer_sets import TokenAnswers, chance_correct, is_answer
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence
from pb_plugin.asking.rows import answer_context
from pb_plugin.asking.samples import TaskData
from pb_plugin.results.suites import SUITES
from pb_plugin.statistics.curve_draws import CurveDraws, PBxInterval
from pb_plugin.statistics.pbx import PBx, pbx
from pb_plugin.statistics.resample import Resample
from task_specs.generate.names import vocabulary
from task_specs.spec import builtin_spec

KS = (2, 4, 8, 16)
GAMMAS = (0.5, 0.7, 0.9, 1.0)
CURVES: Mapping[str, tuple[bool, tuple[float, ...]]] = {
    "random": (True, KS),
    "confidence": (True, KS),
    "threshold": (False, GAMMAS),
}
"""Method -> whether it is static, and its settings."""

SIZES = (10, 25, 100)
"""Samples per task of a simulated run."""

X = 80.0
COUNT = "canvas"
LOW, HIGH = 93.0, 97.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The samples of one task: ``chances`` of being right and ``rates`` in tokens per step, both [P, S]."""

    chances: Floats
    rates: Floats


Pools = Mapping[str, Mapping[str, Pool]]
"""By method and task."""


def make_pools(n_decoded: int, n_exact: int) -> dict[str, dict[str, Pool]]:
    """Return the pools of all curves over `core`.

    Args:
        n_decoded: Samples that are decoded for each task with several answers and each setting.
        n_exact: Partitions whose exact chance is computed, for the same.
    """
    model = ideal.load(ModelRequest(name="ideal", vocabulary=vocabulary()))
    pools: dict[str, dict[str, Pool]] = {method: {} for method in CURVES}
    for task in SUITES["core"]:
        data = TaskData(planned=builtin_spec(task), data=None, n_samples=None)
        contexts = [answer_context(question, data.spec, model) for question in data.questions]
        canvas = data.spec.canvas
        if all(len(context.ids) == 1 for context in contexts):
            contexts, decoded, exact = contexts[:1], 1, 1
        else:
            decoded, exact = n_decoded, n_exact
        for method in CURVES:
            print(f"pool of {task}, {method}", flush=True)
            if method == "random":
                pools[method][task] = _exact_pool(contexts, canvas, exact)
            else:
                pools[method][task] = _decoded_pool(model, contexts, canvas, method, decoded, task)
    return pools


def _exact_pool(contexts: Sequence[TokenAnswers], canvas: int, size: int) -> Pool:
    generator = np.random.default_rng(0)
    chances = np.empty((size, len(KS)))
    for sample in range(size):
        order = generator.permutation(canvas)
        for column, k in enumerate(KS):
            steps = np.empty(canvas, dtype=np.int64)
            steps[order] = np.arange(canvas) // k
            chances[sample, column] = chance_correct(contexts[sample % len(contexts)], steps.tolist(), 0.0)
    return Pool(chances=chances, rates=np.broadcast_to(np.array(KS, dtype=np.float64), chances.shape))


def _decoded_pool(
    model: Any, contexts: Sequence[TokenAnswers], canvas: int, method: str, size: int, task: str
) -> Pool:
    settings = (
        [Setting(method=confidence(), k=k) for k in KS]
        if method == "confidence"
        else [Setting(method=Threshold(gamma=gamma)) for gamma in GAMMAS]
    )
    rows = (
        Row(
            key=(sample, column),
            prompt_ids=(),
            gen_length=canvas,
            setting=setting,
            sample_id=f"{task}/{sample % len(contexts)}",
            seed=1 + sample // len(contexts),
            context=contexts[sample % len(contexts)],
        )
        for sample in range(size)
        for column, setting in enumerate(settings)
    )
    chances, rates = np.empty((size, len(settings))), np.empty((size, len(settings)))
    for done in sweep(model, rows, budget=Budget(tokens=10**9, max_rows=64)):
        assert isinstance(done, Decoded), done
        assert done.nfe is not None
        sample, column = done.key
        chances[sample, column] = is_answer(contexts[sample % len(contexts)], done.ids)
        rates[sample, column] = canvas / done.nfe
    return Pool(chances=chances, rates=rates)


def save(pools: Pools, path: Path) -> None:
    """Write the pools to *path*."""
    arrays = {
        f"{method}/{task}/{name}": getattr(pool, name)
        for method, of_tasks in pools.items()
        for task, pool in of_tasks.items()
        for name in ("chances", "rates")
    }
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> dict[str, dict[str, Pool]]:
    """Return the pools that `save` wrote."""
    with np.load(path) as found:
        return {
            method: {
                task: Pool(chances=found[f"{method}/{task}/chances"], rates=found[f"{method}/{task}/rates"])
                for task in SUITES["core"]
            }
            for method in CURVES
        }


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What the simulated runs of one curve and size found, in percent of the runs.

    Args:
        method: Of the curve.
        n: Samples per task.
        truth: The true score of every setting, in percent.
        below: How often the interval of the score lies above the truth, by setting.
        above: How often it lies below the truth.
        mean_width: Of the interval, in points, by setting.
        true_pbx: PB80 of the true curve.
        pbx_covered: How often the interval of PB80 holds that.
        pbx_width: Median width of that interval, in tokens per step, of those whose ends are numbers.
        tps_covered: The lowest share over settings of intervals that hold the true tokens per step; None
            where these do not vary.
    """

    method: str
    n: int
    truth: list[float]
    below: list[float]
    above: list[float]
    mean_width: list[float]
    true_pbx: PBx
    pbx_covered: float
    pbx_width: float
    tps_covered: float | None

    def covered(self) -> list[float]:
        """Return how often the interval of the score holds the truth, by setting."""
        return [100.0 - low - high for low, high in zip(self.below, self.above, strict=True)]


def study(method: str, pools: Mapping[str, Pool], n: int, n_runs: int) -> Coverage:
    """Return what *n_runs* simulated runs of one curve with *n* samples per task find."""
    static, settings = CURVES[method]
    generator = np.random.default_rng([n, *method.encode()])
    resample = Resample()
    true_score = 100.0 * np.mean([pool.chances.mean(axis=0) for pool in pools.values()], axis=0)
    true_tps = np.mean([pool.rates.mean(axis=0) for pool in pools.values()], axis=0)
    true_pbx = pbx(list(zip(true_tps, true_score, strict=True)), X, "published", static)
    low, high = np.empty((n_runs, len(settings))), np.empty((n_runs, len(settings)))
    tps_held = np.zeros(len(settings))
    held, widths = 0, []
    for run in range(n_runs):
        scores, rates = {}, {}
        for task, pool in pools.items():
            chosen = generator.integers(0, len(pool.chances), size=n)
            chances = pool.chances[chosen]
            scores[task] = (generator.random(chances.shape) < chances).astype(np.float64)
            rates[task] = pool.rates[chosen]
        tps = np.sum([resample.means(task, values) for task, values in rates.items()], axis=0) / len(rates)
        draws = CurveDraws(scores=100.0 * resample.mean_scores(scores), tps={COUNT: tps})
        measured = 100.0 * np.mean([values.mean(axis=0) for values in scores.values()], axis=0)
        found = [i.holding(score) for i, score in zip(draws.score_intervals(), measured, strict=True)]
        low[run], high[run] = [i.low for i in found], [i.high for i in found]
        tps_held += [
            i.low - 1e-9 <= rate <= i.high + 1e-9
            for i, rate in zip(draws.tps_intervals(COUNT), true_tps, strict=True)
        ]
        interval = draws.pbx(X, COUNT, "published", static).interval()
        held += holds(interval, true_pbx)
        if "never" not in (interval.low.censored, interval.high.censored):
            widths.append((interval.high.value or 0.0) - (interval.low.value or 0.0))
    return Coverage(
        method=method,
        n=n,
        truth=true_score.tolist(),
        below=(100.0 * (low > true_score + 1e-9).mean(axis=0)).tolist(),
        above=(100.0 * (high < true_score - 1e-9).mean(axis=0)).tolist(),
        mean_width=(high - low).mean(axis=0).tolist(),
        true_pbx=true_pbx,
        pbx_covered=100.0 * held / n_runs,
        pbx_width=float(np.median(widths)) if widths else float("nan"),
        tps_covered=None if static else 100.0 * float(tps_held.min()) / n_runs,
    )


def holds(interval: PBxInterval, truth: PBx) -> bool:
    """Return whether *interval* holds *truth*; an end "v or more" holds all from v."""
    value = truth.value or 0.0
    reaches_up = interval.high.censored == "at_least" or value <= (interval.high.value or 0.0) + 1e-9
    return (interval.low.value or 0.0) - 1e-9 <= value and reaches_up


def table(found: Iterable[Coverage]) -> str:
    """Return the table of the page."""
    header = [
        "method", "samples per task", "true scores", "intervals of the score that hold it",
        "of tokens per step", "PB80", "intervals of PB80 that hold it", "median width",
    ]  # fmt: skip
    rows = [header, ["---"] * len(header)]
    for one in found:
        tps = "certain" if one.tps_covered is None else f"{one.tps_covered:.1f}"
        rows.append(
            [
                f"`{one.method}`",
                str(one.n),
                ", ".join(f"{score:.1f}" for score in one.truth),
                ", ".join(f"{share:.1f}" for share in one.covered()),
                tps,
                f"{one.true_pbx.value:.2f}",
                f"{one.pbx_covered:.1f}",
                f"{one.pbx_width:.2f}",
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Make or read the pools, simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=Path, default=Path(tempfile.gettempdir()) / "pb_coverage_pool.npz")
    parser.add_argument("--decoded", type=int, default=4000, help="samples decoded per task and setting")
    parser.add_argument("--exact", type=int, default=400, help="partitions per task and setting")
    parser.add_argument("--runs", type=int, default=1000, help="simulated runs per curve and size")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.pool.exists():
        started = time.process_time()
        save(make_pools(arguments.decoded, arguments.exact), arguments.pool)
        print(f"pools: {time.process_time() - started:.0f} s of CPU, kept in {arguments.pool}")
    pools = load(arguments.pool)
    found = []
    for n in SIZES:
        for method in CURVES:
            found.append(study(method, pools[method], n, arguments.runs))
            covered = found[-1].covered()
            varying = [c for c, score in zip(covered, found[-1].truth, strict=True) if 0.0 < score < 100.0]
            missed = [share for share in varying if not LOW <= share <= HIGH]
            print(
                f"{method}, n = {n}: {'all in' if not missed else f'MISSED {missed}, not in'} {LOW} to {HIGH}"
            )
    text = table(found)
    print(text)
    if arguments.write:
        write(text, arguments.write, "coverage_study")


if __name__ == "__main__":
    main()
