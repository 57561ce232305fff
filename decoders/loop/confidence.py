"""Scores that order positions, higher first; a method names one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView


def confidence(view: StepView) -> Tensor:
    """Probability of the proposed token (MaskGIT; LLaDA's low_confidence, Dream's maskgit_plus)."""
    return view.confidence


def margin(view: StepView) -> Tensor:
    """Gap between the two most likely tokens (Kim et al., arXiv:2502.06768; Dream's topk_margin)."""
    return view.margin


def entropy(view: StepView) -> Tensor:
    """Negative entropy of the position's distribution, in nats (Dream's entropy)."""
    return view.neg_entropy


def random(view: StepView) -> Tensor:
    """A fresh uniform draw for every position and step (LLaDA's random)."""
    return view.draws


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
