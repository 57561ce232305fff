"""THE loop: the only writer of the canvas.

One call of `advance` is one step of every row in the batch: forward -> proposals -> each method's update ->
checks -> canvas. All checks stay on the device; what left the rules is read together with what is finished,
in one transfer.
Legend: B = rows in the batch, G = generated length, N = queried positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from decoders.devices import is_lost, placed
from decoders.loop import draws
from decoders.loop.branches import DraftError, Spread, complete_memory, spread_out
from decoders.loop.forwards import interpret, listen
from decoders.loop.needs import needs_of
from decoders.loop.sharing import ScoreMissing, Shared
from decoders.loop.slots import Slots, decoded, keep, memory_rows
from decoders.loop.view import (
    Proposals,
    asked_positions,
    batch_view,
    between,
    block_bounds,
    masked_positions,
    method_view,
    rows_of,
)
from decoders.protocols import Denoiser
from decoders.rows import Decoded, DecodeError, DeviceLost, Failed, Step, TimedOut
from decoders.state import StepUpdate, StepView, UnmaskingMethod
from decoders.traits import method_traits, model_traits

BROKEN_RULES = (
    ("model_error", "the denoiser gave logits that are not finite; check the checkpoint and its dtype"),
    (
        "method_error",
        "it unmasks positions that are not eligible; keep to view.eligible, or declare writes_evaluated and "
        "keep to view.evaluated",
    ),
    ("method_error", "it commits MASK or an id outside the vocabulary; commit view.proposals"),
    (
        "method_error",
        "it masks positions again that it may not; declare may_remask and keep to committed positions",
    ),
    (
        "method_error",
        "it ends the block before its start or behind its end, or unmasks positions behind that; keep "
        "block_end above view.block_start and up to view.block_end",
    ),
    (
        "method_error",
        "it enters a block without its first mask; commit that in step 0, or do not declare enters_by_first",
    ),
    ("method_error", "it commits nothing; commit at least one eligible position or declare may_idle"),
    (
        "method_error",
        "it needs more than twice as many steps as there are positions; it does not make progress",
    ),
)
"""What can be wrong after a step, in the order in which it is looked for: kind of the error, message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wish:
    """The updates of all methods, side by side in batch order."""

    unmask: Tensor  # bool [B, G]
    tokens: Tensor  # int64 [B, G]
    remask: Tensor | None  # bool [B, G], None where nothing is masked again
    stay: Tensor  # bool [B]
    block_end: Tensor  # int64 [B]
    memory: dict[UnmaskingMethod, Any]
    failed: dict[int, DecodeError]


class FailedTogether(Exception):
    """The model raised for several rows at once; they are stepped in parts, down to the row to blame."""


def settle(slots: Slots, denoiser: Denoiser) -> tuple[Slots, list[Decoded]]:
    """Move rows whose block is complete to their next one with masks; return them and the finished rows."""
    unfinished, finished, _ = _settle(slots, denoiser, torch.zeros_like(slots.nfe))
    return unfinished, finished


