"""Checks of a network with code of its own, whose conventions are assumed and not known."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from decoders.network.self_tests import RELATIVE_TOLERANCE, Probed, SelfTest, suppression
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.hf_tokenizer import HFTokenizer

LONGEST = 128
"""Length of the row that is to show attention over its whole length."""


class Called(Probed, Protocol):
    """What the checks need of a model."""

    eos_ids: frozenset[int]
    max_length: int | None
    tokenizer: HFTokenizer | ByteTokenizer


def run(denoiser: Called, *, written_mask: str | None) -> tuple[SelfTest, ...]:
    """Return the outcome of every check, passed or not.

    Args:
        denoiser: The model.
        written_mask: What the tokenizer's files call the mask token, or None.
    """
    return (
        _repeated(denoiser),
        _batch_mates(denoiser),
        _both_directions(denoiser),
        suppression(denoiser),
        _mask_token(denoiser, written_mask),
    )


def _all_rows(denoiser: Called, ids: Tensor) -> Tensor:
    """Return the logits [B, L, V] of every position of *ids*."""
    n_rows, length = ids.shape
    query = torch.cartesian_prod(torch.arange(n_rows), torch.arange(length))
    return denoiser.raw_logits(ids, torch.ones_like(ids, dtype=torch.bool), query).view(n_rows, length, -1)


def _text(denoiser: Called, length: int, last: int = 0) -> Tensor:
    """Return a fixed row [1, length] whose second half is masked but for its last token."""
    ids = (torch.arange(1, length + 1) * 37) % denoiser.vocab_size
    ids[length // 2 : -1] = denoiser.mask_id
    ids[-1] = (ids[-1] + last) % denoiser.vocab_size
    return ids.unsqueeze(0)


def _repeated(denoiser: Called) -> SelfTest:
    """The same row twice gives the same logits: no dropout, no table of uninitialised memory."""
    ids = _text(denoiser, 8)
    difference = float((_all_rows(denoiser, ids) - _all_rows(denoiser, ids)).abs().max())
    return SelfTest(
        name="repeated", passed=difference == 0.0, detail=f"a second forward differs by {difference:.1e}"
    )


def _batch_mates(denoiser: Called) -> SelfTest:
    """Another row in the batch changes no logit but by rounding."""
    one = _text(denoiser, 8)
    other = (one + 11) % denoiser.vocab_size
    alone = _all_rows(denoiser, one)
    difference = float((_all_rows(denoiser, torch.cat([one, other]))[:1] - alone).abs().max())
    allowed = RELATIVE_TOLERANCE[denoiser.dtype] * max(1.0, float(alone.abs().max()))
    return SelfTest(
        name="batch_mates",
        passed=difference <= allowed,
        detail=f"another row moves logits by {difference:.1e}",
    )


def _both_directions(denoiser: Called) -> SelfTest:
    """Another last token changes the first half: attention is neither causal nor in blocks up to 64."""
    length = min(LONGEST, denoiser.max_length or LONGEST)
    before, after = (_all_rows(denoiser, _text(denoiser, length, last)) for last in (0, 1))
    difference = float((before - after)[:, : length // 2].abs().max())
    return SelfTest(
        name="both_directions",
        passed=difference > 0.0,
        detail=f"the last of {length} tokens moves logits of the first half by {difference:.1e}",
    )


def _mask_token(denoiser: Called, written: str | None) -> SelfTest:
    """The mask is neither an end nor padding, and is what the tokenizer calls the mask, if it does."""
    tokenizer = denoiser.tokenizer
    found = (
        tokenizer.token_id(written) if written is not None and isinstance(tokenizer, HFTokenizer) else None
    )
    others = sorted({*denoiser.eos_ids, denoiser.pad_id})
    return SelfTest(
        name="mask_token",
        passed=denoiser.mask_id not in others and found in (None, denoiser.mask_id),
        detail=f"config.json: {denoiser.mask_id}, tokenizer: {found}; EOS and padding: {others}",
    )
