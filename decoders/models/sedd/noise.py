"""Noise levels and graphs of SEDD: how states are corrupted, and the reverse steps that scores give.

Legend: N = positions, V = states. Scores, and everything computed from them, are float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LOG_LINEAR_EPS = 1e-3


class Noise(Protocol):
    """The noise level sigma over time, 0 for clean text and 1 for noise."""

    def sigma(self, time: Tensor) -> Tensor:
        """Return the noise accumulated until *time*."""
        ...

    def rate(self, time: Tensor) -> Tensor:
        """Return its derivative."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLinear:
    """A share ``(1 - eps) t`` of the tokens is corrupted: ``1 - exp(-sigma)``.

    Source: arXiv:2310.16834; noise_lib.py, LogLinearNoise.
    """

    eps: float = LOG_LINEAR_EPS

    def sigma(self, time: Tensor) -> Tensor:
        """Return the noise accumulated until *time*."""
        return -torch.log1p(-(1.0 - self.eps) * time)

    def rate(self, time: Tensor) -> Tensor:
        """Return its derivative."""
        return (1.0 - self.eps) / (1.0 - (1.0 - self.eps) * time)


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometric:
    """From *sigma_min* to *sigma_max*, in equal ratios.

    Source: arXiv:2310.16834; noise_lib.py, GeometricNoise.
    """

    sigma_min: float
    sigma_max: float

    def sigma(self, time: Tensor) -> Tensor:
        """Return the noise accumulated until *time*."""
        return self.sigma_min ** (1.0 - time) * self.sigma_max**time

    def rate(self, time: Tensor) -> Tensor:
        """Return its derivative."""
        return self.sigma(time) * (math.log(self.sigma_max) - math.log(self.sigma_min))


class Graph(Protocol):
    """Which states a state may turn into."""

    @property
    def states(self) -> int:
        """How many states there are."""
        ...

    def staggered(self, score: Tensor, noise: float) -> Tensor:
        """Return *score* [N, V] carried back over *noise*."""
        ...

    def transition(self, token: Tensor, noise: float) -> Tensor:
        """Return the probability [N, V] that each state turns into *token* [N] over *noise*."""
        ...

    def rate(self, token: Tensor) -> Tensor:
        """Return the rate [N, V] at which each other state turns into *token*; of *token* itself nothing."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Absorbing:
    """Every token may turn into MASK, the last state.

    Source: arXiv:2310.16834; graph_lib.py, Absorbing.
    """

    states: int

    def staggered(self, score: Tensor, noise: float) -> Tensor:
        """Return *score* carried back over *noise*."""
        carried = score * math.exp(noise)
        carried[:, -1] += -math.expm1(noise) * score.sum(dim=1)
        return carried

    def transition(self, token: Tensor, noise: float) -> Tensor:
        """Return the probability that each state turns into *token* over *noise*."""
        masked = token == self.states - 1
        to_mask = torch.full((len(token), self.states), -math.expm1(-noise), dtype=torch.float64)
        to_mask[:, -1] = 1.0
        kept = _one_hot(token, self.states) * math.exp(-noise)
        return torch.where(masked[:, None], to_mask.to(token.device), kept)

    def rate(self, token: Tensor) -> Tensor:
        """Return the rate at which each other state turns into *token*: 1 into MASK."""
        masked = (token == self.states - 1).double()
        return masked[:, None].expand(-1, self.states)


@dataclass(frozen=True, kw_only=True, slots=True)
class Uniform:
    """Every token may turn into every token.

    Source: arXiv:2310.16834; graph_lib.py, Uniform.
    """

    states: int

    def staggered(self, score: Tensor, noise: float) -> Tensor:
        """Return *score* carried back over *noise*."""
        return score * math.exp(noise) - math.expm1(noise) / self.states * score.sum(dim=1, keepdim=True)

    def transition(self, token: Tensor, noise: float) -> Tensor:
        """Return the probability that each state turns into *token* over *noise*."""
        away = -math.expm1(-noise) / self.states
        return away + _one_hot(token, self.states) * math.exp(-noise)

    def rate(self, token: Tensor) -> Tensor:
        """Return the rate at which each other state turns into *token*: 1 / V."""
        return torch.full(
            (len(token), self.states), 1.0 / self.states, dtype=torch.float64, device=token.device
        )


def _one_hot(token: Tensor, states: int) -> Tensor:
    return torch.nn.functional.one_hot(token, states).double()


def analytic_weights(graph: Graph, log_score: Tensor, token: Tensor, noise: float) -> Tensor:
    """Return weights [N, V] of the states one step back, by the exact kernel over *noise*.

    They are not normalised, and those of an untrained network may be negative, which means 0.

    Source: arXiv:2310.16834; sampling.py, AnalyticPredictor.
    """
    return graph.staggered(log_score.double().exp(), noise) * graph.transition(token, noise)


def euler_weights(graph: Graph, log_score: Tensor, token: Tensor, step: float) -> Tensor:
    """Return weights [N, V] of the states one step back, at constant rates.

    Source: arXiv:2310.16834; sampling.py, EulerPredictor.

    Args:
        graph: Which states a state may turn into.
        log_score: Log scores [N, V].
        token: Current states [N].
        step: Step size times the derivative of sigma.
    """
    rates = graph.rate(token) * log_score.double().exp()
    rates = rates.scatter(1, token[:, None], 0.0)
    rates = rates.scatter(1, token[:, None], -rates.sum(dim=1, keepdim=True))
    return _one_hot(token, graph.states) + step * rates


def denoiser_weights(graph: Graph, log_score: Tensor, token: Tensor, sigma: float) -> Tensor:
    """Return weights of the clean tokens; the absorbing graph has no column for MASK then.

    Source: arXiv:2310.16834; sampling.py, Denoiser.
    """
    weights = analytic_weights(graph, log_score, token, sigma)
    return weights[:, :-1] if isinstance(graph, Absorbing) else weights
