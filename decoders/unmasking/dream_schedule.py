"""Dream's timestep schedule, as published: how many positions a step commits follows from two times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import SCORES

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class DreamSchedule:
    """Commit the int(masks * (1 - t[i + 1] / t[i])) best positions at step i; the last step takes the rest.

    The times run evenly from 1 to `eps` over the steps that k or max_steps gives a block, in float32.
    This exists to reproduce published numbers and is in no other curve: cutting to whole numbers loses a
    token at some step, so that one forward commits fewer than k, or nothing, and the last one more.
    `confidence`, `margin` and `entropy` are the same rules with even steps.

    Source: Dream (arXiv:2508.15487) generation_utils.py, alg maskgit_plus (confidence), topk_margin, entropy.
    ParallelBench uses eps 0 for Dream and DiffuCoder, Dream itself 0.001.
    Differs: the masks are those of the row, not the mean of the batch.

    Args:
        score: One of random, left_to_right, confidence, margin, entropy.
        eps: The last time, in [0, 1).
    """

    name: ClassVar[str] = "dream_schedule"
    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = True
    upstream_exact: ClassVar[bool] = True

    score: str = "confidence"
    eps: float = 0.0

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise ValueError(
                f"score must be one of {', '.join(SCORES)}, got {self.score!r}; choose one of these"
            )
        if not 0.0 <= self.eps < 1.0:
            raise ValueError(f"eps must be in [0, 1), got {self.eps!r}; published are 0 and 0.001")

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit what the times ask for."""
        quota = (view.remaining.float() * self._share(view)).long()
        rank = view.rank(SCORES[self.score](view))
        return StepUpdate(unmask=rank < quota.unsqueeze(1), tokens=view.proposals), None

    def _share(self, view: StepView) -> Tensor:
        """Return the share [R] of the masks that each row commits now."""
        import torch

        share = view.remaining.float()
        for steps in set(view.planned_steps.tolist()):
            times = torch.linspace(1.0, self.eps, steps + 1)
            of_steps = torch.cat([1.0 - times[1:-1] / times[:-2], times.new_ones(1)]).to(share.device)
            now = of_steps[view.step.clamp(max=steps - 1)]
            share = torch.where(view.planned_steps == steps, now, share)
        return share
