"""A chain of thought beside the plain question: accuracy, tokens used, and accuracy per content token.

Source: ParallelBench (arXiv 2510.04767), appendix F.2, Figures 8 and 17.
Differs: its steps were written by a large model, ours by the generators of the tasks; the tokens of an answer
are those before its first end of text, as those of the plain one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pb_plugin.report.comparison.chosen import Chosen
from pb_plugin.results.summary import CellSummary, setting_label
from pb_plugin.statistics.intervals import Interval

SUFFIX = "_cot"
"""What the id of a chain of thought has behind that of its plain question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thought:
    """A task at a setting, asked plainly and with a chain of thought.

    Args:
        task: The plain task.
        label: The curve at its setting.
        plain: Score in percent without.
        aloud: The same with.
        gain: 95 % interval of the second minus the first, in points: both were asked the same questions; None
            where they were not.
        plain_tokens: Mean content tokens without.
        aloud_tokens: The same with.
    """

    task: str
    label: str
    plain: float
    aloud: float
    gain: Interval | None
    plain_tokens: float
    aloud_tokens: float

    @property
    def per_token(self) -> tuple[float | None, float | None]:
        """Points of the score per content token, without and with; None where nothing was written."""
        pairs = ((self.plain, self.plain_tokens), (self.aloud, self.aloud_tokens))
        plain, aloud = (score / tokens if tokens else None for score, tokens in pairs)
        return plain, aloud

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "task": self.task,
            "label": self.label,
            "plain": self.plain,
            "cot": self.aloud,
            "gain": self.aloud - self.plain,
            "gain_interval": None if self.gain is None else self.gain.to_json(),
            "plain_tokens": self.plain_tokens,
            "cot_tokens": self.aloud_tokens,
            "plain_per_token": self.per_token[0],
            "cot_per_token": self.per_token[1],
        }


def thoughts_of(chosen: Sequence[Chosen]) -> list[Thought]:
    """Return every complete pair of a plain task and its chain of thought, at all settings of the curves."""
    found = []
    for one in chosen:
        cells = {(cell.task, setting_label(cell.setting)): cell for cell in one.curve.cells}
        for (task, setting), aloud in cells.items():
            plain = cells.get((task.removesuffix(SUFFIX), setting))
            if task.endswith(SUFFIX) and plain is not None:
                label = f"{one.curve.identity.label}[{setting}]"
                found += [] if (pair := _pair(label, plain, aloud)) is None else [pair]
    return found


def _pair(label: str, plain: CellSummary, aloud: CellSummary) -> Thought | None:
    if plain.reason or aloud.reason or plain.percent is None or aloud.percent is None:
        return None
    if plain.content_tokens is None or aloud.content_tokens is None:
        return None
    return Thought(
        task=plain.task,
        label=label,
        plain=plain.percent,
        aloud=aloud.percent,
        gain=_gain(plain, aloud),
        plain_tokens=plain.content_tokens,
        aloud_tokens=aloud.content_tokens,
    )


def _gain(plain: CellSummary, aloud: CellSummary) -> Interval | None:
    """Return the interval of the gain; the samples of both have the same ids and questions, in one order."""
    import numpy as np

    from pb_plugin.statistics.resample import Resample, percentile_interval

    both = (plain.samples, aloud.samples)
    if both[0] is None or both[1] is None or len(both[0].scores) != len(both[1].scores):
        return None
    scores = np.array([both[0].scores, both[1].scores]).T
    drawn = 100.0 * Resample().mean_scores({plain.task: scores})
    low, high = percentile_interval(drawn[:, 1] - drawn[:, 0], 0.95)
    found = Interval(low=float(low), high=float(high), level=0.95)
    return found.holding((aloud.percent or 0.0) - (plain.percent or 0.0))
