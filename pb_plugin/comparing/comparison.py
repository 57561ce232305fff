"""Two sides compared: every common curve with its drops, what changed sample by sample, what else differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pb_plugin.comparing.pairing import Pair, Pairing, pair
from pb_plugin.comparing.side import Side
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_result import CellResult
from pb_plugin.results.summary import Curve, Identity

if TYPE_CHECKING:
    from pb_plugin.comparing.drops import Drop

COMMON = "common"
"""The suite that is compared: the tasks that both sides measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedCurve:
    """A curve that both sides have.

    Args:
        label: Its name on the first side.
        drops: What it lost, judged with those of all curves; empty where *problem* says why.
        problem: Why it could not be compared, or None.
    """

    label: str
    drops: tuple[Drop, ...] = ()
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "curve": self.label,
            "problem": self.problem,
            "drops": [drop.to_json() for drop in self.drops],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A sample whose score is another on the second side."""

    task: str
    sample: str
    setting: str
    before: float
    after: float
    decode_keys: tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two sides compared.

    Args:
        before: Name of the first side.
        after: Name of the second.
        tasks: The tasks over which curves are compared.
        pairing: Cell by cell what both have, and what else differs.
        curves: Every curve of the first side.
        changed: Samples whose score is another.
        n_samples: Pairs of samples, and the most of one task.
    """

    before: str
    after: str
    tasks: tuple[str, ...]
    pairing: Pairing
    curves: tuple[ComparedCurve, ...]
    changed: tuple[Changed, ...]
    n_samples: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "tasks": list(self.tasks),
            "only_before": list(self.pairing.only_before),
            "only_after": list(self.pairing.only_after),
            "differs": {name: list(values) for name, values in self.pairing.differs.items()},
            "curves": [curve.to_json() for curve in self.curves],
            "samples": {
                "paired": self.n_samples[0],
                "worse": sum(found.after < found.before for found in self.changed),
                "better": sum(found.after > found.before for found in self.changed),
            },
        }


def compare(
    before: Side,
    after: Side,
    *,
    x: float = 80.0,
    count: str = "canvas",
    margin: float = 1.0,
    models: Mapping[str, str] | None = None,
) -> Comparison:
    """Return what *after* lost against *before*, on the questions that both were asked.

    Args:
        before: The first side.
        after: The second.
        x: The score in percent of the PBx that is compared.
        count: The token count.
        margin: Points of the score that may be lost.
        models: Name of a model of *before* -> the one of *after* that it is compared with, if another.

    Raises:
        ValueError: They have nothing in common, or cells that ask the same had other questions.
    """
    pairing = pair(before, after, models)
    if not pairing.pairs:
        raise ValueError(
            f"{before.name} and {after.name} must have a cell in common, got none (the first has "
            f"{pairing.only_before[0] if pairing.only_before else 'no results'}); compare runs of the same "
            "models, methods and settings, or name models with --pair"
        )
    tasks = tuple(
        dict.fromkeys(p.before.asked.task for p in pairing.pairs if not p.before.planned.is_variant)
    )
    curves = _curves(pairing.pairs, tasks, x=x, count=count, margin=margin)
    sizes = [len(p.before.records) for p in pairing.pairs]
    return Comparison(
        before=before.name,
        after=after.name,
        tasks=tasks,
        pairing=pairing,
        curves=curves,
        changed=tuple(_changed(pairing.pairs)),
        n_samples=(sum(sizes), max(sizes)),
    )


def _curves(
    pairs: Sequence[Pair], tasks: Sequence[str], *, x: float, count: str, margin: float
) -> tuple[ComparedCurve, ...]:
    from pb_plugin.comparing.drops import drops_of, judged
    from pb_plugin.statistics.resample import Resample

    suites = {COMMON: tasks}
    sides = [
        {curve.identity: curve for curve in aggregate(cells, suites, Resample()).curves}
        for cells in ([p.before for p in pairs], [_as_before(p) for p in pairs])
    ]
    found: dict[str, list[Drop]] = {}
    problems: dict[str, str] = {}
    for identity, curve in sides[0].items():
        try:
            other = sides[1][identity]
            found[identity.label] = drops_of(
                curve.suites[COMMON], other.suites[COMMON], x=x, count=count, margin=margin
            )
        except ValueError as error:
            problems[identity.label] = str(error)
    together = iter(judged([drop for drops in found.values() for drop in drops]))
    by_label = {label: tuple(next(together) for _ in drops) for label, drops in found.items()}
    return tuple(
        ComparedCurve(label=label, drops=by_label.get(label, ()), problem=problems.get(label))
        for label in (identity.label for identity in _ordered(sides[0]))
    )


def _ordered(curves: Mapping[Identity, Curve]) -> Sequence[Identity]:
    return sorted(curves, key=lambda identity: identity.label)


def _as_before(found: Pair) -> CellResult:
    """Return the second cell under the names of the first, so that its curve has the same identity."""
    asked = found.before.asked
    planned = replace(found.before.planned, asked=asked, n_planned=found.after.planned.n_planned)
    records = [record.with_parts(model=asked.model) for record in found.after.records]
    return CellResult(planned=planned, records=records)


def _changed(pairs: Sequence[Pair]) -> Sequence[Changed]:
    changed = []
    for before, after in pairs:
        score, asked = before.planned.score, before.asked
        later = {record.parts["sample_id"]: record for record in after.records}
        setting = f"k={asked.k}" if asked.k is not None else str(dict(asked.method_params))
        for record in before.records:
            other = later[record.parts["sample_id"]]
            one, two = record.scores.get(score), other.scores.get(score)
            if one is not None and two is not None and one != two:
                changed.append(
                    Changed(
                        task=asked.task,
                        sample=record.parts["sample_id"],
                        setting=f"{asked.model}-{asked.method}[{setting}]",
                        before=one,
                        after=two,
                        decode_keys=(record.decode_key, other.decode_key),
                    )
                )
    return changed
