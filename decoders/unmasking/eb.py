"""EB unmasking: as many positions per step as an entropy budget allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import ODDS_TOLERANCE, StepUpdate
from decoders.unmasking.scores import SCORES
from decoders.unmasking.spacing import check_start_gap, keep_apart

if TYPE_CHECKING:
    from decoders.state import StepView

NATS_PER_UNIT = {"nats": 1.0, "bits": math.log(2.0)}
ORDERS = ("entropy", "confidence", "margin")


@dataclass(frozen=True, kw_only=True, slots=True)
class EB:
    """Commit the longest prefix, best first, whose entropies sum to at most gamma, the largest not counted.

    The sum without its largest term bounds what is lost by committing the prefix at once. A single position
    has sum 0, so the best one always passes, and the sum never falls along the prefix.

    Source: EB-Sampler (arXiv:2505.24857); NEUIR/Uncode generate_with_eb_sampler (nats, one block);
    omerlux/DUS generate_eb_sampler (bits, blocks) and its spaced variant.
    Differs: entropies carry no 1e-10 inside the logarithm; the budget has a slack of 1e-5 of itself;
    ties go by position.

    Defaults: Uncode's function has 0.1 nats (its runs 0.01), DUS 1.0 bits with a range of 0.01 to 4. Sweep:
    0.001, 0.01, 0.1 (the paper's) and 1.0 nats. Limits: gamma 0 is one by one, save positions without any
    entropy.

    Args:
        gamma: The budget per step, 0 or more, in *unit*.
        unit: ``nats`` or ``bits`` (1 bit = 0.693 nats).
        order: What the prefix is ordered by: entropy, confidence or margin.
        start_gap: Above 0, the spacing filter of `decoders.unmasking.spacing`; 8 is published.
    """

    name: ClassVar[str] = "eb"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"gamma": g} for g in (0.001, 0.01, 0.1, 1.0))
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    gamma: float
    unit: str = "nats"
    order: str = "entropy"
    start_gap: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.gamma < float("inf"):
            raise ValueError(
                f"gamma must be 0 or more and finite, got {self.gamma!r}; it is an entropy in {self.unit}"
            )
        for name, allowed in (("unit", tuple(NATS_PER_UNIT)), ("order", ORDERS)):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, got {value!r}; choose one of these"
                )
        check_start_gap(self.start_gap)

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit the prefix that fits the budget."""
        rank = view.rank(SCORES[self.order](view))
        entropy = (-view.neg_entropy.double()).masked_fill(~view.eligible, 0.0)
        n_rows, n_positions = rank.shape
        ordered = entropy.new_zeros((n_rows, n_positions + 1)).scatter(1, rank, entropy)
        spent = ordered.cumsum(dim=1) - ordered.cummax(dim=1).values
        budget = self.gamma * NATS_PER_UNIT[self.unit]
        fits = spent.gather(1, rank) <= budget * (1.0 + ODDS_TOLERANCE)
        chosen = view.eligible & fits
        if self.start_gap:
            chosen = keep_apart(view, chosen, rank, self.start_gap)
        return StepUpdate(unmask=chosen, tokens=view.proposals), None
