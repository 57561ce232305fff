"""What models that own their loop share: batches of rows, left-padded prompts, parameters by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from decoders.rows import Decoded, Row


def in_batches(
    rows: Sequence[Row], decode: Callable[[list[Row]], list[Decoded]], *, tokens: int
) -> list[Decoded]:
    """Return what *decode* gives for *rows*, in their order.

    Args:
        rows: What to decode.
        decode: Called with rows of one generated length; gives one result for each.
        tokens: Canvas positions of one call at the most, unless a single row has more.
    """
    results: dict[int, Decoded] = {}
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: (rows[i].gen_length, len(rows[i].prompt_ids))):
        row = rows[index]
        width = len(row.prompt_ids) + row.gen_length
        other_length = bool(batch) and row.gen_length != rows[batch[0]].gen_length
        if batch and (other_length or (len(batch) + 1) * width > tokens):
            results |= zip(batch, decode([rows[i] for i in batch]), strict=True)
            batch = []
        batch.append(index)
    if batch:
        results |= zip(batch, decode([rows[i] for i in batch]), strict=True)
    return [results[index] for index in range(len(rows))]


def padded_prompts(rows: Sequence[Row], *, pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the prompts of *rows*, left-padded: int64 ids [B, P], and bool [B, P], False at padding."""
    width = max(len(row.prompt_ids) for row in rows)
    pads = [width - len(row.prompt_ids) for row in rows]
    ids = [(pad_id,) * n + row.prompt_ids for n, row in zip(pads, rows, strict=True)]
    prompts = torch.tensor(ids, dtype=torch.int64, device=device).view(len(rows), width)
    attend = torch.arange(width, device=device) >= torch.tensor(pads, device=device)[:, None]
    return prompts, attend


def canvas_of(rows: Sequence[Row], *, pad_id: int, fill: Tensor) -> tuple[Tensor, Tensor]:
    """Return canvases [B, P + G] of left-padded prompts with *fill* [B, G] after them; where to attend."""
    prompts, attend = padded_prompts(rows, pad_id=pad_id, device=fill.device)
    return torch.cat([prompts, fill], dim=1), torch.cat(
        [attend, torch.ones_like(fill, dtype=torch.bool)], dim=1
    )


def positions_of(prompt_width: int, shape: tuple[int, int], device: torch.device) -> Tensor:
    """Return queries [B * G, 2] of all generated positions, for a region of *shape* (B, G)."""
    n_rows, length = shape
    row = torch.arange(n_rows, device=device).repeat_interleave(length)
    return torch.stack([row, prompt_width + torch.arange(length, device=device).repeat(n_rows)], dim=1)


def check_rows(rows: Sequence[Row], *, name: str, greedy: bool) -> None:
    """Raise a ValueError for a row that asks for what a model with its own loop does not have."""
    for row in rows:
        if row.template_ids is not None:
            raise ValueError(
                f"template_ids must be None for {name!r}, got a template in row {row.key!r}; "
                "infilling needs a mask predictor"
            )
        if greedy and row.setting.temperature > 0.0:
            raise ValueError(
                f"temperature must be 0 for {name!r}, got {row.setting.temperature!r} in row {row.key!r}; "
                "its own loop is greedy"
            )


def read_params(params: Mapping[str, Any], defaults: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Return *defaults* with *params* over them; a value must have the type of its default, None is a count.

    Raises:
        ValueError: A name or a type is wrong.
    """
    for key, value in params.items():
        if key not in defaults:
            known = ", ".join(sorted(defaults)) or "none"
            raise ValueError(
                f"parameters of native for {name!r} must be of {known}, got {key!r}; correct or remove it"
            )
        kind = int if defaults[key] is None else type(defaults[key])
        number = kind is float and type(value) is int
        if type(value) is not kind and not number and not (value is None and defaults[key] is None):
            raise ValueError(f"{key} must be of type {kind.__name__} for {name!r}, got {value!r}; correct it")
    return {**defaults, **params}


def must_be_at_least(value: int | float, least: int | float, *, key: str) -> None:
    """Raise a ValueError unless *value* is at least *least*."""
    if value < least:
        raise ValueError(f"{key} must be at least {least}, got {value!r}; raise it")
