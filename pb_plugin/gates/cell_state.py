"""What one cell can still become while some of its samples are missing: bounds of its scores and rates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pb_plugin.records.record import Record
from pb_plugin.results.cell_numbers import NFE_UNKNOWN, rates_of
from pb_plugin.results.cell_result import PlannedCell

Ends = tuple[float, float]
"""The lowest and the highest value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellState:
    """The samples of a cell that are known; a missing one may have any score from 0 to 1.

    All means are rounded as the summary rounds them, so that a bound of a complete cell is its number.

    Args:
        planned: The cell.
        known: Samples decoded without an error.
        scores: By name the scores of the known samples; a name that one of them lacks is left out.
        unscored: By name why there is no such score.
        rates: Tokens per step of the known samples by token count; the least possible where forwards are
            known as bounds, None where an nfe is unknown.
        most_rates: The largest possible; the same where all forwards were counted or commanded.
        expected: The canvas tokens per step that every sample of the cell will take, None where it decides.
        problem: Why the cell will not be complete, or None.
    """

    planned: PlannedCell
    known: int
    scores: Mapping[str, tuple[float, ...]]
    unscored: Mapping[str, str]
    rates: Mapping[str, tuple[float, ...]] | None
    most_rates: Mapping[str, tuple[float, ...]] | None
    expected: float | None
    problem: str | None

    @property
    def n_missing(self) -> int:
        """Samples that are not known."""
        return self.planned.n_planned - self.known

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing that could still come."""
        return self.n_missing == 0 or self.problem is not None

    def trouble(self, score: str, *, needs_rates: bool) -> str | None:
        """Return why a gate on *score* (and the tokens per step) cannot be judged; None: it can."""
        if self.problem is not None:
            return f"{self.planned.asked.task} {self.problem}"
        if score in self.unscored:
            return f"{self.planned.asked.task} is unscored: {self.unscored[score]}"
        if self.known and score not in self.scores:
            return f"{self.planned.asked.task} has no {score}; its scores are {', '.join(self.scores)}"
        if needs_rates and self.rates is None:
            return f"{self.planned.asked.task}: {NFE_UNKNOWN}"
        return None

    def sums(self, score: str) -> Ends:
        """Return the least and the largest sum of the *score* over all planned samples."""
        known = self.scores.get(score, ())
        return math.fsum(known), math.fsum([*known, *[1.0] * self.n_missing])

    def percent(self, score: str) -> Ends:
        """Return the bounds of the mean *score* in percent."""
        n, ends = self.planned.n_planned, self.sums(score)
        if score == self.planned.score:
            return 100 * ends[0] / n, 100 * ends[1] / n
        return 100 * (ends[0] / n), 100 * (ends[1] / n)

    def tps(self, count: str) -> Ends:
        """Return the bounds of the tokens per step; a forward commits at most a canvas."""
        n, known = self.planned.n_planned, self._known_rates(count)
        most = float(self.planned.asked.canvas) if self.expected is None else self.expected
        least = self.expected if self.expected is not None and count == "canvas" else 0.0
        low, high = (
            math.fsum([*rates, *[rate] * self.n_missing]) / n
            for rates, rate in zip(known, (least, most), strict=True)
        )
        return low, high

    def _known_rates(self, count: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.rates is None or self.most_rates is None:
            return (), ()
        return self.rates[count], self.most_rates[count]

    def seen(self, count: str) -> float | None:
        """Return the mean tokens per step of the known samples, or what is expected; None without either."""
        if self.expected is not None and count == "canvas":
            return self.expected
        least, most = self._known_rates(count)
        return math.fsum((*least, *most)) / (2 * len(least)) if least else None


def state_of(
    planned: PlannedCell,
    records: Sequence[Record],
    *,
    expected: float | None = None,
    blocked: str | None = None,
) -> CellState:
    """Return the state of a cell.

    Args:
        planned: The cell.
        records: What is known of it.
        expected: Its canvas tokens per step, where they follow from what is asked.
        blocked: Why the rest cannot be decoded, or None.
    """
    decoded = [record for record in records if not record.failed]
    errors = Counter(record.error["class"] for record in records if record.error is not None)
    problem = planned.unavailable or blocked
    if errors:
        failures = ", ".join(f"{number} {name}" for name, number in sorted(errors.items()))
        problem = f"has {errors.total()} failed samples: {failures}"
    names = {planned.score, *(name for record in decoded for name in record.scores)}
    scores, unscored = {}, {}
    for name in sorted(names):
        values = [record.scores.get(name) for record in decoded]
        if None in values:
            reasons = decoded[values.index(None)].score_reasons
            unscored[name] = reasons.get(name, f"score {name!r} is not stored")
        else:
            scores[name] = tuple(value for value in values if value is not None)
    if planned.unscored is not None and not records:
        unscored[planned.score] = planned.unscored
    is_known = all(record.nfe_kind != "unknown" for record in decoded)
    return CellState(
        planned=planned,
        known=len(decoded),
        scores=scores,
        unscored=unscored,
        rates=rates_of(decoded) if is_known else None,
        most_rates=rates_of(decoded, 1) if is_known else None,
        expected=expected,
        problem=problem,
    )


def mean_percent(cells: Sequence[CellState]) -> Ends:
    """Return the bounds of the mean over *cells* of the score that PBx uses, as the summary computes it."""
    sums = [(cell.sums(cell.planned.score), cell.planned.n_planned) for cell in cells]
    low, high = (float(100 * sum(Fraction(ends[at]) / n for ends, n in sums) / len(cells)) for at in (0, 1))
    return low, high


def mean_tps(cells: Sequence[CellState], count: str) -> Ends:
    """Return the bounds of the mean over *cells* of their tokens per step."""
    ends = [cell.tps(count) for cell in cells]
    low, high = (math.fsum(end[at] for end in ends) / len(cells) for at in (0, 1))
    return low, high
