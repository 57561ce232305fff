"""LoPA unmasking: of the row and copies with one token more, the surest goes on; several blocks are open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import SCORES, reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

MEASURES = ("confidence", "margin", "entropy")
EQUAL = 1e-9
"""How far the scores of two copies may be apart and count as equal: beyond what sums are rounded by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """What the forward before says of the masks it left.

    ``tokens`` [R, G], their ``rank`` [R, G] (G where nothing is to be tried) and measure, ``worth`` [R, G].
    """

    tokens: Tensor
    rank: Tensor
    worth: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class LoPA:
    """Try the *lookaheads* next best tokens, each in a copy of the row, and go on with the surest copy.

    A copy is as sure as the *share* of its masks with the lowest scores, on average; the row without a token
    more takes part. In the copy that wins all that reach *gamma* are committed. It does so in stretches of
    *size* positions, several at a time: a stretch opens once *opens* of the one before it is filled, and from
    *forces* on it takes its best position where none reaches gamma. A forward evaluates up to
    lookaheads + 1 canvases of a row, which the records count.

    Source: LoPA (arXiv:2512.16229), and D2F (arXiv:2508.09192), which is ``lookaheads=0``;
        zhijie-group/LoPA scale_dream_d2f/scale_dream_d2f.py.
    Differs: equality passes gamma; stretches that are not open are masks that the model sees, where the
    published code lets the row grow; end of text does not stop that; keys and values are those of the loop's
    caches. Its branching_factor is the number of lookaheads.

    Defaults: those of the published scripts, swept over gamma. Limits: lookaheads = 0 in one stretch is
    ``threshold``.

    Args:
        gamma: Threshold, in (0, 1].
        lookaheads: Copies with a token more, at least 0.
        confidence: What orders positions and measures copies: confidence, margin or entropy (negative).
        share: Of the masks of a copy, the lowest ones that count, in (0, 1].
        alpha: Weight of the score of a copy's own token, in [0, 1]; the row without one has 1.
        size: Positions of a stretch, at least 1.
        opens: Filled share of the stretch before, in (0, 1].
        forces: The same, from which on a stretch takes at least a position per step, in (0, 1].
    """

    name: ClassVar[str] = "lopa"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"gamma": g} for g in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    )
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    gamma: float = 0.9
    lookaheads: int = 2
    confidence: str = "entropy"
    share: float = 1.0
    alpha: float = 0.0
    size: int = 32
    opens: float = 0.1
    forces: float = 0.95

    def __post_init__(self) -> None:
        if self.confidence not in MEASURES:
            raise ValueError(
                f"confidence must be one of {', '.join(MEASURES)}, got {self.confidence!r}; choose one"
            )
        for name, least, cure in (("lookaheads", 0, "0 tries nothing"), ("size", 1, "32 is published")):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}; {cure}")
        for name in ("gamma", "share", "opens", "forces"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise ValueError(
                    f"{name} must be in (0, 1], got {value!r}; leave it out for the published one"
                )
        if not 0.0 <= self.alpha <= 1.0:
            raise ValueError(f"alpha must be in [0, 1], got {self.alpha!r}; 0 is the published default")

    @property
    def branches(self) -> int:
        """For the loop; more than one, so that what was evaluated is counted without lookaheads too."""
        return max(2, self.lookaheads + 1)

    def init(self, view: StepView) -> Ahead:
        """Nothing is to be tried yet."""
        nowhere = view.tokens * 0 + view.tokens.shape[1]
        return Ahead(tokens=view.tokens, rank=nowhere, worth=view.tokens.double() * 0.0)

    def draft(self, view: StepView, memory: Ahead) -> tuple[Tensor, Tensor]:
        """Return the row with each of the next best tokens, the best first, and the row as it is, last."""
        tried = self._tried(view, memory)
        drafts = memory.tokens.unsqueeze(1).where(tried, view.tokens.unsqueeze(1))
        return drafts, tried.any(dim=2).sum(dim=1) + 1

    def step(self, view: StepView, memory: Ahead) -> tuple[StepUpdate, Ahead]:
        """Commit the token of the copy that wins, and what is sure in it; remember what comes next."""
        copies, index = view.branches.view, view.branches.index
        best = self._winner(view, memory, self._sureness(copies)[index])
        at = index.gather(1, best.unsqueeze(1)).squeeze(1)
        filled, is_open = (part[at] for part in self._fills(copies))
        tokens = copies.proposals[at].where(copies.eligible[at], copies.tokens[at])
        own = view.eligible & ~copies.eligible[at]
        rest = is_open & ~filled
        score, worth = SCORES[self.confidence](copies)[at], self._worth(copies)[at]
        rank = replace(view, eligible=rest).rank(score)
        return StepUpdate(unmask=own | filled, tokens=tokens), Ahead(tokens=tokens, rank=rank, worth=worth)

    def _tried(self, view: StepView, memory: Ahead) -> Tensor:
        """Return bool [R, branches, G]: the position of the token that copy k has more."""
        number = view.tokens.new_ones(self.branches).cumsum(dim=0).view(1, -1, 1) - 1
        is_one = view.eligible & (memory.rank < self.lookaheads)
        return is_one.unsqueeze(1) & (memory.rank.unsqueeze(1) == number)

    def _winner(self, view: StepView, memory: Ahead, sureness: Tensor) -> Tensor:
        """Return which of the canvases [R] goes on, the first of equal ones; *sureness* is [R, branches].

        Behind the last one it is repeated.
        """
        tried = self._tried(view, memory)
        has_token, own = tried.any(dim=2), (memory.worth.unsqueeze(1) * tried).sum(dim=2)
        score = self.alpha * own.where(has_token, own * 0.0 + 1.0) + (1.0 - self.alpha) * sureness
        near = score >= score.amax(dim=1, keepdim=True) - EQUAL
        return near.byte().argmax(dim=1)

    def _worth(self, view: StepView) -> Tensor:
        """Return the measure itself, [R, G]: a probability, a difference of two, or a negative entropy."""
        score = SCORES[self.confidence](view)
        return score if self.confidence == "entropy" else score.sigmoid()

    def _sureness(self, view: StepView) -> Tensor:
        """Return the mean [R] of the lowest measures of the open masks; 1 where there are none."""
        _, is_open = self._fills(view)
        count = is_open.sum(dim=1)
        n_low = (count * self.share).long().clamp(min=1)
        lowest = self._worth(view).masked_fill(~is_open, float("inf")).sort(dim=1).values
        position = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1
        counted = lowest.masked_fill(position >= n_low.unsqueeze(1), 0.0).sum(dim=1) / n_low
        return counted.masked_fill(count == 0, 1.0)

    def _fills(self, view: StepView) -> tuple[Tensor, Tensor]:
        """Return what a step commits on the canvases of *view*, and the masks of open stretches, [R, G]."""
        position = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1
        stretch = ((position - view.block_begin.unsqueeze(1)) // self.size).clamp(min=0)
        in_block = (position >= view.block_start.unsqueeze(1)) & (position < view.block_end.unsqueeze(1))
        n_stretches = position.shape[1] // self.size + 2
        none = position.new_zeros(len(position), n_stretches)
        stretch = stretch.clamp(max=n_stretches - 1)
        length = none.scatter_add(1, stretch, in_block.long())
        masks = none.scatter_add(1, stretch, view.eligible.long())
        filled_share = (length - masks).double() / length.clamp(min=1)
        before = filled_share.roll(1, dims=1)
        before[:, 0] = 1.0
        opened = (before >= self.opens).long().cumprod(dim=1).bool()
        is_open = view.eligible & opened.gather(1, stretch)
        sure = is_open & reaches(view.log_odds, self.gamma)
        is_calm = none.scatter_add(1, stretch, sure.long()) == 0
        must = is_open & (is_calm & (before >= self.forces)).gather(1, stretch)
        rank = replace(view, eligible=must).rank(SCORES[self.confidence](view))
        best = (none + position.shape[1]).scatter_reduce(1, stretch, rank, reduce="amin")
        return sure | must & (rank == best.gather(1, stretch)), is_open
