"""Checks of a network just loaded: each catches a fault that loads silently and gives wrong logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from decoders.loading.checkpoint import LoadError
from decoders.network.plan import Plan
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.chat import ChatFormat
from decoders.text.hf_tokenizer import HFTokenizer

RELATIVE_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
"""How far logits of size 1 may move by rounding when a batch changes shape; grows with their size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTest:
    """One check made when a model was loaded. A model that failed one is never returned."""

    name: str
    passed: bool
    detail: str


class Probed(Protocol):
    """What the checks of attention and padding need of a model."""

    name: str
    dtype: str
    device: torch.device
    mask_id: int
    pad_id: int
    vocab_size: int
    suppressed_ids: tuple[int, ...]

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return aligned logits [N, V], suppressed columns at -inf."""
        ...

    def raw_logits(self, canvas: Tensor, attend: Tensor, query: Tensor) -> Tensor:
        """Return the logits [N, V] of the network's rows *query*, nothing suppressed or shifted."""
        ...


class Native(Probed, Protocol):
    """What the checks of a network of transformers need besides."""

    eos_ids: frozenset[int]
    tokenizer: HFTokenizer | ByteTokenizer
    chat: ChatFormat
    network: Any
    shift: bool
    block_length: int | None


def check(denoiser: Native, plan: Plan) -> tuple[SelfTest, ...]:
    """Return every check of *denoiser*, all passed.

    Raises:
        LoadError: One failed; the message holds its detail.
    """
    return all_passed(denoiser.name, run(denoiser, plan))


def all_passed(name: str, tests: tuple[SelfTest, ...]) -> tuple[SelfTest, ...]:
    """Return *tests* of the model called *name*.

    Raises:
        LoadError: One failed; the message holds its detail.
    """
    for test in tests:
        if not test.passed:
            raise LoadError(
                f"self-test {test.name!r} of {name!r} must pass, got: {test.detail}; check that the "
                "checkpoint is complete and that the versions of torch and transformers are supported"
            )
    return tests


def run(denoiser: Native, plan: Plan) -> tuple[SelfTest, ...]:
    """Return the outcome of every check, passed or not."""
    block = denoiser.block_length
    return (
        rotary_tables(denoiser.network, plan.rope_theta, plan.rotary_dim),
        padding(denoiser, length=block or 8),
        both_directions(denoiser) if block is None else block_causal(denoiser, block),
        _aligned(denoiser),
        suppression(denoiser),
        _mask_token(denoiser),
    )


def _probe(model: Probed, *, length: int, pads: int = 0, last: int = 0) -> Tensor:
    """Return logits [length, V] of a fixed row of *length* tokens with *pads* pads before it."""
    canvas, attend, query = _fixed_row(model, length=length, pads=pads, last=last)
    return model.raw_logits(canvas, attend, query)


