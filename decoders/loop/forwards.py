"""One forward of a batch: which positions are asked for, and by which of the denoiser's capabilities.

Legend: B = rows in the batch, G = generated length, N = queried positions, M = judged positions, C = columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from decoders.devices import placed
from decoders.loop import sampling
from decoders.loop.needs import needs_of
from decoders.loop.slots import Slots, join_memory, memory_rows
from decoders.loop.view import (
    Proposals,
    between,
    flat_query,
    propose,
    query_spans,
    verify,
)
from decoders.protocols import Denoiser, HasAttention, HasCache, HasShadow
from decoders.traits import method_traits


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What the denoiser said.

    ``query`` and ``judged`` are pairs (row, generated position); ``judged`` are the visible positions of the
    blocks, with the logits of their shadows. ``evaluated`` counts the canvas positions computed for each row.
    """

    query: Tensor  # int64 [N, 2]
    logits: Tensor  # float [N, C]
    judged: Tensor | None = None  # int64 [M, 2]
    judged_logits: Tensor | None = None  # float [M, C]
    attention: Tensor | None = None  # float32 [B, G, G]
    row_attention: Tensor | None = None  # float32 [B, L, L]
    row_log_odds: Tensor | None = None  # float64 [B, L], of the best token at every real position
    cache: Any = None
    evaluated: tuple[int, ...]


def listen(slots: Slots, denoiser: Denoiser) -> Heard:
    """Run the forward that the rows of *slots* need; all of them have equal needs.

    Raises:
        ValueError: The denoiser gave tensors of a wrong shape.
    """
    needs = needs_of(slots.rows[0].setting)
    query = flat_query(slots.asked, sum(slots.query_count))
    whole = tuple(len(row.prompt_ids) + row.gen_length for row in slots.rows)
    if needs.cache != "none":
        return _cached(slots, denoiser, query, whole)
    contexts = [row.context for row in slots.rows]
    asked = _in_canvas(slots, query)
    if needs.shadow:
        return _shadowed(slots, denoiser, query, whole)
    if needs.row_attention:
        return _whole_rows(slots, denoiser, query, whole)
    if needs.attention:
        first = slots.canvas.shape[1] - slots.gen_length
        logits, attention = cast(HasAttention, denoiser).with_attention(
            slots.canvas, slots.attend, asked, first, contexts
        )
        _check_attention(attention, (len(slots), slots.gen_length, slots.gen_length))
        _check_logits(logits, len(query), slots, denoiser.vocab_size)
        return Heard(query=query, logits=logits, attention=attention.float(), evaluated=whole)
    if needs.guidance:
        return _guided(slots, denoiser, query, whole)
    logits = denoiser(slots.canvas, slots.attend, asked, contexts)
    _check_logits(logits, len(query), slots, denoiser.vocab_size)
    return Heard(query=query, logits=logits, evaluated=whole)


def interpret(slots: Slots, heard: Heard, *, unbiased: bool) -> Proposals:
    """Return the proposals, and what else was heard, by row and generated position."""
    found = replace(
        propose(slots, heard.logits, heard.query, unbiased=unbiased),
        attention=heard.attention,
        row_attention=heard.row_attention,
        row_log_odds=heard.row_log_odds,
    )
    if heard.judged is None or heard.judged_logits is None:
        return found
    return verify(slots, found, heard.judged, heard.judged_logits)


def _whole_rows(slots: Slots, denoiser: Denoiser, query: Tensor, whole: tuple[int, ...]) -> Heard:
    """Ask for every real position of every row, and for who looks where among them."""
    asked = flat_query(slots.attend, sum(whole))
    layers = needs_of(slots.rows[0].setting).layers
    logits, attention = cast(HasAttention, denoiser).with_attention(
        slots.canvas, slots.attend, asked, 0, [row.context for row in slots.rows], layers=layers
    )
    _check_logits(logits, len(asked), slots, denoiser.vocab_size)
    _check_attention(attention, (len(slots), *(2 * slots.canvas.shape[1:])))
    odds = torch.full(slots.canvas.shape, float("-inf"), dtype=torch.float64, device=logits.device)
    odds[asked[:, 0], asked[:, 1]] = sampling.log_odds(logits.float(), logits.argmax(dim=1))
    place = slots.attend.flatten().cumsum(dim=0).view_as(slots.attend) - 1
    at = _in_canvas(slots, query)
    return Heard(
        query=query,
        logits=logits[place[at[:, 0], at[:, 1]]],
        row_attention=attention.float() * slots.attend.unsqueeze(2),
        row_log_odds=odds,
        evaluated=whole,
    )


def _check_attention(attention: Tensor, expected: tuple[int, ...]) -> None:
    if attention.shape != expected:
        raise ValueError(
            f"attention must have the shape {expected}, got {tuple(attention.shape)}; "
            "give one weight per pair of positions from the first asked for on"
        )


