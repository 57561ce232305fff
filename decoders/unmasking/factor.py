"""Factor unmasking: the more positions are committed together, the surer each must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """Commit the longest prefix, best first, in which rank j (from 1) has confidence >= 1 - f / (j + 1).

    The best one is free. Source: Fast-dLLM (arXiv:2505.22618), factor rule; llada/generate.py,
    get_transfer_index_dynamic. Differs: the published code commits all m positions when only the last rank
    fails; here the failing rank is left out (`upstream_exact` gives the published behaviour).

    Args:
        f: Above 0; larger commits more.
        upstream_exact: Commit all when the first failing rank is the last one.
    """

    name: ClassVar[str] = "factor"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"f": f} for f in (0.7, 1.0, 1.3, 1.6, 1.9))
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    f: float
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.f < float("inf"):
            raise ValueError(f"f must be above 0 and finite, got {self.f!r}; 1.0 is the published default")

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit the ranks before the first that fails."""
        rank = view.by_confidence
        needed = 1.0 - self.f / (rank + 2).double()
        fails = view.eligible & (rank > 0) & ~reaches(view.log_odds, needed)
        n_positions = rank.shape[1]
        first_failure = rank.masked_fill(~fails, n_positions).amin(dim=1, keepdim=True)
        if self.upstream_exact:
            last = view.remaining.unsqueeze(1) - 1
            first_failure = first_failure.masked_fill(first_failure == last, n_positions)
        return StepUpdate(unmask=view.eligible & (rank < first_failure), tokens=view.proposals), None
