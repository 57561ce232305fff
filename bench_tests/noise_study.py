"""The gate against a baseline on a network whose weights were changed: ``python -m bench_tests.noise_study``.

Gaussian noise, scaled by the spread of each weight matrix of `tiny`, makes some answers right that were
wrong and some wrong that were right. First the scale is sought at which 1 to 3 % of the samples have
another score. Then so many networks with noise of that scale are held against the network as it is, as
``--pb-baseline`` does, and those that are red are counted. Larger noise shows which drop is found, and
one layer of zeros must be. ``--retrained FOLDER`` judges a network of another training seed instead, made
by ``pb train-tiny FOLDER --seed 1``.

One thread. ``--noises 100`` takes as long as 100 runs; the settings are few for that reason.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench_tests.page_marks import write
from decoders.models import load
from pb_plugin.comparing.side import Side, side_of
from pb_plugin.gates.against_baseline import judge_baseline
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import describe
from pb_plugin.running.bench import Bench
from task_specs.catalogue import BENCHMARK_IDS

LOW, HIGH = 0.01, 0.03
"""The share of samples whose score is another: between these the scale of the noise is right."""

FACTORS = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0)
"""Multiples of that scale whose drops are looked for."""

Change = Callable[[Any], None]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the gate says of a changed network.

    Args:
        red: Whether it failed.
        better: Share of the samples, in percent, whose score is higher.
        worse: The same of those that are lower.
        drop: The largest drop of the mean score at a setting, in points.
    """

    red: bool
    better: float
    worse: float
    drop: float


class Study:
    """The network as it is, and changed ones held against it.

    Args:
        n_samples: Samples of each task of the waiting line.
    """

    def __init__(self, n_samples: int) -> None:
        self._options = Options(
            model=("tiny",),
            task=BENCHMARK_IDS["waiting_line"],
            unmasking=("confidence", "threshold:gamma=0.7"),
            k=(4, 16),
            samples=n_samples,
            device="cpu",
            fresh=True,
        )
        self._cells = plan(self._options).cells
        self._as_it_is = self._run(lambda network: None)

    def _run(self, change: Change) -> Side:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(self._options, Store(Path(folder), worker="study"), checked_rows=0)
            bench.known.store.prepare()
            change(bench.resources.model(self._cells[0]).get().network)
            for task in self._options.task:
                bench.decode([cell for cell in self._cells if cell.task == task])
            run = describe(bench.resources, self._cells, missing_tasks=(), notes=())
            side = side_of("changed", run, bench.known.find, Path(folder))
            bench.close()
        return side

    def judge(self, change: Change) -> Found:
        """Return what the gate says of the network after *change*."""
        side = self._run(change)
        verdicts, found = judge_baseline(
            self._as_it_is, side, x=80.0, count="canvas", margin=1.0, is_strict=False, n_available=100
        )
        assert found is not None
        share = 100.0 / found.n_samples[0]
        return Found(
            red=not all(verdict.passed for verdict in verdicts),
            better=share * sum(sample.after > sample.before for sample in found.changed),
            worse=share * sum(sample.after < sample.before for sample in found.changed),
            drop=max(drop.value for c in found.curves for drop in c.drops if drop.unit == "points"),
        )


def noise(scale: float, seed: int) -> Change:
    """Return the change that adds noise of *scale* times the spread of each matrix."""

    def change(network: Any) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in network.parameters():
                if weight.dim() > 1:
                    weight += scale * weight.std() * torch.randn(weight.shape, generator=generator)

    return change


def zero_layer(number: int) -> Change:
    """Return the change that sets every matrix of one layer to zero."""

    def change(network: Any) -> None:
        with torch.no_grad():
            for weight in layers_of(network)[number].parameters():
                if weight.dim() > 1:
                    weight.zero_()

    return change


def retrained(folder: Path) -> Change:
    """Return the change to the weights of the network that was trained into *folder*.

    Raises:
        ValueError: The folder is no checkpoint of that architecture.
    """
    weights = load("tiny", str(folder), device="cpu").network.state_dict()

    def change(network: Any) -> None:
        network.load_state_dict(weights)

    return change


def layers_of(network: Any) -> Any:
    """Return the list of equal layers of *network*."""
    return next(child for child in network.modules() if isinstance(child, torch.nn.ModuleList))


def right_scale(study: Study) -> Iterator[tuple[float, Found]]:
    """Yield scales and what noise of them does, until 1 to 3 % of the samples change; that is the last."""
    low, high, scale = 0.0, float("inf"), 0.01
    for seed in range(20):
        found = study.judge(noise(scale, 10_000 + seed))
        yield scale, found
        changed = (found.better + found.worse) / 100.0
        if LOW <= changed <= HIGH:
            return
        low, high = (scale, high) if changed < LOW else (low, scale)
        scale = 2.0 * scale if high == float("inf") else (low + high) / 2.0
    raise ValueError(f"noise must change {LOW:.0%} to {HIGH:.0%} of the samples, got no such scale")


def row(name: str, founds: list[Found]) -> list[str]:
    """Return the row of networks that were changed alike."""
    n = len(founds)
    mean = [sum(getattr(f, part) for f in founds) / n for part in ("better", "worse", "drop")]
    return [name, str(n), *(f"{value:.1f}" for value in mean), f"{sum(f.red for f in founds)}"]


def table(rows: list[list[str]]) -> str:
    """Return the table of the page."""
    header = ["weights", "networks", "% of samples better", "% worse", "largest drop at a setting", "red"]
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ["---"] * len(header), *rows))


def main() -> None:
    """Seek the scale, judge the noises, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20, help="of each of the ten tasks")
    parser.add_argument("--noises", type=int, default=100, help="networks with noise of the right scale")
    parser.add_argument("--planted", type=int, default=5, help="networks of each larger scale")
    parser.add_argument("--retrained", type=Path, metavar="FOLDER", help="judge this network and no other")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    study = Study(arguments.samples)
    print(f"as it is: {time.process_time() - started:.0f} s of CPU", flush=True)
    if arguments.retrained:
        text = table([row("of another training", [study.judge(retrained(arguments.retrained))])])
        print(text)
        if arguments.write:
            write(text, arguments.write, "retrained")
        return
    scale = 0.0
    for scale, found in right_scale(study):
        print(f"scale {scale:.4g}: {found}", flush=True)
    rows = [row("layer 3 of 5 zero", [study.judge(zero_layer(2))])]
    print(table(rows), flush=True)
    for factor in FACTORS:
        founds = [study.judge(noise(factor * scale, seed)) for seed in range(arguments.planted)]
        rows.append(row(f"noise {factor * scale:.3g}", founds))
        print(table(rows), flush=True)
    founds = []
    for seed in range(arguments.noises):
        founds.append(study.judge(noise(scale, 100 + seed)))
        if (seed + 1) % 10 == 0:
            spent = time.process_time() - started
            print(f"{sum(f.red for f in founds)} of {seed + 1} red, {spent:.0f} s of CPU", flush=True)
    text = table([row(f"noise {scale:.3g}", founds), *rows[1:], rows[0]])
    print(text)
    if arguments.write:
        write(text, arguments.write, "noise_study")


if __name__ == "__main__":
    main()
