"""Credit unmasking: a token that was the best guess for long needs less confidence now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import near_best, reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class Earned:
    """``credit`` [R, G, C], float32: what every token has earned at every position so far."""

    credit: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Credit:
    """Commit by threshold after the logits are raised by what their tokens earned as best guesses.

    At every step the credit of a position decays by *beta*, and the proposal with probability p earns
    ``p ** boost``. Then ``alpha * log(1 + credit)`` is added to the logits; of the distribution that results
    the best token is taken, and committed where it reaches min(gamma, best - 1e-5).

    Source: CreditDecoding (arXiv:2510.06133); inclusionAI/dInfer python/dinfer/decoding/parallel_strategy.py,
        CreditThresholdParallelDecoder.
    Differs: credit ends with the row (the published decoder can carry it into its next call after an end of
    text); no forward is spent on a complete block, and end of text does not stop the row. Above temperature 0
    what earns is the token that was drawn; greedy decoding only is published.

    Defaults: those of the published code, gamma swept. Limits: alpha = 0 is ``threshold`` with rule=dinfer.

    Args:
        gamma: Threshold, in (0, 1].
        alpha: Weight of the credit, at least 0.
        boost: Exponent of the probability that is earned, at least 0; smaller helps the unsure more.
        beta: Share of the credit that is left after a step, in [0, 1].
    """

    name: ClassVar[str] = "credit"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"gamma": g} for g in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    )
    needs: ClassVar[frozenset[str]] = frozenset({"probabilities"})
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    gamma: float = 0.9
    alpha: float = 0.7
    boost: float = 0.2
    beta: float = 0.8

    def __post_init__(self) -> None:
        if not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be in (0, 1], got {self.gamma!r}; 0.9 is the published default")
        for name, published in (("alpha", 0.7), ("boost", 0.2)):
            value = getattr(self, name)
            if not 0.0 <= value < float("inf"):
                raise ValueError(
                    f"{name} must be at least 0 and finite, got {value!r}; "
                    f"{published} is the published default"
                )
        if not 0.0 <= self.beta <= 1.0:
            raise ValueError(f"beta must be in [0, 1], got {self.beta!r}; 0.8 is the published default")

    def init(self, view: StepView) -> Earned:
        """Nothing is earned yet."""
        return Earned(credit=view.probs.new_zeros(view.probs.shape))

    def step(self, view: StepView, memory: Earned) -> tuple[StepUpdate, Earned]:
        """Give credit, and commit by the raised distribution."""
        earned = view.confidence.float().pow(self.boost).masked_fill(~view.eligible, 0.0)
        credit = memory.credit * self.beta
        credit.scatter_add_(2, view.columns.unsqueeze(2), earned.unsqueeze(2))
        tokens, log_odds = view.raised(credit.log1p().mul_(self.alpha))
        sure = reaches(log_odds, self.gamma) | near_best(view.eligible, log_odds)
        return StepUpdate(unmask=view.eligible & sure, tokens=tokens), Earned(credit=credit)
