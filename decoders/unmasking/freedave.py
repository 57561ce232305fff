"""FreeDave unmasking: drafts of the next steps are checked in one forward; the tokens are those of k = 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import SCORES, reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

ORDERS = ("confidence", "left_to_right")


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """What is known of the row's canvas: ``tokens`` [R, G] and their ``log_odds`` [R, G] at its masks."""

    tokens: Tensor
    log_odds: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class FreeDave:
    """Draft what the next *draft_steps* steps would commit, and check all drafts in one forward.

    Draft j fills the j most confident masks of the block with their proposals. Had each step committed one
    token, the canvas after draft i would be draft i with its own best token; where a longer draft says the
    same at all it fills, it is what those steps come to. From draft 1 on, the longest that agrees follows, as
    long as there is one, and the last is committed. Every forward commits at least a token but the first of a
    block, which is there for its predictions; the last mask of a block needs none of its own. The tokens are
    those of confidence (or left_to_right) with k = 1 at temperature 0, in no more forwards. A forward
    evaluates up to *draft_steps* canvases of a row, which the records count.

    Source: FreeDave (arXiv:2510.00294); cychomatica/FreeDave generation/core.py,
        block_decode_with_full_attention_FreeDave.
    Differs: a draft without masks is not evaluated, as nothing is to be read from it; drafts are rows of a
    batch and not branches under a tree mask (its batch_expanding); no eager mode, which looks ahead into
    later blocks and is not lossless.

    Defaults: 4 drafts, as published, swept over their number. Limits: draft_steps = 1 is k = 1.

    Args:
        draft_steps: Drafts of a forward at the most, at least 1.
        order: What goes first: ``confidence`` or ``left_to_right`` (published: alg_temp -1).
        gamma: With a threshold each step commits all that reach it (FreeDave++), which is not lossless; None,
            or in (0, 1].
    """

    name: ClassVar[str] = "freedave"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"draft_steps": n} for n in (2, 4, 8))
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = True

    draft_steps: int = 4
    order: str = "confidence"
    gamma: float | None = None

    def __post_init__(self) -> None:
        if type(self.draft_steps) is not int or self.draft_steps < 1:
            raise ValueError(
                f"draft_steps must be a whole number of at least 1, got {self.draft_steps!r}; "
                "4 is the published default"
            )
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {self.order!r}; choose one")
        if self.gamma is not None and not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be None or in (0, 1], got {self.gamma!r}; None is lossless")

    @property
    def branches(self) -> int:
        """For the loop; more than one, so that what was evaluated is counted with a single draft too."""
        return max(2, self.draft_steps)

    def init(self, view: StepView) -> Predicted:
        """Nothing is known yet."""
        return Predicted(tokens=view.tokens, log_odds=view.tokens.double() * 0.0)

    def draft(self, view: StepView, memory: Predicted) -> tuple[Tensor, Tensor]:
        """Return the drafts that have masks left; in the first forward of a block the canvas as it is."""
        filled = self._filled(view, memory)
        enters = view.step == 0
        count = self._open(view, filled).masked_fill(enters, 1)
        filled = filled & ~enters.view(-1, 1, 1)
        drafts = memory.tokens.unsqueeze(1).where(filled, view.tokens.unsqueeze(1))
        padded = view.tokens.unsqueeze(1).repeat(1, self.branches, 1)
        padded[:, : self.draft_steps] = drafts
        return padded, count

    def step(self, view: StepView, memory: Predicted) -> tuple[StepUpdate, Predicted]:
        """Follow the drafts that agree, and keep what the forward says of the last one."""
        enters = (view.step == 0).unsqueeze(1)
        filled = self._filled(view, memory)
        n_open = self._open(view, filled)
        checked, index = view.branches.view, view.branches.index[:, : self.draft_steps]
        wanted = checked.proposals.where(self._taken(checked), checked.tokens)[index]
        drafted = memory.tokens.view(len(filled), 1, 1, -1)
        agrees = ((wanted.unsqueeze(2) == drafted) | ~filled.unsqueeze(1)).all(dim=3)
        best = _followed(agrees, n_open)
        at = index.gather(1, best.unsqueeze(1)).squeeze(1)
        last = filled.gather(1, best.view(-1, 1, 1).expand(-1, 1, filled.shape[2])).squeeze(1) & ~enters
        left = view.eligible & ~last
        is_over = left.sum(dim=1, keepdim=True) <= 1
        tokens = memory.tokens.where(last, checked.proposals[at])
        known = Predicted(tokens=checked.proposals[at], log_odds=checked.log_odds[at])
        return StepUpdate(unmask=last | left & is_over, tokens=tokens), known

    def _filled(self, view: StepView, known: Predicted) -> Tensor:
        """Return bool [R, draft_steps, G]: which masks each draft fills."""
        here = replace(view, proposals=known.tokens, log_odds=known.log_odds)
        taken = self._taken(here)
        others = replace(here, eligible=view.eligible & ~taken)
        rank = others.rank(SCORES[self.order](others))
        drafts = rank.new_ones(self.draft_steps).cumsum(dim=0) - 1
        more = others.eligible.unsqueeze(1) & (rank.unsqueeze(1) < drafts.view(1, -1, 1))
        return taken.unsqueeze(1) | more

    def _taken(self, view: StepView) -> Tensor:
        """Return bool [R, G]: what one step commits on the canvases of *view*."""
        best = view.rank(SCORES[self.order](view)) == 0
        if self.gamma is None:
            return best
        return best | view.eligible & reaches(view.log_odds, self.gamma)

    def _open(self, view: StepView, filled: Tensor) -> Tensor:
        """Return how many drafts have masks left, at least 1, [R]; they come first."""
        return (view.remaining.unsqueeze(1) > filled.sum(dim=2)).sum(dim=1).clamp(min=1)


def _followed(agrees: Tensor, n_open: Tensor) -> Tensor:
    """Return the draft [R] that is reached from the first one; *agrees* [R, i, j] leads from i to j."""
    n_drafts = agrees.shape[1]
    number = agrees.new_ones(n_drafts).cumsum(dim=0) - 1
    best = n_open * 0
    for _ in range(1, n_drafts):
        onward = agrees.gather(1, best.view(-1, 1, 1).expand(-1, 1, n_drafts)).squeeze(1)
        onward = onward & (number > best.unsqueeze(1)) & (best < n_open).unsqueeze(1)
        best = number.where(onward, best.unsqueeze(1)).amax(dim=1)
    return best
