"""AdaBlock unmasking: threshold in blocks that end where a line, or another unit of the text, ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

WINDOW = 0.25
"""Share of the generated region in which the end of a block is looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaBlock:
    """Commit by threshold in blocks whose end is set by the first forward of each.

    Among the next quarter of the generated region, the position with the most confident delimiter as its
    proposal ends the block, if its confidence reaches *delimiter_gamma*; otherwise the block has *length*
    positions, or what is left. In the block all that reach *gamma* are committed, and at least the best.

    Source: AdaBlock-dLLM (arXiv:2509.26432); lgxi24/AdaBlock-dLLM llada/generate_adablock.py.
    Differs: equality passes; delimiters are named by their text, because ids belong to a tokenizer
    (published: id 198 of LLaDA, the newline).

    Defaults: length 32, delimiter_gamma 0.3 and gamma 0.9, the published ones, swept over gamma. Limits:
    delimiter_gamma above every confidence is ``threshold`` in blocks of *length*.

    Args:
        gamma: Threshold, in (0, 1].
        length: Positions of a block without a delimiter, at least 1.
        delimiter_gamma: Confidence that a delimiter needs, in [0, 1].
        delimiters: A text whose tokens are the delimiters.
    """

    name: ClassVar[str] = "adablock"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"gamma": g} for g in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    )
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False
    moves_block_end: ClassVar[bool] = True

    gamma: float = 0.9
    length: int = 32
    delimiter_gamma: float = 0.3
    delimiters: str = "\n"

    def __post_init__(self) -> None:
        if not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be in (0, 1], got {self.gamma!r}; 0.9 is the published default")
        if type(self.length) is not int or self.length < 1:
            raise ValueError(
                f"length must be a whole number of at least 1, got {self.length!r}; "
                "32 is the published default"
            )
        if not 0.0 <= self.delimiter_gamma <= 1.0:
            raise ValueError(
                f"delimiter_gamma must be in [0, 1], got {self.delimiter_gamma!r}; "
                "0.3 is the published default"
            )
        if not self.delimiters:
            raise ValueError("delimiters must be a text, got none; a newline is the published default")

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Set the end of a block that is entered, and commit what is sure in it."""
        position = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1
        end = self._end(view, position).where(view.step == 0, view.block_end)
        in_block = view.eligible & (position < end.unsqueeze(1))
        best = replace(view, eligible=in_block).rank(view.log_odds) == 0
        unmask = best | in_block & reaches(view.log_odds, self.gamma)
        return StepUpdate(unmask=unmask, tokens=view.proposals, block_end=end), None

    def _end(self, view: StepView, position: Tensor) -> Tensor:
        """Return where a block that begins now ends, [R]."""
        within = int(WINDOW * view.tokens.shape[1])
        is_delimiter = (
            view.proposals.unsqueeze(2) == view.tokens.new_tensor(view.token_ids(self.delimiters))
        ).any(2)
        ahead = position < (view.block_start + within).unsqueeze(1)
        among = replace(view, eligible=view.eligible & ahead & is_delimiter)
        surest = among.rank(view.log_odds) == 0
        ends_here = surest & reaches(view.log_odds, self.delimiter_gamma)
        without = (view.block_start + self.length).minimum(view.block_end)
        at = (position + 1).masked_fill(~ends_here, 0).amax(dim=1)
        return at.where(ends_here.any(dim=1), without)
