"""LMDeploy: diffusion is set per server, and the server tells neither its settings nor its steps.

For an autoregressive model behind LMDeploy take the dialect ``plain``.
"""

from __future__ import annotations

from decoders.served.dialects.dialect import Dialect, Settings

SETTINGS = {
    "dllm_block_length": int,
    "denoising_steps": int,
    "unmasking_strategy": str,
    "confidence_threshold": float,
}
"""The options of its server that decide how an answer is made."""


def needed(known: Settings) -> tuple[str, ...]:
    """Return all of `SETTINGS`; the threshold only where the strategy has one."""
    if known.get("unmasking_strategy") in (None, "low_confidence_dynamic"):
        return tuple(SETTINGS)
    return tuple(name for name in SETTINGS if name != "confidence_threshold")


DIALECT = Dialect(name="lmdeploy", owner="lmdeploy", said=SETTINGS, needed=needed)
