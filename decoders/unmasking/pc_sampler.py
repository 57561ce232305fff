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


@dataclass(frozen=True, kw_only=True)
class PCSampler:
    """Commit the quota's number of positions with the highest exp(-lambda o) min(-p ln(f + 1e-9), alpha).

    o is the offset from the start of the block, p the probability of the proposed token, f its frequency in a
    corpus; a token that is not in the table has the frequency of a single occurrence.

    Source: PC-Sampler (arXiv:2508.13021, as Uncode at ACL 2026); NEUIR/Uncode src/generate.py,
        generate_with_pc_sampler.
    Differs: the score is float64, ties go by position; o counts from the block as in the code (the paper
    counts from the prompt, the same for one block). The published README's formula lacks the minus sign.

    Defaults: lambda 0.25 (0 for Sudoku, 0.5 for Countdown), alpha 10, which hardly ever binds as
    -ln(f + 1e-9) < 21; one block, one token per step; here swept over k. Limits: the table belongs to a
    tokenizer, which cannot be seen from here. It is a method for quality, not for parallel decoding.

    Args:
        table: Path of a JSON file of token counts, see `decoders.text.frequencies`.
        decay: lambda, 0 or more; 0 ignores where a position is.
        alpha: Upper bound of what a sure and rare token is worth, above 0.

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
    table_checksum: str = field(init=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.decay < float("inf"):
            raise ValueError(f"decay must be 0 or more and finite, got {self.decay!r}; 0.25 is published")
        if not 0.0 < self.alpha < float("inf"):
            raise ValueError(f"alpha must be above 0 and finite, got {self.alpha!r}; 10.0 is published")
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

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit the ``view.quota`` best."""
        rarity = self._rarity.to(view.confidence.device)
        worth = view.confidence.double() * rarity[view.proposals.clamp(max=len(rarity) - 1)]
        offset = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1 - view.block_start.unsqueeze(1)
        score = (-self.decay * offset.double()).exp() * worth.clamp(max=self.alpha)
        return StepUpdate(unmask=view.rank(score) < view.quota.unsqueeze(1), tokens=view.proposals), None
