"""What leans on the inside of transformers and may move with its version: how a network is handed a cache.

A test of each assumption stands in ``unit_tests/decoders/network/test_transformers_interior.py``.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import signature
from typing import Any

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
