"""What an aggregate returns: cells, curves, suites and their PBx, as plain data and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pb_plugin.records.asked import Asked, tags, value_text
from pb_plugin.results.cell_numbers import COUNTS, CellSamples, Ends, ScoreMean, kinds_of
from pb_plugin.results.order import Order
from pb_plugin.statistics.intervals import Interval
from pb_plugin.statistics.pbx import RULES, PBx, Point, Rule, pbx
from pb_plugin.statistics.pbx_bounds import Box, pbx_between
from task_specs.scoring.distribution import ChoiceDistribution

if TYPE_CHECKING:
    from pb_plugin.statistics.curve_draws import CurveDraws, PBxDraws, PBxInterval

XS = (90, 80, 75, 70)
"""The scores in percent for which PBx is reported."""


def setting_label(setting: Mapping[str, Any]) -> str:
    """Return ``k=8`` or ``tau1=0.7,tau2=0.9``; a method without parameters has the setting ``default``."""
    return ",".join(f"{name}={value_text(value)}" for name, value in setting.items()) or "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What all points of one curve share.

    ``tagged`` are the tagged fields of `Asked`. ``block_length`` is None where the block is the canvas, the
    method's knob, or the model's trained block.
    """

    model: str
    method: str
    variant: str
    tagged: tuple[tuple[str, Any], ...]
    upstream_exact: bool
    block_length: int | None

    @property
    def label(self) -> str:
        """``llada-threshold``, with what is not the default behind it."""
        parts = [self.model, self.method + (f"({self.variant})" if self.variant else "")]
        parts += [] if self.block_length is None else [f"b{self.block_length}"]
        parts += tags(dict(self.tagged))
        parts += ["upstream_exact"] if self.upstream_exact else []
        return "-".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "model": self.model,
            "method": self.method,
            "variant": self.variant,
            **dict(self.tagged),
            "upstream_exact": self.upstream_exact,
            "block_length": self.block_length,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicate:
    """A task and setting under one seed: mean score in percent and tokens per step, None where not whole.

    ``tps_bounds`` has both ends of the tokens per step instead where forwards are known as bounds.
    """

    asked: Asked
    percent: float | None
    tps: Mapping[str, float] | None
    tps_bounds: Mapping[str, Ends] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CellSummary:
    """One task under one setting; what was decoded under several seeds is pooled.

    Args:
        asked: The task and its setting, with the lowest seed.
        category: The task's category.
        is_variant: Whether it is a variant; it enters a suite only where that names it.
        score: Name of the score that PBx uses.
        identity: The curve it belongs to.
        setting: What varies along the curve (``{"k": 8}``).
        n_planned: Samples that were asked for.
        n: Samples decoded without an error.
        n_failed: Samples with an error.
        errors: Number of failed samples by error class.
        score_sum: Sum of the scores of the *n* samples; None when one of them is unscored or there is none.
        interval: 95 % interval of ``accuracy`` (`ScoreMean`), or None.
        scores: Mean of every score of the *n* samples, by name.
        choices: How the right answers of a random task spread over the choices; None for other tasks.
        tps: By token count the mean over samples of count / nfe; None without samples or with an nfe that was
            neither counted nor commanded.
        tps_bounds: Both ends of the same, where forwards are known as bounds; else None.
        nfe_kinds: How the forwards of the samples are known, in the order of `NFE_KINDS`.
        content_tokens: Mean tokens before the first end of text; None where nobody counted them.
        order: In which order positions were committed; None without samples.
        incomplete: What is missing, or None.
        unscored: Why there is no score, or None.
        exact: Whether its model is the exact reference.
        samples: What every sample carries, for the resample; None where the cell is no full result.
        replicates: The same for each seed, by rising seed.
    """

    asked: Asked
    category: str
    is_variant: bool
    score: str
    identity: Identity
    setting: Mapping[str, Any]
    n_planned: int
    n: int
    n_failed: int
    errors: Mapping[str, int]
    score_sum: float | None
    interval: Interval | None
    scores: Mapping[str, ScoreMean]
    choices: ChoiceDistribution | None
    tps: Mapping[str, float] | None
    order: Order | None
    tps_bounds: Mapping[str, Ends] | None = None
    nfe_kinds: tuple[str, ...] = ()
    content_tokens: float | None = None
    incomplete: str | None
    unscored: str | None
    exact: bool
    samples: CellSamples | None = field(default=None, repr=False)
    replicates: tuple[Replicate, ...] = field(default=(), repr=False)

    @property
    def task(self) -> str:
        """Id of the task."""
        return self.asked.task

    @property
    def accuracy(self) -> float | None:
        """Mean score of the decoded samples, in [0, 1]."""
        return None if self.score_sum is None else self.score_sum / self.n

    @property
    def percent(self) -> float | None:
        """Mean score of the decoded samples in percent; rounded once, so that 57 of 100 is exactly 57."""
        return None if self.score_sum is None else 100 * self.score_sum / self.n

    @property
    def label(self) -> str:
        """``shuffle-llada-confidence[k=2]``."""
        return f"{self.task}-{self.identity.label}[{setting_label(self.setting)}]"

    @property
    def reason(self) -> str | None:
        """Why the cell is no full result, or None."""
        return "; ".join(text for text in (self.incomplete, self.unscored) if text) or None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "task": self.task,
            "category": self.category,
            "is_variant": self.is_variant,
            "score": self.score,
            **self.identity.to_json(),
            "setting": dict(self.setting),
            "canvas": self.asked.canvas,
            "n_planned": self.n_planned,
            "n": self.n,
            "n_failed": self.n_failed,
            "errors": dict(self.errors),
            "accuracy": self.accuracy,
            "interval": None if self.interval is None else self.interval.to_json(),
            "scores": {name: score.to_json() for name, score in self.scores.items()},
            "choices": None if self.choices is None else asdict(self.choices),
            "tps": None if self.tps is None else dict(self.tps),
            "tps_bounds": _bounds_json(self.tps_bounds),
            "nfe_kinds": list(self.nfe_kinds),
            "content_tokens": self.content_tokens,
            "order": None if self.order is None else self.order.to_json(),
            "reason": self.reason,
            **({"by_seed": self._by_seed()} if len(self.replicates) > 1 else {}),
        }

    def setting_under(self, seed: int) -> str:
        """Return the label of the setting, with *seed* where there are several."""
        return setting_label(self.setting) + (f",seed={seed}" if len(self.replicates) > 1 else "")

    def _by_seed(self) -> dict[str, Any]:
        return {
            str(one.asked.seed): {"percent": one.percent, "tps": None if one.tps is None else dict(one.tps)}
            for one in self.replicates
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SuitePoint:
    """One setting of a curve over a suite.

    Args:
        setting: What varies along the curve.
        score: Mean over the tasks of their percent, or None.
        tps: By token count the mean over the tasks, or None.
        tps_bounds: Both ends of it, where forwards are known as bounds; else None.
        reason: Why something is None, or None.
        interval: 95 % interval of the score by the joint resample, in percent; None where it was not drawn.
        tps_intervals: The same of the tokens per step, by token count; with bounds of all they can be.
    """

    setting: Mapping[str, Any]
    score: float | None = None
    tps: Mapping[str, float] | None = None
    reason: str | None = None
    interval: Interval | None = None
    tps_intervals: Mapping[str, Interval] | None = None
    tps_bounds: Mapping[str, Ends] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it has both a score and tokens per step, or bounds of them."""
        return self.score is not None and (self.tps is not None or self.tps_bounds is not None)

    def ends(self, count: str) -> Ends:
        """Return both ends of the tokens per step of a whole point; equal ones where they are known."""
        if self.tps_bounds is not None:
            return self.tps_bounds[count]
        assert self.tps is not None
        return (self.tps[count], self.tps[count])

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        rates = self.tps_intervals
        return {
            "setting": dict(self.setting),
            "score": self.score,
            "interval": None if self.interval is None else self.interval.to_json(),
            "tps": None if self.tps is None else dict(self.tps),
            "tps_bounds": _bounds_json(self.tps_bounds),
            "tps_intervals": None if rates is None else {name: i.to_json() for name, i in rates.items()},
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteCurve:
    """The points of one curve over one suite.

    Args:
        suite: Name of the suite.
        static: Whether the method unmasks a fixed number of positions per step.
        points: One for each setting of the curve.
        reason: Why there is no PBx, with the way out; None when there is one.
        draws: The whole points in every draw of the joint resample, or None.
        by_seed: The same curve of each seed alone, where there are several; empty where there is one.
    """

    suite: str
    static: bool
    points: tuple[SuitePoint, ...]
    reason: str | None = None
    draws: CurveDraws | None = field(default=None, compare=False, repr=False)
    by_seed: Mapping[int, SuiteCurve] = field(default_factory=dict, repr=False)

    def pbx(self, x: float, count: str = "canvas", rule: Rule = "published") -> PBx:
        """Return PBx over the settings that have a result for every task.

        Where forwards are known as bounds it may be settled by them nevertheless, or lie between two ends.

        Raises:
            ValueError: *count* is no token count, or *rule* is unknown.
        """
        if count not in COUNTS:
            raise ValueError(f"count must be one of {', '.join(COUNTS)}, got {count!r}; choose one")
        if self.reason is not None:
            return PBx(value=None, reason=self.reason)
        if self.is_bounded:
            boxes = [
                Box(point.ends(count), (point.score, point.score))
                for point in self.points
                if point.is_whole and point.score is not None
            ]
            return pbx_between(boxes, x, rule, self.static)
        points = [
            Point(point.tps[count], point.score)
            for point in self.points
            if point.tps is not None and point.score is not None
        ]
        return pbx(points, x, rule, self.static)

    @property
    def is_bounded(self) -> bool:
        """Whether the tokens per step of some point are known as bounds only."""
        return any(point.tps_bounds is not None for point in self.points)

    def pbx_draws(self, x: float, count: str = "canvas", rule: Rule = "published") -> PBxDraws | None:
        """Return PBx in every draw of the joint resample; None where there is none or nothing was drawn."""
        if self.draws is None or self.reason is not None:
            return None
        return self.draws.pbx(x, count, rule, self.static)

    def pbx_interval(self, x: float, count: str = "canvas", rule: Rule = "published") -> PBxInterval | None:
        """Return the 95 % interval of PBx; None where there is none or nothing was drawn."""
        draws = self.pbx_draws(x, count, rule)
        return None if draws is None else draws.interval()

    def _pbx_json(self, x: float, count: str, rule: Rule) -> dict[str, Any]:
        interval = self.pbx_interval(x, count, rule)
        found = self.pbx(x, count, rule).to_json()
        return found if interval is None else {**found, "interval": interval.to_json()}

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON; ``pbx`` is keyed by rule, token count and x."""
        return {
            "suite": self.suite,
            "reason": self.reason,
            "points": [point.to_json() for point in self.points],
            "pbx": {
                rule: {count: {str(x): self._pbx_json(x, count, rule) for x in XS} for count in COUNTS}
                for rule in RULES
            },
            **(
                {"by_seed": {str(seed): c.to_json() for seed, c in self.by_seed.items()}}
                if self.by_seed
                else {}
            ),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Everything measured of one (model, method): its cells and its suites by name."""

    identity: Identity
    family: str
    cells: tuple[CellSummary, ...] = field(repr=False)
    suites: Mapping[str, SuiteCurve]

    @property
    def nfe_kinds(self) -> tuple[str, ...]:
        """How the forwards of its cells are known, in the order of `NFE_KINDS`; none without samples."""
        return kinds_of(kind for cell in self.cells for kind in cell.nfe_kinds)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        suites = {name: suite.to_json() for name, suite in self.suites.items()}
        kinds = list(self.nfe_kinds)
        return {**self.identity.to_json(), "family": self.family, "nfe_kinds": kinds, "suites": suites}


def _bounds_json(bounds: Mapping[str, Ends] | None) -> dict[str, list[float]] | None:
    return None if bounds is None else {count: list(ends) for count, ends in bounds.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The aggregate of a run: every cell once, every curve."""

    cells: tuple[CellSummary, ...]
    curves: tuple[Curve, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON; equal records in any order give equal data."""
        return {
            "cells": [cell.to_json() for cell in self.cells],
            "curves": [curve.to_json() for curve in self.curves],
        }
