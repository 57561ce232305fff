"""The score entropy loss of SEDD, for both of its graphs.

Legend: B = rows, L = padded prompt and canvas, G = canvas, N = learned positions, V = states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from decoders.models.sedd.network import SeddNetwork
from decoders.models.sedd.noise import Absorbing, Graph, Noise
from decoders.tuning.batches import Chosen, Clean

SMALLEST_TIME = 1e-3


class ScoreEntropyLoss(nn.Module):
    """Denoising score entropy of SEDD on the canvas, the prompt given, averaged over its positions.

    With s the learned ratios p(y) / p(x) of the noisy token x and r those that hold given the clean token,
    a position costs the sum over y of rate(y -> x) * (s - r log s + r (log r - 1)), times the rate of noise.
    It is 0 exactly where s is r.

    Source: Lou, Meng, Ermon 2024 (arXiv:2310.16834), equation 9 and theorem 3.6.

    Args:
        network: Its log scores are trained.
        graph: Which states a state may turn into.
        level: Noise over time.
        precision: The number type of the network's forward; scores and the loss are float32.
        compiled: Whether the network is compiled.
    """

    def __init__(
        self,
        network: SeddNetwork,
        *,
        graph: Graph,
        level: Noise,
        precision: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.precision = precision
        self.network = network
        self.graph, self.level = graph, level
        scores = network.log_scores
        self._scores = torch.compile(scores, dynamic=False) if compiled else scores

    def noise(self, clean: Clean, chosen: Sequence[Chosen]) -> tuple[Tensor, ...]:
        """Return noisy ids [B, L], attend [B, L], clean ids [B, L], learned [B, L], times float64 [B]."""
        canvas = clean.learned.shape[1]
        times = torch.tensor([max(row.time, SMALLEST_TIME) for row in chosen], dtype=torch.float64)
        moved = -torch.expm1(-self.level.sigma(times)).numpy()
        draws = np.stack([row.rng.random((2, canvas)) for row in chosen])
        absorbs = isinstance(self.graph, Absorbing)
        states = self.graph.states
        target = np.full_like(draws[:, 1], states - 1) if absorbs else np.floor(draws[:, 1] * states)
        moves = (draws[:, 0] < moved[:, None]) & clean.learned.numpy()
        noisy, learned = clean.ids.clone(), torch.zeros_like(clean.attend)
        region = noisy[:, -canvas:]
        region[torch.from_numpy(moves)] = torch.from_numpy(target[moves].astype(np.int64))
        learned[:, -canvas:] = clean.learned
        return noisy, clean.attend, clean.ids, learned, times

    def forward(self, noisy: Tensor, attend: Tensor, clean: Tensor, learned: Tensor, times: Tensor) -> Tensor:
        """Return the loss of each row [B], float32."""
        sigma = self.level.sigma(times)
        query = learned.nonzero()
        row = query[:, 0]
        with torch.autocast(noisy.device.type, self.precision, enabled=self.precision == torch.bfloat16):
            scores = self._scores(noisy, attend, sigma.float(), query).float()
        where = (row, query[:, 1])
        costs = entropies(self.graph, scores, noisy[where], clean[where], sigma[row])
        costs = costs * self.level.rate(times).float()[row]
        sums = torch.zeros(len(noisy), dtype=torch.float32, device=noisy.device).index_add(0, row, costs)
        return sums / learned.sum(dim=1).clamp(min=1)


def entropies(graph: Graph, log_score: Tensor, token: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Return the score entropy [N] of noisy tokens, without the factor of the rate of noise.

    Args:
        graph: Which states a state may turn into.
        log_score: Learned log ratios [N, V]; the column of *token* is not read.
        token: Noisy tokens [N].
        clean: What they were [N].
        sigma: Noise accumulated so far [N].
    """
    if isinstance(graph, Absorbing):
        return _absorbing(log_score, token, clean, sigma)
    return _uniform(graph.states, log_score, token, clean, sigma)


def _absorbing(log_score: Tensor, token: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """A MASK came from any token at rate 1; the only ratio above 0 is that of the clean token."""
    log_ratio = -torch.log(torch.expm1(sigma)).float()
    ratio = log_ratio.exp()
    chosen = log_score.gather(1, clean[:, None])[:, 0]
    cost = log_score[:, :-1].exp().sum(dim=1) - ratio * chosen + ratio * (log_ratio - 1.0)
    return torch.where(token == log_score.shape[1] - 1, cost, torch.zeros_like(cost))


def _uniform(states: int, log_score: Tensor, token: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Any state came from any other at rate 1 / V; all ratios are 1 but those with the clean token."""
    elsewhere = -torch.expm1(-sigma) / states
    log_gap = (
        torch.log(elsewhere) - torch.log(elsewhere + torch.exp(-sigma))
    ).float()  # log p(other)/p(clean)
    stayed = token == clean
    others = log_score.scatter(1, token[:, None], 0.0)
    total = others.exp().sum(dim=1) - 1.0
    log_sum = others.sum(dim=1)
    chosen = others.gather(1, clean[:, None])[:, 0]
    down, up = log_gap.exp(), (-log_gap).exp()
    kept = total - down * log_sum + (states - 1) * down * (log_gap - 1.0)
    left = total - (log_sum - chosen) - up * chosen - (states - 2) + up * (-log_gap - 1.0)
    return torch.where(stayed, kept, left) / states