def _guided(slots: Slots, denoiser: Denoiser, query: Tensor, whole: Sequence[int]) -> Heard:
    """Evaluate every canvas twice in one forward: as it is, and with all that was given masked.

    A token that one of the two rules out keeps its own logit.
    """
    given = slots.attend.clone()
    given[:, -slots.gen_length :] = ~slots.fillable
    without = slots.canvas.masked_fill(given, denoiser.mask_id)
    asked = _in_canvas(slots, query)
    both = denoiser(
        torch.cat([slots.canvas, without]),
        slots.attend.repeat(2, 1),
        torch.cat([asked, asked + placed([len(slots), 0], asked.device)]),
        [row.context for row in slots.rows] * 2,
    )
    _check_logits(both, 2 * len(query), slots, denoiser.vocab_size)
    own, other = both.float().chunk(2)
    scale = placed([method_traits(row.setting.method).guidance for row in slots.rows], own.device)
    gap = (own - other).masked_fill(own.isinf() | other.isinf(), 0.0)
    logits = own + scale[query[:, 0]].unsqueeze(1) * gap
    return Heard(query=query, logits=logits, evaluated=tuple(2 * size for size in whole))


def _shadowed(slots: Slots, denoiser: Denoiser, query: Tensor, whole: Sequence[int]) -> Heard:
    lengths = [end - start for start, end in slots.block_bounds]
    first = slots.canvas.shape[1] - slots.gen_length
    blocks = [(first + start, first + end) for start, end in slots.block_bounds]
    visible = between(slots, slots.block_from, slots.block_to) & ~slots.eligible
    judged = flat_query(visible, sum(lengths) - sum(slots.eligible_count))
    logits, judged_logits = cast(HasShadow, denoiser).with_shadows(
        slots.canvas,
        slots.attend,
        _in_canvas(slots, query),
        blocks,
        _in_canvas(slots, judged),
        [row.context for row in slots.rows],
    )
    _check_logits(logits, len(query), slots, denoiser.vocab_size)
    _check_logits(judged_logits, len(judged), slots, denoiser.vocab_size)
    return Heard(
        query=query,
        logits=logits,
        judged=judged,
        judged_logits=judged_logits,
        evaluated=tuple(size + extra for size, extra in zip(whole, lengths, strict=True)),
    )


def _cached(slots: Slots, denoiser: Denoiser, query: Tensor, whole: Sequence[int]) -> Heard:
    """Evaluate the window of each row, or all its columns, in two forwards: the wide ones and the others.

    Wide are the rows that enter a block, which evaluate all columns; of a block cache those without keys.
    """
    cacher = cast(HasCache, denoiser)
    known = 0 if slots.cache is None else memory_rows(slots.cache)
    cache = slots.cache
    if known < len(slots):
        cache = join_memory(cache, cacher.new_cache(len(slots) - known, slots.canvas.shape[1]))
    evaluated, parts = list(whole), []
    by_block = slots.rows[0].setting.cache == "block"
    is_wide = tuple(index >= known for index in range(len(slots))) if by_block else slots.at_entry
    wide = [index for index, is_so in enumerate(is_wide) if is_so]
    narrow = [index for index, is_so in enumerate(is_wide) if not is_so]
    for members, is_full in ((wide, not by_block), (narrow, False)):
        if not members:
            continue
        window = None if is_full else [_window(slots, index, cacher.window_margin) for index in members]
        for index, (start, end) in zip(members, window or (), strict=False):
            evaluated[index] = end - start
        rows = placed(members, query.device, torch.long)
        flat = query_spans(slots, members)
        asked = _in_canvas(slots, query[flat])
        local = torch.zeros(len(slots), dtype=torch.long, device=query.device)
        local[rows] = torch.arange(len(members), device=query.device)
        logits = cacher.with_cache(
            slots.canvas[rows],
            slots.attend[rows],
            torch.stack([local[asked[:, 0]], asked[:, 1]], dim=1),
            [slots.rows[index].context for index in members],
            cache,
            rows,
            window,
        )
        _check_logits(logits, len(asked), slots, denoiser.vocab_size)
        parts.append((flat, logits))
    logits = parts[0][1]
    if len(parts) > 1:
        logits = logits.new_empty(len(query), logits.shape[1])
        for flat, part in parts:
            logits[flat] = part
    return Heard(query=query, logits=logits, cache=cache, evaluated=tuple(evaluated))


def _window(slots: Slots, index: int, margin: int) -> tuple[int, int]:
    """Return the columns that a row must evaluate within its block, and with a block cache at entry too.

    Under block-causal attention the keys of a finished block never change, and nothing looks to the right of
    its block. So a block cache evaluates what comes since the block of the forward before, whose keys were
    made while it had masks; before a row's first forward nothing is stored, and it starts with the prompt.
    """
    row, columns = slots.rows[index], slots.canvas.shape[1]
    first = columns - row.gen_length
    if row.setting.cache != "block" and method_traits(row.setting.method).enters_by_first:
        margin = 0
    block, end = slots.block_bounds[index]
    if row.setting.cache == "block":
        block = slots.stored_until[index]
    start = max(first - len(row.prompt_ids), first + block - margin)
    if row.setting.cache == "prefix":
        return start, columns
    return start, first + end


def _in_canvas(slots: Slots, pairs: Tensor) -> Tensor:
    return pairs + placed([0, slots.canvas.shape[1] - slots.gen_length], pairs.device)


def _check_logits(logits: Tensor, n_queries: int, slots: Slots, vocab_size: int) -> None:
    widest = vocab_size if slots.support is None else slots.support.shape[1]
    fits = logits.ndim == 2 and len(logits) == n_queries and 0 < logits.shape[1] <= widest
    if not fits or (slots.support is None and logits.shape[1] != vocab_size):
        raise ValueError(
            f"logits must have the shape {(n_queries, widest)}, got {tuple(logits.shape)}; "
            "give one row per query, and the vocabulary or the support as columns"
        )
