"""Decode masked diffusion language models with any unmasking method; see `decode`.

Importing this package loads no heavy library: the public names below are fetched on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decoders.budget import Budget
    from decoders.loop.batching import decode, sweep
    from decoders.models import load
    from decoders.protocols import Denoiser, Generator, ModelRequest
    from decoders.rows import Decoded, DecodeError, Failed, NotSupported, Row, Setting, Step
    from decoders.state import StepUpdate, StepView, UnmaskingMethod

__all__ = [
    "Budget",
    "DecodeError",
    "Decoded",
    "Denoiser",
    "Failed",
    "Generator",
    "ModelRequest",
    "NotSupported",
    "Row",
    "Setting",
    "Step",
    "StepUpdate",
    "StepView",
    "UnmaskingMethod",
    "decode",
    "load",
    "sweep",
]

_HOME = {
    "decoders.budget": ("Budget",),
    "decoders.loop.batching": ("decode", "sweep"),
    "decoders.models": ("load",),
    "decoders.protocols": ("Denoiser", "Generator", "ModelRequest"),
    "decoders.state": ("StepUpdate", "StepView", "UnmaskingMethod"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'decoders' has no attribute {name!r}; public: {', '.join(__all__)}")
    home = next((module for module, names in _HOME.items() if name in names), "decoders.rows")
    return getattr(import_module(home), name)
