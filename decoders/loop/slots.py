"""The rows being decoded now, as tensors with rows first. Only `loop.advance` writes the canvas in them.

Legend: B = rows in the batch, P = prompt width (left-padded), G = generated length, L = P + G, C = support
    size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from decoders.devices import placed
from decoders.loop import draws
from decoders.loop.block_grid import grids_of, planned_steps
from decoders.loop.needs import SCOPES
from decoders.protocols import Denoiser, HasSupport, Tokenizer
from decoders.rows import Decoded, Row, Step
from decoders.state import UnmaskingMethod
from decoders.traits import method_traits, model_traits


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """A batch. ``memory`` maps a method to that of its rows in batch order; rows without one yet come last.

    ``block_length``, ``k`` and ``steps_per_block`` are the rows' settings (0 where not given),
    ``block_start``, ``step``, ``steps`` and ``masks_at_entry`` belong to the current block,
    what comes as tuples is on the host. ``cache`` holds the rows first that have had a forward.
    """

    canvas: Tensor  # int64 [B, L]
    attend: Tensor  # bool [B, L]
    fillable: Tensor  # bool [B, G], positions that started masked
    commit_step: Tensor  # int64 [B, G], -1 where not committed
    remasks: Tensor  # int64 [B]
    nfe: Tensor  # int64 [B]
    row_key: Tensor  # int64 [B]
    canvas_key: Tensor  # int64 [B], hash of the generated region
    temperature: Tensor  # float64 [B]
    k: Tensor  # int64 [B]
    block_length: Tensor  # int64 [B]
    steps_per_block: Tensor  # int64 [B]
    may_idle: Tensor  # bool [B]
    scope: Tensor  # int64 [B], which positions are evaluated: an index of `SCOPES`
    planned: Tensor  # int64 [B], steps of the schedule for all blocks, 0 for adaptive methods
    stay: Tensor  # bool [B], held in its block by the last update
    block_offset: Tensor  # int64 [B], positions of the first block that the prompt takes
    block_start: Tensor  # int64 [B], negative where the prompt takes a part of the block
    block_limit: Tensor  # int64 [B], where a method ends the current block; G where none did
    block_from: Tensor  # int64 [B], the first generated position of the current block
    block_to: Tensor  # int64 [B], one after its last
    eligible: Tensor  # bool [B, G], its masked positions, but those left masked for good
    asked: Tensor  # bool [B, G], what the denoiser is asked for: these, and what the scope adds
    moves_block_end: Tensor  # bool [B], a block begins with its first mask
    step: Tensor  # int64 [B]
    steps: Tensor  # int64 [B], scheduled steps of this block, 0 for adaptive methods
    masks_at_entry: Tensor  # int64 [B]
    support: Tensor | None  # int64 [B, C]
    tokenizer: Tokenizer
    eos_ids: frozenset[int]
    rows: tuple[Row, ...]
    eligible_count: tuple[int, ...]  # this and what follows tells the host of the tensors above
    query_count: tuple[int, ...]
    block_bounds: tuple[tuple[int, int], ...]  # first generated position of the block, one after the last
    at_entry: tuple[bool, ...]
    asked_hash: tuple[int, ...]  # of the generated region with what is asked for there
    stored_until: tuple[int, ...]  # where the block cache's final keys end, from the first generated position
    evaluated: tuple[int, ...]  # canvas positions computed so far
    canvases: tuple[int, ...]  # canvases evaluated so far
    history: tuple[tuple[Step, ...], ...]  # what every forward did, empty for rows that do not ask
    cache: Any | None
    memory: dict[UnmaskingMethod, Any]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def gen_length(self) -> int:
        """G."""
        return self.fillable.shape[1]

    @property
    def generated(self) -> Tensor:
        """The generated region of the canvas, [B, G]."""
        return self.canvas[:, -self.gen_length :]

    def groups(self) -> dict[UnmaskingMethod, list[int]]:
        """Return the row indices of each method, in batch order."""
        found: dict[UnmaskingMethod, list[int]] = {}
        for index, row in enumerate(self.rows):
            found.setdefault(row.setting.method, []).append(index)
        return found


ON_HOST = (
    "rows",
    "eligible_count",
    "query_count",
    "block_bounds",
    "at_entry",
    "asked_hash",
    "stored_until",
    "evaluated",
    "canvases",
    "history",
)
"""What a batch knows about each row without asking the device."""


def _tensor_names() -> tuple[str, ...]:
    return tuple(f.name for f in fields(Slots) if f.type == "Tensor")


def slice_memory(memory: Any, index: Tensor) -> Any:
    """Return the rows *index* of a method's memory (None, or a dataclass of tensors with rows first)."""
    if memory is None:
        return None
    return replace(memory, **{f.name: getattr(memory, f.name)[index] for f in fields(memory)})


