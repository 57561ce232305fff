"""Checks of a network just loaded: each catches a fault that loads silently and gives wrong logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decoders.byte_tokenizer import ByteTokenizer
from decoders.loading import LoadError

if TYPE_CHECKING:
    from decoders.models.native import NativeDenoiser, Plan

FLOAT32_TOLERANCE = 1e-4
"""How far float32 logits of size 1 may move by rounding when a batch changes shape; grows with their size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTest:
    """One check made when a model was loaded. A model that failed one is never returned."""

    name: str
    passed: bool
    detail: str


def check(denoiser: NativeDenoiser, plan: Plan) -> tuple[SelfTest, ...]:
    """Return every check of *denoiser*, all passed.

    Raises:
        LoadError: One failed; the message holds its detail.
    """
    tests = run(denoiser, plan)
    for test in tests:
        if not test.passed:
            raise LoadError(
                f"self-test {test.name!r} of {denoiser.name!r} must pass, got: {test.detail}; check that the "
                "checkpoint is complete and that the versions of torch and transformers are supported"
            )
    return tests


def run(denoiser: NativeDenoiser, plan: Plan) -> tuple[SelfTest, ...]:
    """Return the outcome of every check, passed or not."""
    return (
        _rope(denoiser, plan),
        _padding(denoiser),
        _both_directions(denoiser),
        _suppression(denoiser),
        _mask_token(denoiser),
    )


def _probe(denoiser: NativeDenoiser, *, pads: int = 0, last: int = 0) -> Tensor:
    """Return float32 logits [8, V] of a fixed row of 8 tokens with *pads* pads before it."""
    length = 8
    ids = (torch.arange(1, length + 1) * 37) % denoiser.vocab_size
    ids[-1] = (ids[-1] + last) % denoiser.vocab_size
    ids[length // 2] = denoiser.mask_id
    canvas = torch.cat([torch.full((pads,), denoiser.pad_id), ids]).unsqueeze(0).to(denoiser.device)
    attend = (torch.arange(pads + length, device=denoiser.device) >= pads).unsqueeze(0)
    query = torch.stack([torch.zeros(length, dtype=torch.int64), torch.arange(pads, pads + length)], dim=1)
    return denoiser.raw_logits(canvas, attend, query)


def _rope(denoiser: NativeDenoiser, plan: Plan) -> SelfTest:
    """Every table of inverse frequencies is ``theta ** (-2 i / head_dim)``."""
    powers = torch.arange(0, plan.head_dim, 2, dtype=torch.float64) / plan.head_dim
    formula = plan.rope_theta ** (-powers)
    tables = [table for name, table in denoiser.network.named_buffers() if name.endswith("inv_freq")]
    error = max((float((t.cpu().double() / formula - 1.0).abs().max()) for t in tables), default=float("nan"))
    return SelfTest(
        name="inv_freq",
        passed=error <= 1e-5,
        detail=f"relative error {error:.1e} over {len(tables)} rotary tables",
    )


def _padding(denoiser: NativeDenoiser) -> SelfTest:
    """Padding on the left changes no logit but by rounding (reported only, below float32)."""
    alone, padded = _probe(denoiser), _probe(denoiser, pads=3)
    difference, size = float((alone - padded).abs().max()), float(alone.abs().max())
    allowed = FLOAT32_TOLERANCE * max(1.0, size)
    return SelfTest(
        name="padding",
        passed=difference <= allowed if denoiser.dtype == "float32" else difference < float("inf"),
        detail=f"padding moves logits by {difference:.1e} at size {size:.1e} in {denoiser.dtype}",
    )


def _both_directions(denoiser: NativeDenoiser) -> SelfTest:
    """Another last token changes earlier logits: attention is not causal."""
    difference = float((_probe(denoiser) - _probe(denoiser, last=1))[:-1].abs().max())
    return SelfTest(
        name="both_directions",
        passed=difference > 0.0,
        detail=f"a later token moves earlier logits by {difference:.1e}",
    )


def _suppression(denoiser: NativeDenoiser) -> SelfTest:
    """Suppressed columns are -inf, MASK among them; all others are finite."""
    canvas = torch.full((1, 2), denoiser.mask_id)
    logits = denoiser(canvas, torch.ones(1, 2, dtype=torch.bool), torch.tensor([[0, 0], [0, 1]]), (None,))
    finite = torch.isfinite(logits)
    suppressed = torch.zeros(denoiser.vocab_size, dtype=torch.bool, device=logits.device)
    suppressed[list(denoiser.suppressed_ids)] = True
    return SelfTest(
        name="suppression",
        passed=bool((finite == ~suppressed).all() and (logits[:, denoiser.mask_id] == float("-inf")).all()),
        detail=f"{int((~finite).any(dim=0).sum())} columns not finite, {int(suppressed.sum())} suppressed",
    )


def _mask_token(denoiser: NativeDenoiser) -> SelfTest:
    """The mask is neither an end nor padding, and is what the tokenizer calls the mask, if it does."""
    tokenizer = denoiser.tokenizer
    written = None if isinstance(tokenizer, ByteTokenizer) else tokenizer.token_id(denoiser.chat.mask)
    others = {*denoiser.eos_ids, denoiser.pad_id}
    return SelfTest(
        name="mask_token",
        passed=denoiser.mask_id not in others and written in (None, denoiser.mask_id),
        detail=f"config.json: {denoiser.mask_id}, tokenizer: {written}; EOS and padding: {sorted(others)}",
    )
