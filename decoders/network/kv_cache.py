"""Keys and values of whole canvases, of which a forward renews some columns and reads all.

Legend: B = rows of the cache, b = rows of a forward, L = canvas length, W = evaluated columns, H = heads of
keys, D = width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from decoders.devices import placed


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyValues:
    """``keys`` and ``values`` [B, layers, H, L + 1, D]; the last column is a place for what nobody reads."""

    keys: Tensor
    values: Tensor


def new_key_values(
    config: Any, n_rows: int, length: int, dtype: torch.dtype, device: torch.device
) -> KeyValues:
    """Return room for *n_rows* canvases of *length* columns of the network described by *config*."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = (n_rows, config.num_hidden_layers, config.num_key_value_heads, length + 1, width)
    return KeyValues(
        keys=torch.zeros(shape, dtype=dtype, device=device),
        values=torch.zeros(shape, dtype=dtype, device=device),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Which columns [b, W] each row evaluates; not ``real`` is what fills up a shorter window."""

    columns: Tensor
    real: Tensor

    def take(self, values: Tensor) -> Tensor:
        """Return *values* [b, L] or [b, L, ...] at the columns."""
        index = self.columns.view(*self.columns.shape, *[1] * (values.ndim - 2))
        return values.gather(1, index.expand(-1, -1, *values.shape[2:]))


def window_of(bounds: Sequence[tuple[int, int]], length: int, device: torch.device) -> Window:
    """Return the columns from first to last of *bounds*, padded to the widest."""
    limits = placed(bounds, device)
    columns = limits[:, :1] + torch.arange(max(end - start for start, end in bounds), device=device)
    return Window(columns=columns.clamp(max=length - 1), real=columns < limits[:, 1:])
