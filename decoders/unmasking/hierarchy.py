"""Hierarchical unmasking: the best position of every stretch of masks, so that the stretches fall apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.runs import best_of_runs
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class Hierarchy:
    """Commit what reaches *gamma*, the best of every run if it reaches *low*, and the best of all.

    A run is a stretch of neighbouring masked positions of the block.

    Source: dInfer (arXiv:2510.08666), hierarchical decoding; inclusionAI/dInfer
        python/dinfer/decoding/parallel_strategy.py, HierarchyDecoder, and generate_hierarchy.py,
        hierarchy_fast_v2, which is the same rule while low <= gamma.
    Differs: equality passes; one position per run, where published code takes all whose rounded probabilities
    are equal; no forward is spent on a complete block, and end of text does not stop the row.

    Defaults: gamma 0.9, low 0.3, those of the published benchmark, which was run with low from 0.3 to 0.75.
    Limits: low = gamma is ``threshold``.

    Args:
        gamma: Confidence at which a position needs no run, in (0, 1].
        low: Confidence that the best of a run needs, in [0, gamma].
    """

    name: ClassVar[str] = "hierarchy"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"low": low} for low in (0.3, 0.4, 0.5, 0.6, 0.75))
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    gamma: float = 0.9
    low: float = 0.3

    def __post_init__(self) -> None:
        check_thresholds(self.gamma, self.low)

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit what is sure, and the best of every run."""
        of_run = best_of_runs(view, view.eligible) & reaches(view.log_odds, self.low)
        chosen = of_run | reaches(view.log_odds, self.gamma) | (view.by_confidence == 0)
        return StepUpdate(unmask=view.eligible & chosen, tokens=view.proposals), None


def check_thresholds(gamma: float, low: float) -> None:
    """Check that both are probabilities, in this order.

    Raises:
        ValueError: They are not.
    """
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"gamma must be in (0, 1], got {gamma!r}; 0.9 is the published default")
    if not 0.0 <= low <= gamma:
        raise ValueError(f"low must be in [0, gamma={gamma!r}], got {low!r}; 0.3 is a published value")
