"""Scores that order positions, higher first, and when a score reaches a bound; a method names one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from decoders.state import ODDS_TOLERANCE, logit

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

NEAR = 1e-5
"""How far a probability may fall short of the best one and count as equally good in dInfer."""


def reaches(log_odds: Tensor, bound: float | Tensor) -> Tensor:
    """Return where a probability, given by its *log_odds*, is at least *bound*, within `ODDS_TOLERANCE`.

    Args:
        log_odds: Any shape.
        bound: A probability, or a tensor of the same shape; 0 and less is reached by everything.
    """
    limit = logit(bound) if isinstance(bound, float | int) else bound.clamp(0.0, 1.0).logit()
    return log_odds >= limit - ODDS_TOLERANCE


def near_best(eligible: Tensor, log_odds: Tensor) -> Tensor:
    """Return where a probability, given by its *log_odds*, is within `NEAR` of its row's best *eligible* one.

    The differences are those of float64 probabilities, whose rounding (1e-16) is nothing beside `NEAR`.
    """
    p = log_odds.sigmoid().masked_fill(~eligible, 0.0)
    return eligible & (p >= p.amax(dim=1, keepdim=True) - NEAR)


def confidence(view: StepView) -> Tensor:
    """Logit of the proposal's probability (MaskGIT; LLaDA's low_confidence, Dream's maskgit_plus)."""
    return view.log_odds


def margin(view: StepView) -> Tensor:
    """Logit of the gap between the two most likely tokens (arXiv:2502.06768; Dream's topk_margin)."""
    return view.margin_log_odds


def entropy(view: StepView) -> Tensor:
    """Negative entropy of the position's distribution, in nats (Dream's entropy)."""
    return view.neg_entropy


def random(view: StepView) -> Tensor:
    """The place in one random order per sample, so that every step takes the next positions of it.

    For a setting alone that is the law of LLaDA's random, which draws anew at every step; settings of one
    sample meet the same canvases.
    """
    return view.permutation


def left_to_right(view: StepView) -> Tensor:
    """The earlier the position, the higher."""
    return -view.tokens.new_ones(view.tokens.shape).cumsum(dim=1).double()


SCORES: dict[str, Callable[[StepView], Tensor]] = {
    "random": random,
    "left_to_right": left_to_right,
    "confidence": confidence,
    "margin": margin,
    "entropy": entropy,
}