def join_memory(first: Any, second: Any) -> Any:
    """Return the memory of two groups of rows of one method, the first group's rows first."""
    if first is None or second is None:
        return first if second is None else second
    return replace(
        first, **{f.name: torch.cat([getattr(first, f.name), getattr(second, f.name)]) for f in fields(first)}
    )


def memory_rows(memory: Any) -> int:
    """Return how many rows a memory that is not None holds."""
    return int(getattr(memory, fields(memory)[0].name).shape[0])


def keep(slots: Slots, kept: Sequence[int]) -> Slots:
    """Return the rows *kept* (ascending indices) with all they remember."""
    if len(kept) == len(slots):
        return slots
    index = placed(kept, slots.canvas.device, torch.long)
    memory = {}
    chosen = set(kept)
    for method, members in slots.groups().items():
        state = slots.memory.get(method)
        if state is not None:
            with_memory = members[: memory_rows(state)]
            local = [i for i, row in enumerate(with_memory) if row in chosen]
            memory[method] = slice_memory(state, placed(local, slots.canvas.device, torch.long))
    per_row: dict[str, Any] = {name: getattr(slots, name)[index] for name in _tensor_names()}
    return replace(
        slots,
        **per_row | {name: tuple(getattr(slots, name)[i] for i in kept) for name in ON_HOST},
        support=None if slots.support is None else slots.support[index],
        cache=_kept_cache(slots.cache, index),
        memory={method: state for method, state in memory.items() if memory_rows(state)},
    )


def _kept_cache(cache: Any | None, index: Tensor) -> Any | None:
    if cache is None:
        return None
    left = slice_memory(cache, index[index < memory_rows(cache)])
    return left if memory_rows(left) else None


def join(first: Slots, second: Slots) -> Slots:
    """Return one batch of both; the canvas widths must agree.

    Rows of *first* keep their place, so the memory of a method's rows stays a prefix when *second* has none
    yet.
    """
    support = None
    if first.support is not None and second.support is not None:
        width = max(first.support.shape[1], second.support.shape[1])
        support = torch.cat([_widen(first.support, width), _widen(second.support, width)])
    methods = first.groups().keys() | second.groups().keys()
    memory = {m: join_memory(first.memory.get(m), second.memory.get(m)) for m in methods}
    per_row: dict[str, Any] = {
        name: torch.cat([getattr(first, name), getattr(second, name)]) for name in _tensor_names()
    }
    return Slots(
        **per_row | {name: getattr(first, name) + getattr(second, name) for name in ON_HOST},
        support=support,
        tokenizer=first.tokenizer,
        eos_ids=first.eos_ids,
        cache=join_memory(first.cache, second.cache),
        memory={m: state for m, state in memory.items() if state is not None},
    )


def _widen(support: Tensor, width: int) -> Tensor:
    extra = width - support.shape[1]
    return torch.cat([support, support[:, -1:].expand(-1, extra)], dim=1) if extra else support


def widened(slots: Slots, prompt_width: int, pad_id: int) -> Slots:
    """Return *slots* with prompts padded on the left to *prompt_width*, or cut to it where all are padded."""
    extra = prompt_width - (slots.canvas.shape[1] - slots.gen_length)
    if not extra:
        return slots
    if extra < 0:
        return replace(slots, canvas=slots.canvas[:, -extra:], attend=slots.attend[:, -extra:])
    pads = slots.canvas.new_full((len(slots), extra), pad_id)
    blind = slots.attend.new_zeros((len(slots), extra))
    return replace(
        slots,
        canvas=torch.cat([pads, slots.canvas], dim=1),
        attend=torch.cat([blind, slots.attend], dim=1),
    )


def longest_prompt(rows: Sequence[Row]) -> int:
    """Return how many tokens the longest prompt of *rows* has, 0 for none."""
    return max((len(row.prompt_ids) for row in rows), default=0)


