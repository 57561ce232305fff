"""DUS unmasking: positions in a fixed coarse-to-fine order, one level of the block per step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

ORDERS = ("dilated", "binary")


@dataclass(frozen=True, kw_only=True, slots=True)
class DUSMemory:
    """``level`` [R, G] of every position in its block; ``done`` [R], the last level revealed, -1 for none."""

    level: Tensor
    done: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class DUS:
    """Reveal one level of the block per step; a revealed position that is not sure enough is deferred.

    Levels of ``dilated``: the multiples of block // base, then of block // base^2 ... that are not yet
    listed, then what is left; a last level smaller than the one before it is merged into that. 32 positions
    make 2, 2, 4, 8, 16. A block costs as many steps as it has levels, whatever the model says.

    Source: Dilated Unmasking Scheduler (arXiv:2506.19037); omerlux/DUS generate.py, generate_scheduled.
    Differs: in the published code a deferred position is in no later level and stays MASK to the end of the
    generation. Here, as the paper words it, it is delayed to the next round: it joins the next level, and the
    last level reveals all that is left. A level of which nothing is sure enough commits its best position,
    because a step must commit; a level without masks (a template filled it) costs no forward.
    `upstream_exact` leaves deferred positions masked for good.

    Defaults: base 2, tau 0.3, published with blocks of 8, 16, 32, 64; swept over the block length
    1, 2, 4, 8, 16, 32, which is this method's knob. Limits: a block of 1, 2 or 3 is one step.

    Args:
        tau: Confidence below which a revealed position is deferred, except in the last level; in [0, 1].
            0 never defers.
        base: By what the stride shrinks from level to level, at least 2; for ``dilated``.
        order: ``dilated``, or ``binary`` (the midpoint of the block, the midpoints of both halves ...).
        upstream_exact: Never come back to a deferred position.
    """

    name: ClassVar[str] = "dus"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False
    blocks: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32)

    tau: float = 0.3
    base: int = 2
    order: str = "dilated"
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.tau <= 1.0:
            raise ValueError(f"tau must be in [0, 1], got {self.tau!r}; 0 defers nothing")
        if self.base < 2:
            raise ValueError(f"base must be at least 2, got {self.base!r}; 2 is the published default")
        if self.order not in ORDERS:
            raise ValueError(
                f"order must be one of {', '.join(ORDERS)}, got {self.order!r}; choose one of these"
            )

    @property
    def may_leave_masks(self) -> bool:
        """Only the published code leaves deferred positions masked."""
        return self.upstream_exact

    def init(self, view: StepView) -> DUSMemory:
        """Lay out the levels of the first block."""
        return DUSMemory(level=self._levels(view), done=view.step - 1)

    def step(self, view: StepView, memory: DUSMemory) -> tuple[StepUpdate, DUSMemory]:
        """Reveal the next level that has masks, and what was deferred before."""
        done = memory.done.masked_fill(view.step == 0, -1).unsqueeze(1)
        level = self._levels(view).where((view.step == 0).unsqueeze(1), memory.level)
        ahead = view.eligible & (level > done)
        nowhere = level.shape[1]
        current = level.masked_fill(~ahead, nowhere).amin(dim=1, keepdim=True)
        is_last = ~(ahead & (level > current)).any(dim=1, keepdim=True)
        revealed = view.eligible & (level <= current)
        sure = is_last | reaches(view.log_odds, self.tau)
        after = DUSMemory(level=level, done=current.squeeze(1))
        if self.upstream_exact:
            return StepUpdate(unmask=revealed, tokens=view.proposals.where(sure, view.tokens)), after
        best = replace(view, eligible=revealed).rank(view.log_odds) == 0
        kept = revealed & sure
        none_kept = ~kept.any(dim=1, keepdim=True)
        return StepUpdate(unmask=kept | (best & none_kept), tokens=view.proposals), after

    def _levels(self, view: StepView) -> Tensor:
        """Return the level [R, G] of every position in the current block, repeated over the row."""
        length = (view.block_end - view.block_start).unsqueeze(1)
        position = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1
        offset = (position - view.block_start.unsqueeze(1)) % length
        level = _dilated(offset, length, self.base) if self.order == "dilated" else _binary(offset, length)
        return _merge_small_last(level, length)


def _dilated(offset: Tensor, length: Tensor, base: int) -> Tensor:
    """Return the level of every *offset* [R, G] in a block of *length* [R, 1], before the merge."""
    n_positions = offset.shape[1]
    level = offset.new_full(offset.shape, -1)
    last = offset.new_full(length.shape, -1)
    stride = length // base
    for number in range(n_positions.bit_length()):
        listed = (level < 0) & (stride > 0) & (offset % stride.clamp(min=1) == 0)
        level = level.masked_fill(listed, number)
        last = last + (stride > 0).long()
        stride = stride // base
    return level.where(level >= 0, last + 1)


def _binary(offset: Tensor, length: Tensor) -> Tensor:
    """Return the depth of every *offset* [R, G] in the binary search tree over a block of *length* [R, 1]."""
    low, high = offset.new_zeros(offset.shape), (length - 1).expand(offset.shape)
    level = offset.new_zeros(offset.shape)
    for _ in range(offset.shape[1].bit_length()):
        middle = (low + high) // 2
        level = level + (offset != middle).long()
        low, high = low.where(offset <= middle, middle + 1), high.where(offset >= middle, middle - 1)
    return level


def _merge_small_last(level: Tensor, length: Tensor) -> Tensor:
    """Merge the last level into the one before where it is smaller; sizes are those of the first block."""
    first_block = level.new_ones(level.shape).cumsum(dim=1) <= length
    last = level.amax(dim=1, keepdim=True)
    size = (first_block & (level == last)).sum(dim=1, keepdim=True)
    size_before = (first_block & (level == last - 1)).sum(dim=1, keepdim=True)
    return level.where((level < last) | (size >= size_before), last - 1)
