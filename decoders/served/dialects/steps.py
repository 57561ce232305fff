"""How many forwards an answer took, as far as anybody told: counted, between two bounds, or not known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """``nfe``, ``nfe_kind`` and the bounds of `decoders.rows.Decoded`."""

    kind: str
    nfe: int | None = None
    low: int | None = None
    high: int | None = None


UNKNOWN = Steps(kind="unknown")


def counted(nfe: int | None) -> Steps:
    """Return what a server told; nothing, or no step at all, is `UNKNOWN`."""
    return Steps(kind="counted", nfe=nfe) if nfe is not None and nfe >= 1 else UNKNOWN


def block_bounds(tokens: int | None, block: int | None, *, prompt: int | None, ended: bool) -> Steps:
    """Return the bounds of blocks decoded one after the other: blocks <= nfe <= blocks x (block + 1).

    Every block takes at least one forward; at most one for each of its positions and one that stores it. The
    first block may hold the end of the prompt, and the token that ended the answer may not be among those
    told, so the upper bound has as many blocks as there can be.

    Args:
        tokens: Generated tokens that the server tells, or None.
        block: Length of a block, or None.
        prompt: Tokens of the prompt that the server tells; None may end anywhere in a block.
        ended: Whether the server ended the answer by itself.
    """
    if tokens is None or block is None or tokens < 1:
        return UNKNOWN
    before = block - 1 if prompt is None else prompt % block
    most = -(-(before + tokens + ended) // block)
    return Steps(kind="bounds", low=-(-tokens // block), high=most * (block + 1))