def admit(
    rows: Sequence[Row], denoiser: Denoiser, prompt_width: int, support_width: int | None = None
) -> Slots:
    """Return a batch of fresh *rows* of one generated length, prompts left-padded to *prompt_width*.

    Supports are widened to *support_width*, so that what a method remembers about columns can be joined.
    """
    device = model_traits(denoiser).device
    gen_length = rows[0].gen_length
    canvas, attend = [], []
    for row in rows:
        generated = row.template_ids if row.template_ids is not None else (denoiser.mask_id,) * gen_length
        padding = prompt_width - len(row.prompt_ids)
        canvas.append((denoiser.pad_id,) * padding + tuple(row.prompt_ids) + tuple(generated))
        attend.append([False] * padding + [True] * (len(row.prompt_ids) + gen_length))
    canvas_BL = placed(canvas, device, torch.long)
    fillable = canvas_BL[:, -gen_length:] == denoiser.mask_id

    def per_row(values: list[int]) -> Tensor:
        return placed(values, device, torch.long)

    settings = [row.setting for row in rows]
    grids = grids_of(denoiser, rows)
    zeros = per_row([0] * len(rows))
    support = None
    if isinstance(denoiser, HasSupport):
        own = denoiser.support([row.context for row in rows]).to(device)
        support = _widen(own, support_width or own.shape[1])
    return Slots(
        canvas=canvas_BL,
        attend=placed(attend, device, torch.bool),
        fillable=fillable,
        commit_step=torch.full_like(canvas_BL[:, -gen_length:], -1),
        remasks=zeros,
        nfe=zeros,
        row_key=per_row([draws.row_key(row.seed, row.sample_id) for row in rows]),
        canvas_key=draws.canvas_key(canvas_BL[:, -gen_length:]),
        temperature=placed([s.temperature for s in settings], device, torch.float64),
        k=per_row([s.k or 0 for s in settings]),
        block_length=per_row([grid.length for grid in grids]),
        block_offset=per_row([grid.offset for grid in grids]),
        steps_per_block=per_row(
            [(s.max_steps or 0) // grid.n_blocks for s, grid in zip(settings, grids, strict=True)]
        ),
        may_idle=placed([s.method.may_idle for s in settings], device),
        scope=per_row([SCOPES.index(method_traits(s.method).scope) for s in settings]),
        planned=per_row(
            [planned_steps(row, grid, denoiser.mask_id) for row, grid in zip(rows, grids, strict=True)]
        ),
        stay=torch.zeros_like(zeros, dtype=torch.bool),
        block_start=zeros,
        block_limit=zeros + gen_length,
        block_from=zeros,
        block_to=zeros,
        eligible=torch.zeros_like(fillable),
        asked=torch.zeros_like(fillable),
        moves_block_end=placed([method_traits(s.method).moves_block_end for s in settings], device),
        step=zeros,
        steps=zeros,
        masks_at_entry=zeros,
        support=support,
        tokenizer=denoiser.tokenizer,
        eos_ids=denoiser.eos_ids,
        rows=tuple(rows),
        eligible_count=(0,) * len(rows),
        query_count=(0,) * len(rows),
        block_bounds=((0, 0),) * len(rows),
        at_entry=(True,) * len(rows),
        asked_hash=(0,) * len(rows),
        stored_until=(0,) * len(rows),
        evaluated=(0,) * len(rows),
        canvases=(0,) * len(rows),
        history=((),) * len(rows),
        cache=None,
        memory={},
    )


def decoded(slots: Slots, ended: Sequence[int]) -> list[Decoded]:
    """Return the results of the finished rows at *ended*."""
    if not ended:
        return []
    index, length = placed(ended, slots.canvas.device, torch.long), slots.gen_length
    counts = torch.stack([slots.nfe, slots.remasks], dim=1)
    told = torch.cat([slots.generated, slots.commit_step, counts], dim=1)[index].tolist()  # one transfer
    results = []
    for at, (*numbers, nfe, remasks) in zip(ended, told, strict=True):
        row, row_ids, row_steps = slots.rows[at], numbers[:length], numbers[length:]
        traits = method_traits(row.setting.method)
        n_canvases = 2 * nfe if traits.guidance > 0.0 else slots.canvases[at] if traits.branches > 1 else None
        results.append(
            Decoded(
                key=row.key,
                ids=tuple(row_ids),
                nfe=nfe,
                commit_step=tuple(row_steps),
                remasks=remasks,
                evaluated_positions=slots.evaluated[at],
                evaluated_canvases=n_canvases,
                forwards=None if n_canvases is None else nfe,
                history=slots.history[at] if row.history else None,
            )
        )
    return results
