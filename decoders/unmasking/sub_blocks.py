"""Sub-blocks: threshold unmasking that fills a block in short stretches, from left to right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class SubBlocks:
    """Commit by threshold within the first stretch of *size* positions of the block that holds masks.

    All positions of the stretch that reach *gamma* are committed, and at least the best of them. Stretches
    are counted from where the block begins, in the prompt too.

    Source: Fast-dLLM v2 (arXiv:2509.26328), modeling.py of Efficient-Large-Model/Fast_dLLM_v2_7B, generate.
    Differs: equality passes; end of text does not stop the row. The published code also stores a finished
    block in a forward of its own and takes the first token of the next block from it, however unsure;
    `upstream_exact` spends the first forward of a block that begins with a mask on that position alone.

    Defaults: gamma 0.9, size 8, the published ones, swept over gamma. Limits: a size of the block is
    ``threshold``, and a size of 1 is ``left_to_right`` one by one.

    Args:
        gamma: Threshold, in (0, 1].
        size: Positions of a stretch, at least 1.
        upstream_exact: Take the first token of a block first.
    """

    name: ClassVar[str] = "sub_blocks"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"gamma": g} for g in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    )
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    gamma: float = 0.9
    size: int = 8
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be in (0, 1], got {self.gamma!r}; 0.9 is the published default")
        if type(self.size) is not int or self.size < 1:
            raise ValueError(
                f"size must be a whole number of at least 1, got {self.size!r}; 8 is the published default"
            )

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit what is sure in the first stretch with masks."""
        position = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1
        offset = position - view.block_begin.unsqueeze(1)
        stretch = offset // self.size
        last = stretch.amax(dim=1, keepdim=True)
        first = stretch.where(view.eligible, last).amin(dim=1, keepdim=True)
        scope = view.eligible & (stretch == first)
        if self.upstream_exact:
            lead = view.eligible & (offset == 0) & (view.step == 0).unsqueeze(1)
            scope = lead.where(lead.any(dim=1, keepdim=True), scope)
        best = replace(view, eligible=scope).rank(view.log_odds) == 0
        return StepUpdate(
            unmask=best | scope & reaches(view.log_odds, self.gamma), tokens=view.proposals
        ), None