def _fixed_row(model: Probed, *, length: int, pads: int = 0, last: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    ids = (torch.arange(1, length + 1) * 37) % model.vocab_size
    ids[-1] = (ids[-1] + last) % model.vocab_size
    ids[length // 2] = model.mask_id
    canvas = torch.cat([torch.full((pads,), model.pad_id), ids]).unsqueeze(0).to(model.device)
    attend = (torch.arange(pads + length, device=model.device) >= pads).unsqueeze(0)
    query = torch.stack([torch.zeros(length, dtype=torch.int64), torch.arange(pads, pads + length)], dim=1)
    return canvas, attend, query.to(model.device)


def rotary_tables(network: Any, theta: float, rotary_dim: int) -> SelfTest:
    """Every table of inverse frequencies is ``theta ** (-2 i / rotary_dim)``."""
    powers = torch.arange(0, rotary_dim, 2, dtype=torch.float64) / rotary_dim
    formula = theta ** (-powers)
    tables = [table.cpu().double() for name, table in network.named_buffers() if name.endswith("inv_freq")]
    errors = [
        float((table / formula - 1.0).abs().max()) if table.shape == formula.shape else float("inf")
        for table in tables
    ]
    error = max(errors, default=float("nan"))
    return SelfTest(
        name="inv_freq",
        passed=error <= 1e-5,
        detail=f"relative error {error:.1e} over {len(tables)} rotary tables",
    )


def padding(model: Probed, *, length: int = 8) -> SelfTest:
    """Padding on the left changes no logit but by rounding (reported only, below float32)."""
    alone, padded = _probe(model, length=length), _probe(model, length=length, pads=3)
    difference, size = float((alone - padded).abs().max()), float(alone.abs().max())
    allowed = RELATIVE_TOLERANCE["float32"] * max(1.0, size)
    return SelfTest(
        name="padding",
        passed=difference <= allowed if model.dtype == "float32" else difference < float("inf"),
        detail=f"padding moves logits by {difference:.1e} at size {size:.1e} in {model.dtype}",
    )


def both_directions(model: Probed) -> SelfTest:
    """Another last token changes earlier logits: attention is not causal."""
    difference = float((_probe(model, length=8) - _probe(model, length=8, last=1))[:-1].abs().max())
    return SelfTest(
        name="both_directions",
        passed=difference > 0.0,
        detail=f"a later token moves earlier logits by {difference:.1e}",
    )


def block_causal(model: Probed, block_length: int) -> SelfTest:
    """Of two blocks, another last token changes earlier logits of the second and none of the first."""
    length = 2 * block_length
    before = _probe(model, length=length)
    change = (before - _probe(model, length=length, last=1)).abs()
    inside, outside = float(change[block_length:-1].max()), float(change[:block_length].max())
    allowed = RELATIVE_TOLERANCE[model.dtype] * max(1.0, float(before.abs().max()))
    return SelfTest(
        name="block_causal",
        passed=inside > 0.0 and outside <= min(allowed, inside),
        detail=f"a later token moves earlier logits of its block of {block_length} by {inside:.1e}, "
        f"those of the block before by {outside:.1e}",
    )


def _aligned(denoiser: Native) -> SelfTest:
    """The logits of a position are the row of the network that predicts it: the one before, if shifted."""
    canvas, attend, query = _fixed_row(denoiser, length=8)
    rows = query[1:] - torch.tensor([0, int(denoiser.shift)], device=query.device)
    free = torch.ones(denoiser.vocab_size, dtype=torch.bool)
    free[list(denoiser.suppressed_ids)] = False
    logits = denoiser(canvas, attend, query[1:], (None,))[:, free]
    difference = float((logits - denoiser.raw_logits(canvas, attend, rows)[:, free]).abs().max())
    return SelfTest(
        name="aligned",
        passed=difference <= RELATIVE_TOLERANCE[denoiser.dtype] * max(1.0, float(logits.abs().max())),
        detail=f"logits differ by {difference:.1e} from rows {int(denoiser.shift)} before their tokens",
    )


def suppression(model: Probed) -> SelfTest:
    """Suppressed columns are -inf, MASK among them; all others are finite."""
    canvas = torch.full((1, 2), model.mask_id)
    logits = model(canvas, torch.ones(1, 2, dtype=torch.bool), torch.tensor([[0, 0], [0, 1]]), (None,))
    finite = torch.isfinite(logits)
    suppressed = torch.zeros(model.vocab_size, dtype=torch.bool, device=logits.device)
    suppressed[list(model.suppressed_ids)] = True
    return SelfTest(
        name="suppression",
        passed=bool((finite == ~suppressed).all() and (logits[:, model.mask_id] == float("-inf")).all()),
        detail=f"{int((~finite).any(dim=0).sum())} columns not finite, {int(suppressed.sum())} suppressed",
    )


def _mask_token(denoiser: Native) -> SelfTest:
    """The mask is neither an end nor padding, and is what the tokenizer calls the mask, if it does."""
    tokenizer = denoiser.tokenizer
    written = None if isinstance(tokenizer, ByteTokenizer) else tokenizer.token_id(denoiser.chat.mask)
    others = {*denoiser.eos_ids, denoiser.pad_id}
    return SelfTest(
        name="mask_token",
        passed=denoiser.mask_id not in others and written in (None, denoiser.mask_id),
        detail=f"config.json: {denoiser.mask_id}, tokenizer: {written}; EOS and padding: {sorted(others)}",
    )
