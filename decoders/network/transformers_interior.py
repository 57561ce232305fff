"""What leans on the inside of transformers and may move with its version: caches, rotary tables, attention.

A test of each assumption stands in ``unit_tests/decoders/network/test_transformers_interior.py``.

Legend: B = rows of the cache, b = rows of a forward, L = canvas length, W = evaluated columns, H = heads of
keys, D = width of a head.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from decoders.network.attention_maps import AttentionMaps
from decoders.network.kv_cache import KeyValues, Window

ATTENTION = "sdpa_both_directions"
"""The name under which the attention of `use_own_attention` is known to transformers."""

CACHE_ARGUMENTS = ("cache", "past_key_values")
"""What the forward of a network calls its cache: since transformers 5.24, and before."""


def with_cache(network: Any, cache: Any) -> dict[str, Any]:
    """Return the keyword arguments that hand *cache* to a transformers network; none for None.

    Raises:
        TypeError: The network takes a cache under neither name.
    """
    return {} if cache is None else {_cache_argument(type(network)): cache}  # type: ignore[arg-type]


@lru_cache
def _cache_argument(network: Any) -> str:
    taken = signature(network.forward).parameters
    for name in CACHE_ARGUMENTS:
        if name in taken:
            return name
    raise TypeError(
        f"a network must take a cache as {' or '.join(CACHE_ARGUMENTS)}, got {network.__name__} with "
        f"{', '.join(taken)}; install a version of transformers that this package was tested with"
    )


def growing_cache(config: Any = None) -> Any:
    """Return an empty cache of transformers that grows with every forward of a causal network."""
    from transformers import DynamicCache

    return DynamicCache() if config is None else DynamicCache(config=config)


class CacheUpdate:
    """What the layers of transformers call: it stores new keys and values and returns those of all columns.

    Source: Fast-dLLM (arXiv:2505.22618), prefix and dual cache; SDAR (arXiv:2510.06303), cache of finished
    blocks. Differs from the former: keys are stored rotated, because a column keeps its position.

    Args:
        cache: Written in place.
        rows: int64 [b], rows of *cache*.
        window: Evaluated columns; None for all.
    """

    def __init__(self, cache: KeyValues, rows: Tensor, window: Window | None) -> None:
        self.cache, self.rows = cache, rows
        self.length = cache.keys.shape[3] - 1
        if window is not None:
            self.columns = window.columns.masked_fill(~window.real, self.length)
        else:
            self.columns = torch.arange(self.length, device=rows.device).expand(len(rows), -1)

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Store *key* and *value* [b, H, W, D] of a layer, and return both for all columns [b, H, L, D].

        What else transformers hands on belongs to its own caches (5.24: the attention's options).
        """
        return self._stored(self.cache.keys, key, layer_idx), self._stored(
            self.cache.values, value, layer_idx
        )

    def _stored(self, buffer: Tensor, fresh: Tensor, layer: int) -> Tensor:
        written = fresh.transpose(1, 2).to(buffer.device, buffer.dtype)
        buffer[self.rows.unsqueeze(1), layer, :, self.columns] = written
        return buffer[self.rows, layer, :, : self.length].to(fresh.device)


def fresh_rotary(network: Any, config: Any) -> Any:
    """Return the rotary embedding that *network* would have if it were built from *config* now."""
    return type(network.model.rotary_emb)(config)


class FullPrecisionRotary(nn.Module):
    """A rotary embedding that returns its cosines and sines in float32, whatever the network's dtype."""

    def __init__(self, rotary: nn.Module) -> None:
        super().__init__()
        self.rotary = rotary

    def forward(self, hidden: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return (cosines, sines); of *hidden* only the device is read."""
        cosines, sines = self.rotary(hidden.new_empty((), dtype=torch.float32), position_ids)
        return cosines, sines


def use_full_precision_rope(network: Any) -> None:
    """Let *network* rotate queries and keys in float32 and round them once, as published LLaDA code does.

    Float32 tables promote queries and keys; `use_own_attention` brings them back to the dtype
    of the values. Without it a bfloat16 network rounds the rotated vectors twice.

    Source: ML-GSAI/LLaDA, modeling_llada.py, rotary embedding with ``rope_full_precision``.

    Args:
        network: A transformers causal model with ``network.model.rotary_emb``.
    """
    network.model.rotary_emb = FullPrecisionRotary(network.model.rotary_emb)


def recompute_layers(network: Any) -> None:
    """Let *network* compute each layer a second time for the gradient, instead of keeping its outputs.

    The method has another name since transformers 5.24.

    Args:
        network: A transformers causal model.
    """
    enable = (
        getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
    )
    enable({"use_reentrant": False})


def use_own_attention(network: Any) -> None:
    """Let *network* attend through a function that can tell its weights to an `AttentionMaps`.

    It is torch's scaled dot product, with queries and keys brought to the dtype of the values.

    Args:
        network: A transformers causal model.
    """
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        attention_maps: AttentionMaps | None = None,
        **options: Any,
    ) -> Any:
        query, key = query.to(value.dtype), key.to(value.dtype)
        if attention_maps is not None and attention_mask is not None:
            layer: Any = module.layer_idx
            attention_maps.add(layer, query, key, attention_mask, options["scaling"])
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)

    AttentionInterface.register(ATTENTION, attention)
    network.set_attn_implementation(ATTENTION)
