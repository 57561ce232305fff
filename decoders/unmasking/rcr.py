"""RCR unmasking: fill everything at every step, and keep only the positions that were filled surest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class RCRMemory:
    """``log_odds`` [R, G] when last filled, ``filled`` [R, G] so far, ``masks`` [R] when the block began.

    ``before`` [R] counts what was filled in earlier blocks and competes with this one.
    """

    log_odds: Tensor
    filled: Tensor
    masks: Tensor
    before: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class RCR:
    """Fill all masks, then mask again all but the scheduled number with the highest confidence.

    Of m masks at block entry and S steps, ``m - floor(m * (S - t) / S)`` positions are visible after step t
    (from 1). A position that was kept competes on with the confidence of when it was filled, so it can be
    masked again for one that is surer now.

    Source: Running Confidence Remasking, MDPO (arXiv:2508.13148); ParallelBench
        model/remasking/llada/mdpo_rcr.py, generate_dlm, linear schedule.
    Differs: positions compete within their block; a stored confidence of exactly 0 is one, where the
    published code takes it for "never filled"; the schedule is in whole numbers, where the published ratios
    are float64 and slip by one here and there (24 masks in 12 steps: 2, 2, 2, 2, 3, 1 ...); a budget above
    the masks is not spent. Under `upstream_exact` positions of earlier blocks compete on, so that one can be
    masked again and is filled with the current block; the schedule slips and the budget is spent. The
    published forward counter stays 0; ours counts. The paper's text speaks of a running maximum, the code
    stores the latest confidence, and so does this.

    Defaults: linear schedule, swept over k. Limits: greedy decoding only is published; the other schedules
    (cosine, powers, log, exp) are left out.

    Args:
        upstream_exact: Compare the whole row and round the schedule, as the published code does.
    """

    name: ClassVar[str] = "rcr"
    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = True

    upstream_exact: bool = False

    @property
    def scope(self) -> str:
        """Masks of earlier blocks are filled by the published code."""
        return "generated" if self.upstream_exact else "block"

    @property
    def writes_evaluated(self) -> bool:
        """As `scope`."""
        return self.upstream_exact

    @property
    def may_idle(self) -> bool:
        """Only a slip of the published schedule can keep nothing new."""
        return self.upstream_exact

    def init(self, view: StepView) -> RCRMemory:
        """Nothing is filled yet."""
        return RCRMemory(
            log_odds=view.log_odds.new_zeros(view.log_odds.shape),
            filled=view.eligible.new_zeros(view.eligible.shape),
            masks=view.remaining,
            before=view.remaining * 0,
        )

    def step(self, view: StepView, memory: RCRMemory) -> tuple[StepUpdate, RCRMemory]:
        """Fill all, keep the scheduled number."""
        entered = view.step == 0
        filled, before = memory.filled, memory.before
        if self.upstream_exact:
            position = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1
            open_ = view.masked & (position < view.block_end.unsqueeze(1))
            before = filled.sum(dim=1).where(entered, before)
        else:
            open_, filled = view.eligible, filled & ~entered.unsqueeze(1)
        masks = view.remaining.where(entered, memory.masks)
        log_odds = view.log_odds.where(open_, memory.log_odds)
        filled = open_ | filled
        visible = before + self._visible(masks, view.planned_steps, view.step + 1)
        kept = replace(view, eligible=filled).rank(log_odds) < visible.unsqueeze(1)
        update = StepUpdate(
            unmask=open_ & kept,
            tokens=view.proposals,
            remask=filled & ~open_ & ~kept,
            stay=view.step + 1 < view.planned_steps if self.upstream_exact else None,
        )
        return update, RCRMemory(log_odds=log_odds, filled=filled, masks=masks, before=before)

    def _visible(self, masks: Tensor, steps: Tensor, turn: Tensor) -> Tensor:
        """Return how many of *masks* [R] are visible after step *turn* (from 1) of *steps*."""
        if self.upstream_exact:
            still_masked = (masks * (1.0 - turn.double() / steps)).clamp(min=0.0).floor().long()
        else:
            steps = steps.minimum(masks)
            still_masked = masks * (steps - turn) // steps
        return masks - still_masked