def advance(
    slots: Slots, denoiser: Denoiser, shared: Shared | None = None, at_once: int | None = None
) -> tuple[Slots, list[Decoded | Failed]]:
    """Take one step with every row; return the rows to go on with, and those that finished or failed.

    Args:
        slots: The rows.
        denoiser: The model.
        shared: What is known of their canvases, where they share forwards.
        at_once: Canvases of a shared forward at the most; None is all.

    Raises:
        torch.OutOfMemoryError: When the forward does not fit; *slots* are unchanged and can be stepped in
        parts.
        FailedTogether: When something raised for more than one row; they are unchanged too.
        TimedOut: When a call took too long; it says whose.
        DeviceLost: When the device refuses every further call.
    """
    unbiased = model_traits(denoiser).unbiased_ties
    cache, evaluated = None, tuple(len(row.prompt_ids) + row.gen_length for row in slots.rows)
    spread, n_canvases = None, (1,) * len(slots)
    try:
        if needs_of(slots.rows[0].setting).branches > 1:
            spread = spread_out(slots, denoiser, unbiased=unbiased)
            heard = listen(spread.slots, denoiser)
            found = spread.gather(interpret(spread.slots, heard, unbiased=unbiased))
            cache, evaluated, n_canvases = spread.cache(heard), spread.evaluated(heard), spread.counts
        elif shared is None:
            heard = listen(slots, denoiser)
            found, cache, evaluated = interpret(slots, heard, unbiased=unbiased), heard.cache, heard.evaluated
        else:
            found = shared.hear(slots, denoiser, at_once or len(slots), unbiased=unbiased)
    except torch.OutOfMemoryError:
        raise
    except TimedOut as late:
        late.who = late.who or f"model {denoiser.name}"
        raise
    except DraftError as error:
        return _failed(slots, DecodeError(str(error), kind="method_error"), error.__cause__ or error)
    except (Exception, SystemExit) as error:  # the boundary to a model that may be anybody's
        message = f"model {denoiser.name} raised {type(error).__name__}: {error}"
        return _failed(slots, DecodeError(message, kind="model_error"), error)
    view = batch_view(slots, found, unbiased=unbiased)
    try:
        wish = _ask_methods(
            slots, view, [_view_of(view, slots, found, m, spread) for m in slots.groups().values()]
        )
    except ScoreMissing:
        return advance(slots, denoiser, shared, at_once)
    broken = _check(slots, wish, view, found.usable, denoiser)
    so_far = tuple(sum(pair) for pair in zip(slots.evaluated, evaluated, strict=True))
    canvases = tuple(sum(pair) for pair in zip(slots.canvases, n_canvases, strict=True))
    written = _write(slots, wish, view, denoiser.mask_id)
    stepped = replace(written, cache=cache, evaluated=so_far, canvases=canvases)
    unfinished, finished, failed = _settle(stepped, denoiser, broken, wish.failed)
    return unfinished, [*finished, *failed]


def _failed(slots: Slots, failure: DecodeError, cause: BaseException) -> tuple[Slots, list[Decoded | Failed]]:
    """Return that the one row of *slots* failed; of several it is not known yet which."""
    if is_lost(cause):
        raise DeviceLost(str(failure)) from cause
    if len(slots) > 1:
        raise FailedTogether from cause
    failure.__cause__ = cause
    return keep(slots, []), [Failed(key=row.key, error=failure) for row in slots.rows]


def _view_of(
    whole: StepView, slots: Slots, found: Proposals, members: Sequence[int], spread: Spread | None
) -> StepView:
    view = method_view(whole, slots, found, members)
    return view if spread is None else replace(view, lazy={**view.lazy, **spread.lazy(members)})


def _ask_methods(slots: Slots, whole: StepView, views: Sequence[StepView]) -> _Wish:
    unmask = torch.zeros_like(whole.eligible)
    remask: Tensor | None = None
    stay = slots.may_idle & (slots.step + 1 < slots.steps_per_block)
    block_end = whole.block_end.clone()
    tokens = whole.proposals.clone()
    memory: dict[UnmaskingMethod, Any] = {}
    failed: dict[int, DecodeError] = {}
    for (method, members), view in zip(slots.groups().items(), views, strict=True):
        try:
            update, memory[method] = method.step(
                view, complete_memory(method, slots.memory.get(method), view, len(members))
            )
            _check_update(method, update, memory[method], view)
        except (torch.OutOfMemoryError, ScoreMissing):
            raise
        except TimedOut as late:
            late.who = late.who or f"method {method.name}"
            raise
        except (Exception, SystemExit) as error:  # the boundary to a method that may be anybody's
            if is_lost(error):
                raise DeviceLost(f"method {method.name} raised {type(error).__name__}: {error}") from error
            row = slots.rows[members[0]]
            message = f"method {method.name} raised {type(error).__name__}: {error} (first row {row.key!r})"
            failure = DecodeError(message, kind="method_error")
            failure.__cause__ = error
            failed |= dict.fromkeys(members, failure)
            memory.pop(method, None)
            continue
        index = rows_of(members, slots)
        unmask[index] = update.unmask
        tokens[index] = update.tokens
        if update.remask is not None:
            remask = torch.zeros_like(whole.eligible) if remask is None else remask
            remask[index] = update.remask
        if update.stay is not None:
            stay[index] = update.stay
        if update.block_end is not None:
            block_end[index] = update.block_end
    return _Wish(
        unmask=unmask,
        tokens=tokens,
        remask=remask,
        stay=stay,
        block_end=block_end,
        memory=memory,
        failed=failed,
    )


