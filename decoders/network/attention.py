"""Attention inputs of causal networks used in both directions: key masks and positions.

Legend: B = rows, L = canvas length.
"""

from __future__ import annotations

import torch
from torch import Tensor


def key_mask(attend: Tensor) -> Tensor:
    """Return the bool mask [B, 1, L, L] in which every query sees exactly the positions that *attend* marks.

    Only keys are masked: a query at padding then still has something to look at and cannot become NaN.
    The result is a view: the query dimension takes no memory.

    Args:
        attend: bool [B, L], False at padding.
    """
    _must_be_bool(attend)
    rows, length = attend.shape
    return attend[:, None, None, :].expand(rows, 1, length, length)


def block_mask(attend: Tensor, block_length: int) -> Tensor:
    """Return the bool mask [B, 1, L, L] in which a query sees its own block and those before it.

    The grid of blocks starts at the first attended token of each row, so that rows with prompts of different
    lengths may share a batch. Only keys are masked: padding on the left sees the first block.

    Source: block-causal attention of SDAR (arXiv:2510.06303) and LLaDA2.0.

    Args:
        attend: bool [B, L], False at padding.
        block_length: Tokens in a block; 1 is causal attention.
    """
    _must_be_bool(attend)
    block = position_ids(attend) // block_length
    return (attend[:, None, :] & (block[:, None, :] <= block[:, :, None]))[:, None]


def causal_mask(attend: Tensor, queries: int) -> Tensor:
    """Return the bool mask [B, 1, Q, L] in which the last *queries* positions see all up to themselves.

    A query at padding sees itself, so that it cannot become NaN.

    Args:
        attend: bool [B, L], False at padding.
        queries: How many positions, the last ones, ask.
    """
    _must_be_bool(attend)
    place = torch.arange(attend.shape[1], device=attend.device)
    before, itself = (compare(place[None, :], place[-queries:, None]) for compare in (torch.le, torch.eq))
    return ((attend[:, None, :] & before) | itself)[:, None]


def _must_be_bool(attend: Tensor) -> None:
    if attend.dtype != torch.bool:
        raise TypeError(
            f"attend must be a bool tensor, got {attend.dtype}; a 0/1 float mask would be added to the scores"
        )


def position_ids(attend: Tensor) -> Tensor:
    """Return int64 positions [B, L] that count each row's attended tokens from 0; 0 at padding before them.

    Args:
        attend: bool [B, L], False at padding.
    """
    return (attend.long().cumsum(dim=1) - 1).clamp(min=0)
