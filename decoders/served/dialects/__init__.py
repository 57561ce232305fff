"""One small file per engine, and which of them a server speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from decoders.served.dialects import diffulex, lmdeploy, mercury, plain, sglang, unnamed, vllm
from decoders.served.dialects.dialect import Dialect

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        unnamed.OPENAI,
        unnamed.ANTHROPIC,
        sglang.DIALECT,
        vllm.DIALECT,
        lmdeploy.DIALECT,
        diffulex.DIALECT,
        mercury.DIALECT,
        plain.DIALECT,
    )
}
"""By the scheme that names it."""


def dialect_of(scheme: str, models: Sequence[Mapping[str, Any]]) -> Dialect:
    """Return the dialect called *scheme*; for ``openai`` the one whose engine owns the listed *models*."""
    named = DIALECTS[scheme]
    if named is not unnamed.OPENAI:
        return named
    owners = {str(model.get("owned_by", "")).lower() for model in models}
    return next((dialect for dialect in DIALECTS.values() if dialect.owner in owners), named)