def _check_update(method: UnmaskingMethod, update: StepUpdate, memory: Any, view: StepView) -> None:
    for name in ("unmask", "tokens", "remask"):
        tensor = getattr(update, name)
        if tensor is not None and tensor.shape != view.eligible.shape:
            raise ValueError(
                f"{name} must have the shape {tuple(view.eligible.shape)} of the view, "
                f"got {tuple(tensor.shape)}; give every row and position"
            )
    if update.stay is not None and (not method.may_idle or update.stay.shape != view.step.shape):
        raise ValueError(
            f"stay must be one truth value per row of a method that declares may_idle, got the shape "
            f"{tuple(update.stay.shape)} and may_idle={method.may_idle}; leave it out"
        )
    moves = method_traits(method).moves_block_end
    if update.block_end is not None and (not moves or update.block_end.shape != view.step.shape):
        raise ValueError(
            f"block_end must be one position per row of a method that declares moves_block_end, got the "
            f"shape {tuple(update.block_end.shape)} and moves_block_end={moves}; leave it out"
        )
    if memory is not None and memory_rows(memory) != len(view.eligible):
        raise ValueError(
            f"memory must hold the {len(view.eligible)} rows of the view, got {memory_rows(memory)}; "
            "keep rows as dimension 0"
        )


def _check(slots: Slots, wish: _Wish, view: StepView, usable: Tensor, denoiser: Denoiser) -> Tensor:
    """Return int64 [B]: 0, or 1 + the index in `BROKEN_RULES` of the first rule a row broke.

    A rule that no method at work can break is not computed.
    """
    methods = [row.setting.method for row in slots.rows]
    traits = [method_traits(method) for method in methods]
    mask_id, never = denoiser.mask_id, torch.zeros_like(usable)

    def by_row(values: Sequence[bool]) -> Tensor:
        return placed(values, usable.device).unsqueeze(1)

    may_write = view.eligible
    if any(own.writes_evaluated for own in traits):
        may_write = may_write | slots.asked & slots.fillable & by_row(
            [own.writes_evaluated for own in traits]
        )
    foreign = wish.tokens == mask_id
    if any(own.may_leave_masks for own in traits):
        foreign = foreign & ~by_row([own.may_leave_masks for own in traits])
    foreign = foreign | (wish.tokens < 0) | (wish.tokens >= denoiser.vocab_size)
    masked_again = strange_end = skipped = never
    if wish.remask is not None:
        visible = slots.fillable & ((view.tokens != mask_id) | wish.unmask)
        may_remask = by_row([method.may_remask for method in methods])
        masked_again = (wish.remask & ~(visible & may_remask)).any(dim=1)
    if any(own.moves_block_end for own in traits):
        position = torch.arange(slots.gen_length, device=usable.device)
        behind = wish.unmask & view.eligible & (position >= wish.block_end.unsqueeze(1))
        moved_away = (wish.block_end <= view.block_start) | (wish.block_end > view.block_end)
        strange_end = moved_away | behind.any(dim=1)
    if any(own.enters_by_first for own in traits):
        first_mask = view.eligible & (view.eligible.cumsum(dim=1) == 1)
        by_first = by_row([own.enters_by_first for own in traits])
        skipped = (first_mask & ~wish.unmask & by_first & (view.step == 0).unsqueeze(1)).any(dim=1)
    broken = torch.stack(
        [
            ~usable,
            (wish.unmask & ~may_write).any(dim=1),
            (wish.unmask & foreign).any(dim=1),
            masked_again,
            strange_end,
            skipped,
            ~(wish.unmask.any(dim=1) | slots.may_idle),
            slots.nfe >= 2 * slots.gen_length,
        ]
    )
    first = broken.byte().argmax(dim=0) + 1
    return first.masked_fill(~broken.any(dim=0), 0)


def _write(slots: Slots, wish: _Wish, view: StepView, mask_id: int) -> Slots:
    """Return the batch after the step: the one place where a canvas changes."""
    prompt = slots.canvas[:, : -slots.gen_length]
    generated = torch.where(wish.unmask, wish.tokens, slots.generated)
    commit_step, remasks = torch.where(wish.unmask, slots.nfe.unsqueeze(1), slots.commit_step), slots.remasks
    if wish.remask is not None:
        generated = generated.masked_fill(wish.remask, mask_id)
        commit_step = commit_step.masked_fill(wish.remask, -1)
        remasks = remasks + wish.remask.sum(dim=1)
    return replace(
        slots,
        canvas=torch.cat([prompt, generated], dim=1),
        commit_step=commit_step,
        history=_history(slots, wish, view),
        remasks=remasks,
        nfe=slots.nfe + 1,
        step=slots.step + 1,
        stay=wish.stay,
        block_limit=wish.block_end.where(slots.moves_block_end, slots.block_limit),
        memory={method: memory for method, memory in wish.memory.items() if memory is not None},
    )


