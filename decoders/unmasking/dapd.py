"""DAPD unmasking: positions that barely attend to each other are committed together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.independent import independent
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

SURE = {"staged": 0.9, "direct": 1.0 - 2.0**-9}
"""Confidence at which a position needs no graph; 1 in the bfloat16 of the published code is 1 - 2^-9."""

STAGE = 0.5
"""Share of the generated region from which on ``staged`` commits sure positions as well."""

EDGE_TOLERANCE = 1e-6
"""An edge that exceeds its bound by less is rounding."""

LEAST_WEIGHT = 1e-30
"""Keeps quotients of nothing at 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DAPD:
    """Commit a set of positions no two of which depend on each other, by attention between masked positions.

    The weight of a pair is the mean of the attention in both directions, and the edge from i to j is that
    weight over the largest weight of i. Candidates are scanned by degree times confidence, each over its
    maximum; one is accepted if its edges to all accepted before are at most tau. With the share rho of the
    generated region that is filled, tau goes from *tau_min* to *tau_max* in proportion to rho. ``staged``
    also commits every position with confidence 0.9 once rho is 0.5; ``direct`` commits every position of
    confidence 1 first, and scans the others.

    Source: DAPD (Kim et al., ICML 2026, arXiv:2603.12996) and its published code. Differs: rho is that of the
    row, not of the batch; confidence 1 means 1 - 2^-9, what it means in the bfloat16 of the published code;
    ties go by position.

    Defaults: tau from 0.01 to 0.15, staged; published with tau_max 0.05 and 0.15. Limits: tau_min of 1
    commits everything, because no edge is larger; tau_max of 0 commits one by one where all positions attend
    to each other.

    Args:
        variant: ``staged`` or ``direct``.
        tau_min: Largest edge when nothing is filled, in [0, 1].
        tau_max: Largest edge when all is filled, from *tau_min* to 1.
    """

    name: ClassVar[str] = "dapd"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({"tau_max": 0.05}, {"tau_max": 0.15})
    needs: ClassVar[frozenset[str]] = frozenset({"attention"})
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    variant: str = "staged"
    tau_min: float = 0.01
    tau_max: float = 0.15

    def __post_init__(self) -> None:
        if self.variant not in SURE:
            raise ValueError(f"variant must be one of {', '.join(SURE)}, got {self.variant!r}; pick one")
        if not 0.0 <= self.tau_min <= 1.0:
            raise ValueError(
                f"tau_min must be in [0, 1], got {self.tau_min!r}; 0.01 is the published default"
            )
        if not self.tau_min <= self.tau_max <= 1.0:
            raise ValueError(
                f"tau_max must be in [tau_min, 1], got {self.tau_max!r}; 0.15 is the published default"
            )

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit an independent set, and what is sure."""
        filled = 1.0 - view.masked.sum(dim=1, keepdim=True).double() / view.masked.shape[1]
        tau = self.tau_min + (self.tau_max - self.tau_min) * filled
        sure = view.eligible & reaches(view.log_odds, SURE[self.variant])
        if self.variant == "staged":
            sure = sure & (filled >= STAGE)
            candidates = view.eligible
        else:
            candidates = view.eligible & ~sure
        return StepUpdate(unmask=sure | _independent(view, candidates, tau), tokens=view.proposals), None


def _independent(view: StepView, candidates: Tensor, tau: Tensor) -> Tensor:
    """Return the *candidates* [R, G] that a scan by priority accepts under *tau* [R, 1]."""
    pairs = candidates.unsqueeze(2) & candidates.unsqueeze(1)
    weight = (view.attention + view.attention.transpose(1, 2)) / 2.0
    weight = weight.masked_fill(~pairs, 0.0)
    weight.diagonal(dim1=1, dim2=2).fill_(0.0)
    edge = weight / weight.amax(dim=2, keepdim=True).clamp(min=LEAST_WEIGHT)
    degree = weight.sum(dim=2)
    confidence = view.confidence.masked_fill(~candidates, 0.0)
    largest = degree.amax(dim=1, keepdim=True), confidence.amax(dim=1, keepdim=True)
    priority = degree / largest[0].clamp(min=LEAST_WEIGHT) * confidence / largest[1].clamp(min=LEAST_WEIGHT)
    rank = replace(view, eligible=candidates).rank(priority)
    return independent(rank, candidates, edge > (tau + EDGE_TOLERANCE).unsqueeze(2))
