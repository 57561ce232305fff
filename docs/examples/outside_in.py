"""An unmasking method of one's own: the k positions nearest to either end of the block, from both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from decoders.state import StepUpdate

if TYPE_CHECKING:
    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True)
class OutsideIn:
    """Commit the k eligible positions that are nearest to an end of their block."""

    name: ClassVar = "outside_in"
    family: ClassVar = "static"
    takes_k: ClassVar = True
    sweep: ClassVar = ({},)
    needs: ClassVar = frozenset()
    may_remask: ClassVar = False
    may_idle: ClassVar = False

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Rank by the distance to the nearer end; ``view.quota`` is how many the schedule asks for."""
        position = torch.arange(view.tokens.shape[1], device=view.tokens.device)
        from_left = position - view.block_start.unsqueeze(1)
        from_right = view.block_end.unsqueeze(1) - 1 - position
        nearest = view.rank(-torch.minimum(from_left, from_right).double())
        return StepUpdate(unmask=nearest < view.quota.unsqueeze(1), tokens=view.proposals), None
