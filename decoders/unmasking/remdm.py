"""ReMDM unmasking: top-k by confidence, with extra steps that mask the least sure positions again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class ReMDMMemory:
    """What a row knows of its block.

    ``log_odds`` [R, G] when committed, where ``committed`` [R, G]; ``masks`` [R] at block entry;
    ``reopened`` [R], how many positions were masked again for the coming forward.
    """

    log_odds: Tensor
    committed: Tensor
    masks: Tensor
    reopened: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class ReMDM:
    """Top-k by confidence, and *revisions* extra steps after the first ``7 * block // 8`` steps of a block.

    A revision masks the *kappa* committed positions of lowest confidence again, looks, and commits the kappa
    masked positions it is surest of, not necessarily the same. The place of the revisions counts steps, not
    tokens: with k of 2 or more they all come after the block is complete. Their place lies behind every quota
    that has a share of the remainder, so the other steps have the quota of their own number.

    Source: ReMDM (arXiv:2503.00307), its LLaDA version; ParallelBench model/remasking/llada/remdm.py,
        llada_remdm_sample.
    Differs: the published code plans with the steps of all blocks and ends with masks left for more than one
    block, here each block has its own plan; where fewer than kappa positions are committed, those alone are
    masked again (the published code would take positions of the prompt).

    Defaults: kappa 1 and 1 revision, as ParallelBench reports; swept over k. Official ReMDM-LLaDA: 32
    revisions in a block of 32, kappa 1 or 4, sampling at temperature 1, stops at EOS. Limits: steps and
    revisions of all blocks together must stay within two per position.

    Args:
        kappa: Positions masked again per revision, at least 1.
        revisions: Extra steps per block, 0 or more; 0 is top-k by confidence.
    """

    name: ClassVar[str] = "remdm"
    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = True
    may_idle: ClassVar[bool] = False

    kappa: int = 1
    revisions: int = 1

    def __post_init__(self) -> None:
        if self.kappa < 1:
            raise ValueError(f"kappa must be at least 1, got {self.kappa!r}; revisions=0 masks nothing again")
        if self.revisions < 0:
            raise ValueError(f"revisions must be 0 or more, got {self.revisions!r}; 0 masks nothing again")

    def init(self, view: StepView) -> ReMDMMemory:
        """Nothing is committed yet."""
        return ReMDMMemory(
            log_odds=view.log_odds.new_zeros(view.log_odds.shape),
            committed=view.eligible.new_zeros(view.eligible.shape),
            masks=view.remaining,
            reopened=view.remaining,
        )

    def step(self, view: StepView, memory: ReMDMMemory) -> tuple[StepUpdate, ReMDMMemory]:
        """Commit what the plan asks for, and mask again what the next step revises."""
        entered = view.step == 0
        masks = view.remaining.where(entered, memory.masks)
        steps = view.planned_steps.minimum(masks)
        first = ((view.block_end - view.block_start) * 7 // 8).clamp(min=1).minimum(steps)
        revises = (view.step >= first) & (view.step < first + self.revisions)
        unmask = view.by_confidence < memory.reopened.where(revises, view.quota).unsqueeze(1)
        log_odds = view.log_odds.where(unmask, memory.log_odds)
        committed = unmask | (memory.committed & ~entered.unsqueeze(1))
        n_committed = committed.sum(dim=1)
        revises_next = (view.step + 1 >= first) & (view.step + 1 < first + self.revisions)
        reopened = n_committed.clamp(max=self.kappa) * revises_next.long()
        kept = replace(view, eligible=committed).rank(log_odds) < (n_committed - reopened).unsqueeze(1)
        update = StepUpdate(unmask=unmask, tokens=view.proposals, remask=committed & ~kept)
        return update, ReMDMMemory(
            log_odds=log_odds, committed=committed & kept, masks=masks, reopened=reopened
        )
