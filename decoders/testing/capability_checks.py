"""Checks of the conformance kit for what a denoiser offers beyond logits: shadows, attention, a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decoders.loop.block_grid import trained_block
from decoders.protocols import Denoiser, HasAttention, HasCache, HasShadow
from decoders.traits import model_traits


def check_capabilities(
    denoiser: Denoiser,
    *,
    canvas: Tensor,
    attend: Tensor,
    contexts: Sequence[Any],
    gen_length: int,
    tolerance: float,
) -> None:
    """Check the optional capabilities of *denoiser* that it has and does not name in ``lacks``.

    Args:
        denoiser: The model.
        canvas: int64 [B, L], left-padded, the generated region masked.
        attend: bool [B, L].
        contexts: One opaque object per row.
        gen_length: Positions of the generated region, at least 2.
        tolerance: Largest difference of a log probability or a weight.

    Raises:
        AssertionError: With the law that is broken.
    """
    lacks = model_traits(denoiser).lacks
    first = canvas.shape[1] - gen_length
    rows = torch.arange(len(canvas), device=canvas.device)
    query = torch.cartesian_prod(rows, torch.arange(first, canvas.shape[1], device=canvas.device))
    plain = denoiser(canvas, attend, query, list(contexts))
    if isinstance(denoiser, HasShadow) and "shadow" not in lacks:
        half = first + gen_length // 2
        filled = canvas.clone()
        filled[:, first:half] = min(denoiser.eos_ids)
        _check_shadows(denoiser, filled, attend, list(contexts), first, half, tolerance)
    if isinstance(denoiser, HasAttention) and "attention" not in lacks:
        _check_attention(denoiser, canvas, attend, query, list(contexts), plain, tolerance)
    if isinstance(denoiser, HasCache) and "cache" not in lacks:
        _check_cache(denoiser, canvas, attend, query, list(contexts), plain, tolerance)
        block = trained_block(denoiser)
        if block is not None:
            _check_block_cache(denoiser, canvas, attend, list(contexts), first, block, tolerance)


def _check_attention(
    denoiser: HasAttention,
    canvas: Tensor,
    attend: Tensor,
    query: Tensor,
    contexts: list[Any],
    plain: Tensor,
    tolerance: float,
) -> None:
    first = int(query[0, 1])
    logits, weights = denoiser.with_attention(canvas, attend, query, first, contexts)
    assert _close(logits, plain, tolerance), "attention maps change no logit"
    shape = (len(canvas), canvas.shape[1] - first, canvas.shape[1] - first)
    assert weights.shape == shape, f"attention is [B, G, G] = {shape}, got {tuple(weights.shape)}"
    good = bool((weights >= 0.0).all() and (weights.sum(dim=2) <= 1.0 + tolerance).all())
    assert good, "attention weights are shares of 1"
    for row in range(len(canvas)):
        start = int((~attend[row]).sum())
        part = query[query[:, 0] == row] - torch.tensor([row, start], device=query.device)
        _, alone = denoiser.with_attention(
            canvas[[row], start:], attend[[row], start:], part, first - start, [contexts[row]]
        )
        assert _close(alone[0], weights[row], tolerance), "padding and batch mates change no attention"
    _, whole = denoiser.with_attention(canvas, attend, query, 0, contexts, layers=1)
    among_real = whole.sum(dim=2)[attend]
    assert _close(among_real, torch.ones_like(among_real), tolerance), "weights of a whole row add up to 1"


def _check_shadows(
    denoiser: Any,
    canvas: Tensor,
    attend: Tensor,
    contexts: list[Any],
    first: int,
    half: int,
    tolerance: float,
) -> None:
    length = canvas.shape[1]
    rows = torch.arange(len(canvas), device=canvas.device)
    query = torch.cartesian_prod(rows, torch.arange(half, length, device=canvas.device))
    judged = torch.cartesian_prod(rows, torch.arange(first, half, device=canvas.device))
    blocks = [(first, length)] * len(canvas)
    logits, found = denoiser.with_shadows(canvas, attend, query, blocks, judged, contexts)
    assert _close(logits, denoiser(canvas, attend, query, contexts), tolerance), "shadows change no logit"
    shape = (len(judged), logits.shape[1])
    assert found.shape == shape, f"logits of shadows are [M, V] = {shape}, got {tuple(found.shape)}"
    log_p = torch.log_softmax(found.float(), dim=1)
    assert not torch.isnan(log_p).any(), "logits of shadows are finite somewhere and never NaN"
    for row in range(len(canvas)):
        start = int((~attend[row]).sum())
        shift = torch.tensor([row, start], device=canvas.device)
        _, alone = denoiser.with_shadows(
            canvas[[row], start:],
            attend[[row], start:],
            query[query[:, 0] == row] - shift,
            [(first - start, length - start)],
            judged[judged[:, 0] == row] - shift,
            [contexts[row]],
        )
        mine = log_p[judged[:, 0] == row][:, : alone.shape[1]]
        assert _close(torch.log_softmax(alone.float(), dim=1), mine, tolerance), (
            "padding and batch mates change no shadow"
        )


def _check_cache(
    denoiser: HasCache,
    canvas: Tensor,
    attend: Tensor,
    query: Tensor,
    contexts: list[Any],
    plain: Tensor,
    tolerance: float,
) -> None:
    length = canvas.shape[1]
    cache = denoiser.new_cache(len(canvas), length)
    rows = torch.arange(len(canvas), device=canvas.device)
    full = denoiser.with_cache(canvas, attend, query, contexts, cache, rows, None)
    assert _close(full, plain, tolerance), "a forward of all columns gives the logits of a plain call"
    first = int(query[0, 1]) - denoiser.window_margin
    for window in ([(first, length)] * len(canvas), [(first, length), (max(first - 1, 0), length)]):
        again = denoiser.with_cache(canvas, attend, query, contexts, cache, rows, window)
        assert _close(again, plain, tolerance), (
            "columns that did not change give the same logits from a cache"
        )
    last = rows[-1:]
    mine = query[:, 0] == last
    part = query[mine] - torch.tensor([int(last), 0], device=query.device)
    alone = denoiser.with_cache(
        canvas[last], attend[last], part, contexts[-1:], cache, last, [(first, length)]
    )
    assert _close(alone, plain[mine], tolerance), "a row finds its own part of the cache"


def _check_block_cache(
    denoiser: Any,
    canvas: Tensor,
    attend: Tensor,
    contexts: list[Any],
    first: int,
    block: int,
    tolerance: float,
) -> None:
    """Check what a block cache leaves out, at the last border of blocks in rows longer by one block."""
    extra = (len(canvas), block)
    canvas = torch.cat([canvas, canvas.new_full(extra, denoiser.mask_id)], dim=1)
    attend = torch.cat([attend, attend.new_ones(extra)], dim=1)
    rows, length = torch.arange(len(canvas), device=canvas.device), canvas.shape[1]
    cache = denoiser.new_cache(len(canvas), length)

    def check(asked: list[tuple[int, int]], window: list[tuple[int, int]], law: str) -> None:
        pairs = [(row, column) for row, bounds in enumerate(asked) for column in range(*bounds)]
        query = torch.tensor(pairs, device=canvas.device)
        found = denoiser.with_cache(canvas, attend, query, contexts, cache, rows, window)
        assert _close(found, denoiser(canvas, attend, query, contexts), tolerance), law

    starts = [int((~mine).sum()) for mine in attend]
    borders = [start + (length - start - 1) // block * block for start in starts]
    begins = [border - block for border in borders]
    for row, begin in enumerate(begins):
        canvas[row, first:begin] = min(denoiser.eos_ids)
    check(
        [(max(first, begin), border) for begin, border in zip(begins, borders, strict=True)],
        list(zip(starts, borders, strict=True)),
        "columns to the right of a block change no logit in it",
    )
    for row, border in enumerate(borders):
        canvas[row, first:border] = min(denoiser.eos_ids)
    check(
        [(border, length) for border in borders],
        [(begin, length) for begin in begins],
        "keys and values of finished blocks stay as they are",
    )


def _close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    found, expected = (values.float().nan_to_num(neginf=-1e4) for values in (found, expected))
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=0.0, atol=tolerance)
