"""Model families, one file each, and the names under which they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType
from typing import Any

from decoders.protocols import ModelRequest

LOADERS: Mapping[str, str] = MappingProxyType(
    {
        "ideal": "decoders.models.ideal:load",
        "tiny": "decoders.models.tiny:load",
        "llada": "decoders.models.llada:load",
        "llada-8b": "decoders.models.llada:load",
        "dparallel-llada": "decoders.models.llada:load",
        "d3llm-llada": "decoders.models.llada:load",
        "dream": "decoders.models.dream:load",
        "dream-base": "decoders.models.dream:load",
        "dream-coder": "decoders.models.dream:load",
        "diffucoder": "decoders.models.dream:load",
        "dparallel-dream": "decoders.models.dream:load",
        "d3llm-dream": "decoders.models.dream:load",
        "d3llm-dream-coder": "decoders.models.dream:load",
        "llada-moe": "decoders.models.llada_moe:load",
        "llada-moe-td": "decoders.models.llada_moe:load",
        "llada2": "decoders.models.llada2:load",
        "llada2-flash": "decoders.models.llada2:load",
        "sdar": "decoders.models.sdar:load",
        "sdar-b32": "decoders.models.sdar:load",
        "sdar-4b": "decoders.models.sdar:load",
        "trado": "decoders.models.sdar:load",
        "trado-4b": "decoders.models.sdar:load",
        "sdar-moe": "decoders.models.sdar_moe:load",
        "fast-dllm-v2": "decoders.models.fast_dllm_v2:load",
        "fast-dllm-v2-1.5b": "decoders.models.fast_dllm_v2:load",
        "stable-diffcoder": "decoders.models.stable_diffcoder:load",
        "sedd": "decoders.models.sedd.absorb:load",
        "sedd-medium": "decoders.models.sedd.absorb:load",
        "remote": "decoders.models.remote:load",
    }
)
"""Name to ``module:function`` of the denoisers; a module is imported when one of its models is loaded."""

GENERATOR_LOADERS: Mapping[str, str] = MappingProxyType(
    {
        "sedd-absorb": "decoders.models.sedd.sampler:load",
        "sedd-absorb-medium": "decoders.models.sedd.sampler:load",
        "sedd-uniform": "decoders.models.sedd.sampler:load",
        "sedd-tiny": "decoders.models.sedd.tiny:load",
        "llada2.1": "decoders.models.llada21:load",
        "llada2.1-flash": "decoders.models.llada21:load",
        "diffusion-gemma": "decoders.models.diffusion_gemma:load",
        "ar": "decoders.models.autoregressive:load",
        "ar-qwen3": "decoders.models.autoregressive:load",
        "ar-llama": "decoders.models.autoregressive:load",
        "apd": "decoders.models.apd:load",
    }
)
"""The same for models that own their loop."""


def load(name: str, source: str | None = None, **asked: Any) -> Any:
    """Return the model called *name*: a `Denoiser`, or a `Generator` that owns its loop.

    Args:
        name: One of `LOADERS` or `GENERATOR_LOADERS` (``llada``).
        source: A folder or hub id, or None for the published checkpoint of that name.
        asked: Further fields of `ModelRequest`: revision, dtype, device, vocabulary, allow_code.

    Raises:
        LookupError: There is no such name.
        ValueError: The checkpoint cannot be found, is not of that family, or failed a self-test.
    """
    table = {**LOADERS, **GENERATOR_LOADERS}
    if name not in table:
        near = get_close_matches(name, table, n=1) or list(table)
        raise LookupError(f"name must be that of a model, got {name!r}; choose {' or '.join(near)}")
    module, _, function = table[name].partition(":")
    return getattr(import_module(module), function)(ModelRequest(name=name, source=source, **asked))
