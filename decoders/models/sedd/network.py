"""The network of SEDD: a transformer whose layers are modulated by the noise level sigma.

Legend: B = rows, L = canvas length, N = queried positions, V = states, h = hidden size, C = width of the
condition.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIGMA_FEATURES = 256
ROTARY_THETA = 10000.0


class SeddNetwork(nn.Module):
    """Log scores of SEDD.

    Source: Lou, Meng, Ermon 2024 (arXiv:2310.16834); model/transformer.py of the published code. Names of
    parameters are those of the published state dict.
    Differs: padding is masked out, which the published code cannot do; attention is PyTorch's.

    Args:
        states: Tokens, and MASK for the absorbing graph.
        hidden_size: Width of the residual stream.
        n_blocks: Layers.
        n_heads: Heads of each layer.
        cond_dim: Width of the embedded noise level.
        scale_by_sigma: Whether log scores are scaled by the noise level (absorbing graph only).
    """

    def __init__(
        self,
        *,
        states: int,
        hidden_size: int,
        n_blocks: int,
        n_heads: int,
        cond_dim: int,
        scale_by_sigma: bool,
    ) -> None:
        super().__init__()
        self.scale_by_sigma = scale_by_sigma
        self.vocab_embed = _Embedding(states, hidden_size)
        self.sigma_map = _SigmaMap(cond_dim)
        self.rotary_emb = _Rotary(hidden_size // n_heads)
        self.blocks = nn.ModuleList(_Block(hidden_size, n_heads, cond_dim) for _ in range(n_blocks))
        self.output_layer = _OutputLayer(hidden_size, states, cond_dim)

    def head(self, canvas: Tensor, attend: Tensor, sigma: Tensor, query: Tensor) -> Tensor:
        """Return the outputs [N, V] of the last layer at the queried positions.

        Args:
            canvas: int64 [B, L].
            attend: bool [B, L], False at padding.
            sigma: float32 [B].
            query: int64 [N, 2], pairs (row, position).
        """
        hidden = self.vocab_embed.embedding[canvas]
        condition = F.silu(self.sigma_map(sigma))
        rotation = self.rotary_emb((attend.long().cumsum(dim=1) - 1).clamp(min=0))
        mask = attend[:, None, None, :]
        for block in self.blocks:
            hidden = block(hidden, condition, rotation, mask)
        row = query[:, 0]
        outputs: Tensor = self.output_layer(hidden[row, query[:, 1]], condition[row])
        return outputs

    def log_scores(self, canvas: Tensor, attend: Tensor, sigma: Tensor, query: Tensor) -> Tensor:
        """Return log scores [N, V]: the log ratio of each state to the current one, which is 0 itself."""
        scores = self.head(canvas, attend, sigma, query)
        row = query[:, 0]
        if self.scale_by_sigma:
            scores = scores - (sigma.expm1().log() + math.log(scores.shape[1] - 1))[row, None]
        current = canvas[row, query[:, 1]]
        return scores.scatter(1, current[:, None], 0.0)


class _Embedding(nn.Module):
    def __init__(self, states: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(states, hidden_size))


class _SigmaMap(nn.Module):
    def __init__(self, cond_dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(SIGMA_FEATURES, cond_dim), nn.SiLU(), nn.Linear(cond_dim, cond_dim)
        )

    def forward(self, sigma: Tensor) -> Tensor:
        half = SIGMA_FEATURES // 2
        powers = torch.arange(half, dtype=torch.float32, device=sigma.device) / half
        angles = sigma[:, None] * torch.exp(-math.log(10000.0) * powers)
        embedded: Tensor = self.mlp(torch.cat([angles.cos(), angles.sin()], dim=1))
        return embedded


class _Rotary(nn.Module):
    inv_freq: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        powers = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        self.register_buffer("inv_freq", ROTARY_THETA**-powers)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles = (positions[..., None] * self.inv_freq).repeat(1, 1, 2)[:, None]
        return angles.cos(), angles.sin()


class _Norm(nn.Module):
    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden_size))

    def forward(self, hidden: Tensor) -> Tensor:
        normed: Tensor = F.layer_norm(hidden, hidden.shape[-1:]) * self.weight
        return normed


class _Block(nn.Module):
    def __init__(self, hidden_size: int, n_heads: int, cond_dim: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm1 = _Norm(hidden_size)
        self.attn_qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.attn_out = nn.Linear(hidden_size, hidden_size, bias=False)
        self.norm2 = _Norm(hidden_size)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size, 4 * hidden_size),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * hidden_size, hidden_size),
        )
        self.adaLN_modulation = nn.Linear(cond_dim, 6 * hidden_size)

    def forward(
        self, hidden: Tensor, condition: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor
    ) -> Tensor:
        modulation = self.adaLN_modulation(condition)[:, None].chunk(6, dim=2)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation
        attended = self._attention(self.norm1(hidden) * (1 + scale_a) + shift_a, rotation, mask)
        hidden = hidden + gate_a * attended
        transformed: Tensor = self.mlp(self.norm2(hidden) * (1 + scale_m) + shift_m)
        result: Tensor = hidden + gate_m * transformed
        return result

    def _attention(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        rows, length, width = hidden.shape
        fused = self.attn_qkv(hidden).view(rows, length, 3, self.n_heads, width // self.n_heads)
        queries, keys, values = fused.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(
            _rotate(queries, rotation), _rotate(keys, rotation), values, attn_mask=mask
        )
        out: Tensor = self.attn_out(attended.transpose(1, 2).reshape(rows, length, width))
        return out


class _OutputLayer(nn.Module):
    def __init__(self, hidden_size: int, states: int, cond_dim: int) -> None:
        super().__init__()
        self.norm_final = _Norm(hidden_size)
        self.linear = nn.Linear(hidden_size, states)
        self.adaLN_modulation = nn.Linear(cond_dim, 2 * hidden_size)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=1)
        outputs: Tensor = self.linear(self.norm_final(hidden) * (1 + scale) + shift)
        return outputs


def _rotate(vectors: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cosines, sines = rotation
    first, second = vectors.chunk(2, dim=-1)
    return vectors * cosines + torch.cat([-second, first], dim=-1) * sines