def _history(slots: Slots, wish: _Wish, view: StepView) -> tuple[tuple[Step, ...], ...]:
    """Return what has been done to the rows that ask for it; for others nothing leaves the device."""
    longer = list(slots.history)
    for index, row in enumerate(slots.rows):
        if row.history:
            places = wish.unmask[index].nonzero().flatten()
            tokens = wish.tokens[index, places].tolist()
            again = [] if wish.remask is None else wish.remask[index].nonzero().flatten().tolist()
            committed = tuple(zip(places.tolist(), tokens, strict=True))
            sure = tuple(view.confidence[index, places].tolist())
            step = Step(committed=committed, remasked=tuple(again), confidence=sure)
            longer[index] = (*longer[index], step)
    return tuple(longer)


def _settle(
    slots: Slots, denoiser: Denoiser, broken: Tensor, failed: dict[int, DecodeError] | None = None
) -> tuple[Slots, list[Decoded], list[Failed]]:
    masked = masked_positions(slots, denoiser.mask_id)
    left_in_block = masked & between(slots, slots.block_from, slots.block_to.minimum(slots.block_limit))
    fresh = slots.masks_at_entry == 0
    done = ~masked.any(dim=1) & (~slots.stay | fresh)
    entering = fresh | ~(left_in_block.any(dim=1) | slots.stay)
    first_masked = masked.byte().argmax(dim=1)
    length, offset = slots.block_length, slots.block_offset
    on_grid = (first_masked + offset) // length * length - offset
    entered = first_masked.where(slots.moves_block_end, on_grid)
    moved = replace(
        slots,
        block_start=entered.where(entering, slots.block_start),
        block_limit=slots.block_limit.masked_fill(entering, slots.gen_length),
        step=slots.step.masked_fill(entering, 0),
    )
    block_from, block_to = block_bounds(moved)
    in_block = between(slots, block_from, block_to)
    eligible, asked = masked & in_block, asked_positions(slots, masked, in_block)
    left = eligible.sum(dim=1)
    masks = torch.where(entering, left, slots.masks_at_entry)
    steps = torch.where(slots.k > 0, (masks + slots.k - 1) // slots.k.clamp(min=1), slots.steps_per_block)
    tokens = slots.generated
    canvas_key, asked_key = draws.canvas_key(torch.stack([tokens, 2 * tokens + asked])).unbind()
    counted = (left, asked.sum(dim=1), block_from, block_to)
    numbers = [broken, done.long(), *counted, entering.long(), slots.block_start, asked_key]
    told = torch.stack(numbers).tolist()  # the one transfer of a step
    rules, ends, counts, queries, first, last, entries, before, asked_hash = told
    errors = dict(failed or {})
    for index, rule in enumerate(rules):
        if rule and index not in errors:
            errors[index] = _rule_error(slots, index, rule - 1, denoiser)
    moved = replace(
        moved,
        masks_at_entry=masks,
        steps=steps,
        block_from=block_from,
        block_to=block_to,
        eligible=eligible,
        asked=asked,
        canvas_key=canvas_key,
        eligible_count=tuple(counts),
        query_count=tuple(queries),
        block_bounds=tuple(zip(first, last, strict=True)),
        at_entry=tuple(map(bool, entries)),
        asked_hash=tuple(asked_hash),
        stored_until=tuple(
            start if seen else -len(row.prompt_ids)
            for row, seen, start in zip(slots.rows, slots.evaluated, before, strict=True)
        ),
    )
    ended = [index for index, is_done in enumerate(ends) if is_done and index not in errors]
    going = [index for index, is_done in enumerate(ends) if not is_done and index not in errors]
    failures = [Failed(key=slots.rows[index].key, error=error) for index, error in sorted(errors.items())]
    return keep(moved, going), decoded(moved, ended), failures


def _rule_error(slots: Slots, index: int, rule: int, denoiser: Denoiser) -> DecodeError:
    kind, text = BROKEN_RULES[rule]
    row = slots.rows[index]
    block = int((slots.block_start[index] + slots.block_offset[index]) // slots.block_length[index])
    step = int(slots.step[index]) - 1
    who = f"model {denoiser.name}, method {row.setting.method.name}, row {row.key!r}"
    return DecodeError(f"{who}, block {block}, step {step}: {text}", kind=kind)
