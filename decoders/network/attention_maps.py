"""Attention beyond a plain forward: maps of who looks where, and twin columns.

Legend: B = rows, L = canvas length, W = twins per row, G = positions from the first generated one, H = heads,
D = width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from decoders.devices import placed

LEFT_OUT = 0.7
"""Share of the layers, from the first on, whose attention is not part of a map."""


class AttentionMaps:
    """Sums the attention of the last layers while a forward runs, one layer at a time.

    Source: DAPD (arXiv:2603.12996): the mean over heads and the last n - int(0.7 n) of n layers, in float32.

    Args:
        first: First position that looks and is looked at; those before it only take part in the softmax.
        n_layers: Layers of the network.
        layers: How many of them count, from the last on, all where there are fewer; None is that share.
    """

    def __init__(self, *, first: int, n_layers: int, layers: int | None = None) -> None:
        self.first = first
        self.from_layer = int(LEFT_OUT * n_layers) if layers is None else max(0, n_layers - layers)
        self.n_layers = n_layers - self.from_layer
        self._total: Tensor | None = None
        self._seen = 0

    def add(self, layer: int, query: Tensor, key: Tensor, mask: Tensor, scaling: float) -> None:
        """Add one layer: *query* [B, H, L, D], *key* [B, heads of keys, L, D], *mask* bool [B, 1, L, L]."""
        if layer < self.from_layer:
            return
        rows, heads, length, width = query.shape
        looking = query[:, :, self.first :].float().reshape(rows, key.shape[1], -1, width)
        scores = looking @ key.float().transpose(2, 3) * scaling
        scores = scores.view(rows, heads, length - self.first, length)
        weights = torch.softmax(scores.masked_fill(~mask[:, :, self.first :], float("-inf")), dim=3)
        found = weights[..., self.first :].sum(dim=1) / heads
        self._total = found if self._total is None else self._total + found.to(self._total.device)
        self._seen += 1

    def mean(self) -> Tensor:
        """Return the mean over the layers, float32 [B, G, G].

        Raises:
            RuntimeError: Not every layer was seen.
        """
        if self._total is None or self._seen != self.n_layers:
            raise RuntimeError(
                f"attention maps must come from {self.n_layers} layers, got {self._seen}; "
                "the network must run with `use_own_attention`"
            )
        return self._total / self.n_layers


def with_twins(mask: Tensor, positions: Tensor, blocks: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Return mask [B, 1, L + W, L + W] and positions [B, L + W] of a canvas with twins of *blocks* after it.

    The canvas does not see twins. A twin sees of the canvas what its original sees, but not the original, and
    of the twins those whose originals its original sees. Rows with a shorter block end in twins nobody sees.

    Source: WINO (arXiv:2507.18578), the shadow block.

    Args:
        mask: bool [B, 1, L, L].
        positions: int64 [B, L].
        blocks: First column with a twin and the one after the last, per row.
    """
    rows, _, length, _ = mask.shape
    bounds = placed(blocks, mask.device)
    start, size = bounds[:, :1], bounds[:, 1:] - bounds[:, :1]
    offset = torch.arange(max(end - begin for begin, end in blocks), device=mask.device)
    original = (start + offset).clamp(max=length - 1)
    seen = mask[:, 0].gather(1, original.unsqueeze(2).expand(-1, -1, length))
    is_original = original.unsqueeze(2) == torch.arange(length, device=mask.device)
    between = seen.gather(2, original.unsqueeze(1).expand(-1, len(offset), -1)) & (offset < size).unsqueeze(1)
    upper = torch.cat([mask[:, 0], mask.new_zeros(rows, length, len(offset))], dim=2)
    lower = torch.cat([seen & ~is_original, between], dim=2)
    both = torch.cat([upper, lower], dim=1).unsqueeze(1)
    return both, torch.cat([positions, positions.gather(1, original)], dim=1)
