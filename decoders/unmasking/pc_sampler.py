"""PC-Sampler unmasking: top-k by a score that prefers sure, rare and early tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.text.frequencies import TokenCounts, read_counts

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

FREQUENCY_FLOOR = 1e-9
"""Added to a frequency inside the logarithm."""

LEAST_SPREAD = 1e-9
"""Worths that differ by less are not stretched to [0, 1]."""

POSITIONS = ("exponential", "linear")


@dataclass(frozen=True, kw_only=True)
class PCSampler:
    """Commit the quota's number of positions with the highest exp(-lambda o) min(-p ln(f + 1e-9), alpha).

    With ``position=linear`` the second factor w is scaled to [0, 1] over the block, and the score is
    (1 - lambda) w + lambda (B - o) / B in a block of B. o is the offset from the start of the block, p the
    probability of the proposed token, f its frequency in a corpus; a token that is not in the table has the
    frequency of a single occurrence.

    Source: PC-Sampler (arXiv:2508.13021, as Uncode at ACL 2026); NEUIR/Uncode src/generate.py,
        generate_with_pc_sampler, generate_with_linear_position.
    Differs: the score is float64, ties go by position; o counts from the block as in the code (the paper
    counts from the prompt, the same for one block). The published README's formula lacks the minus sign.
    The published linear score is scaled over the committed positions as well (`upstream_exact`), here over
    the masks.

    Defaults: lambda 0.25 (0 for Sudoku, 0.5 for Countdown), alpha 10, which hardly ever binds as
    -ln(f + 1e-9) < 21; one block, one token per step; here swept over k. Limits: the table belongs to a
    tokenizer, which cannot be seen from here. It is a method for quality, not for parallel decoding.

    Args:
        table: Path of a JSON file of token counts, see `decoders.text.frequencies`.
        decay: lambda, 0 or more; 0 ignores where a position is.
        alpha: Upper bound of what a sure and rare token is worth, above 0.
        position: ``exponential`` or ``linear``; decay is at most 1 for the latter.
        upstream_exact: Scale the linear score over the whole block, as published.

    Attributes:
        table_checksum: Hash of the table's numbers, so that another table is another method.
    """

    name: ClassVar[str] = "pc_sampler"
    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    table: str
    decay: float = 0.25
    alpha: float = 10.0
    position: str = "exponential"
    upstream_exact: bool = False
    table_checksum: str = field(init=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.decay < float("inf"):
            raise ValueError(f"decay must be 0 or more and finite, got {self.decay!r}; 0.25 is published")
        if not 0.0 < self.alpha < float("inf"):
            raise ValueError(f"alpha must be above 0 and finite, got {self.alpha!r}; 10.0 is published")
        if self.position not in POSITIONS:
            raise ValueError(
                f"position must be one of {', '.join(POSITIONS)}, got {self.position!r}; choose one"
            )
        if self.position == "linear" and self.decay > 1.0:
            raise ValueError(
                f"decay must be at most 1 for position=linear, got {self.decay!r}; it is a share of the score"
            )
        object.__setattr__(self, "table_checksum", self._counts.checksum)

    @cached_property
    def _counts(self) -> TokenCounts:
        return read_counts(self.table)

    @cached_property
    def _rarity(self) -> Tensor:
        """-ln(f + 1e-9) of every id up to one past the table's largest, which stands for all beyond it."""
        import torch

        count = torch.ones(max(self._counts.counts) + 2, dtype=torch.float64)
        listed = torch.tensor(sorted(self._counts.counts.items()))
        count[listed[:, 0]] = listed[:, 1].double()
        return -(count / self._counts.total + FREQUENCY_FLOOR).log()

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    @property
    def scope(self) -> str:
        """What is committed counts for the published linear score only."""
        return "whole_block" if self.position == "linear" and self.upstream_exact else "block"

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit the ``view.quota`` best."""
        rarity = self._rarity.to(view.confidence.device)
        tokens = view.proposals.where(view.eligible, view.tokens)
        worth = view.confidence.double() * rarity[tokens.clamp(max=len(rarity) - 1)]
        worth = worth.clamp(max=self.alpha)
        position = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1
        offset = (position - view.block_start.unsqueeze(1)).double()
        if self.position == "linear":
            length = (view.block_end - view.block_start).unsqueeze(1)
            score = (1.0 - self.decay) * _scaled(worth, view.evaluated)
            score = score + self.decay * (length - offset) / length
        else:
            score = (-self.decay * offset).exp() * worth
        return StepUpdate(unmask=view.rank(score) < view.quota.unsqueeze(1), tokens=view.proposals), None


def _scaled(worth: Tensor, among: Tensor) -> Tensor:
    """Return *worth* [R, G] in [0, 1], by the least and the largest of the positions *among*."""
    largest = worth.masked_fill(~among, float("-inf")).amax(dim=1, keepdim=True)
    least = worth.masked_fill(~among, float("inf")).amin(dim=1, keepdim=True)
    return (worth - least) / (largest - least).clamp(min=LEAST_SPREAD)
