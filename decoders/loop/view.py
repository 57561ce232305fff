"""Logits of one forward -> proposals and the read-only views that methods see.

Legend: B = rows in the batch, R = rows of one method, G = generated length, N = queried positions, C =
    columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import accumulate, chain
from typing import Any

import torch
from torch import Tensor

from decoders.devices import placed
from decoders.loop import draws, sampling
from decoders.loop.needs import (
    ATTENTION,
    BLOCK,
    EVERYTHING,
    GENERATED,
    PROBABILITIES,
    ROW_ATTENTION,
    SCOPES,
    SHADOW,
    WHOLE_BLOCK,
)
from decoders.loop.slots import Slots
from decoders.state import StepView
from decoders.traits import method_traits


def _not_kept() -> Tensor:
    return torch.empty(0)


SCORES = ("margin_log_odds", "neg_entropy", "logit_gap", "standing_log_odds")
"""What is told of the logits of a position beside the proposal; made where a method asks for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposals:
    """What one forward says about the eligible positions of every row.

    ``tokens`` and ``log_odds`` (of the tokens, float64) are scattered to [B, G], as is ``asked``, which says
    where they mean something; ``usable`` [B] is False where logits are not finite. ``logits`` [N, C] and the
    ``columns`` [N] of the tokens stay flat, in the order of ``query`` [N, 2] (row, generated position); where
    they were not kept, ``recall`` gives the `SCORES` of some rows, [R, G]. ``verified`` [B, G] are the log
    odds of visible tokens, where a method judges them.
    """

    tokens: Tensor
    log_odds: Tensor
    usable: Tensor
    asked: Tensor
    logits: Tensor = field(default_factory=_not_kept)
    query: Tensor = field(default_factory=_not_kept)
    columns: Tensor = field(default_factory=_not_kept)
    recall: Callable[[str, Slots, Sequence[int]], Tensor] | None = None
    verified: Tensor | None = None
    attention: Tensor | None = None
    row_attention: Tensor | None = None
    row_log_odds: Tensor | None = None


def masked_positions(slots: Slots, mask_id: int) -> Tensor:
    """Return bool [B, G]: masked positions, but those left masked for good."""
    return (slots.generated == mask_id) & (slots.commit_step < 0)


def block_bounds(slots: Slots) -> tuple[Tensor, Tensor]:
    """Return int64 [B] twice: the first generated position of each current block, one after the last."""
    start, offset, length = slots.block_start, slots.block_offset, slots.block_length
    on_grid = ((start + offset) // length + 1) * length - offset
    return start.clamp(min=0), on_grid.minimum(slots.block_limit).clamp(max=slots.gen_length)


def between(slots: Slots, start: Tensor, end: Tensor) -> Tensor:
    """Return bool [B, G]: the positions of each row from *start* [B] up to *end* [B]."""
    position = torch.arange(slots.gen_length, device=slots.canvas.device)
    return (position >= start.unsqueeze(1)) & (position < end.unsqueeze(1))


def asked_positions(slots: Slots, masked: Tensor, in_block: Tensor) -> Tensor:
    """Return bool [B, G]: what the denoiser is asked for, masks *in_block* and what the scope adds."""
    eligible = masked & in_block
    if {method_traits(method).scope for method in slots.groups()} == {BLOCK}:
        return eligible
    scope = slots.scope.unsqueeze(1)
    return (
        eligible
        | masked & (scope == SCOPES.index(GENERATED))
        | slots.fillable & in_block & (scope == SCOPES.index(WHOLE_BLOCK))
        | (scope == SCOPES.index(EVERYTHING)).expand_as(masked)
    )


def flat_query(eligible: Tensor, n_eligible: int) -> Tensor:
    """Return int64 [N, 2] pairs (row, generated position), by row then position, without a device sync."""
    flat = eligible.flatten().byte().argsort(descending=True, stable=True)[:n_eligible]
    return torch.stack([flat // eligible.shape[1], flat % eligible.shape[1]], dim=1)


def rows_of(members: Sequence[int], slots: Slots) -> Tensor | slice:
    """Return what takes the rows *members* (ascending) out of a tensor of all; all are taken as they are."""
    if len(members) == len(slots):
        return slice(None)
    return placed(members, slots.canvas.device, torch.long)


def query_spans(slots: Slots, members: Sequence[int]) -> Tensor:
    """Return int64: which queries, in the order of `flat_query`, belong to the rows *members*."""
    counts = slots.query_count
    ends = list(accumulate(counts))
    spans = list(chain.from_iterable(range(ends[i] - counts[i], ends[i]) for i in members))
    return placed(spans, slots.canvas.device, torch.long)


def propose(slots: Slots, logits: Tensor, query: Tensor, *, unbiased: bool) -> Proposals:
    """Return a token proposal and its probability for every queried position."""
    logits = logits.float()
    columns, token = _choose(slots, logits, query, unbiased=unbiased)
    odds = sampling.log_odds(logits, columns)
    log_odds = _scattered(slots, query, odds)
    return Proposals(
        logits=logits,
        query=query,
        columns=columns,
        tokens=_scattered(slots, query, token),
        log_odds=log_odds,
        usable=~log_odds.isnan().any(dim=1),
        asked=slots.asked,
    )


def score_of(slots: Slots, found: Proposals, name: str, members: Sequence[int]) -> Tensor:
    """Return the score *name* of the rows *members*, [R, G]; only what they asked for is looked at."""
    index = rows_of(members, slots)
    query, logits, _ = _of_rows(slots, found, members)
    if name == "standing_log_odds":
        values = _standing_odds(slots, logits, query)
    else:
        values = getattr(sampling, name)(logits)
    return _scattered(slots, query, values)[index]


def _of_rows(slots: Slots, found: Proposals, members: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the queries of the rows *members*, their logits and the columns of the proposals."""
    if len(members) == len(slots):  # without a copy of the logits
        return found.query, found.logits, found.columns
    flat = query_spans(slots, members)
    return found.query[flat], found.logits[flat], found.columns[flat]


def _choose(slots: Slots, logits: Tensor, query: Tensor, *, unbiased: bool) -> tuple[Tensor, Tensor]:
    """Return the column and the token [N] proposed at every queried position."""
    row, position = query.unbind(dim=1)
    keys = slots.row_key[row]
    column = sampling.greedy(logits, keys, slots.canvas_key[row], position, unbiased=unbiased)
    support = None if slots.support is None else slots.support[:, : logits.shape[1]][row]
    if any(r.setting.temperature > 0.0 for r in slots.rows):
        ids = torch.arange(logits.shape[1], device=logits.device) if support is None else support
        warm = slots.temperature[row]
        divisor = torch.where(warm > 0.0, warm, torch.ones_like(warm))
        noisy = sampling.sampled(logits, divisor, keys, slots.nfe[row], position, ids)
        column = torch.where(warm > 0.0, noisy, column)
    return column, column if support is None else support.gather(1, column.unsqueeze(1)).squeeze(1)


def _scattered(slots: Slots, query: Tensor, values: Tensor) -> Tensor:
    """Return *values* [N] as [B, G], 0 where nothing was asked."""
    dense = values.new_zeros((len(slots), slots.gen_length))
    dense[query[:, 0], query[:, 1]] = values
    return dense


def verify(slots: Slots, found: Proposals, judged: Tensor, logits: Tensor) -> Proposals:
    """Return *found* with the log odds that *logits* [M, C] give to the tokens that stand at *judged*."""
    logits = logits.float()
    row, position = judged.unbind(dim=1)
    odds = _standing_odds(slots, logits, judged)
    verified = torch.full_like(found.log_odds, float("-inf"))
    verified[row, position] = odds
    return replace(found, verified=verified, usable=found.usable & ~verified.isnan().any(dim=1))


def _standing_odds(slots: Slots, logits: Tensor, query: Tensor) -> Tensor:
    """Return the log odds [N] that *logits* [N, C] give to the tokens that stand at *query*."""
    row, position = query.unbind(dim=1)
    column = slots.generated[row, position]
    known = torch.ones_like(column, dtype=torch.bool)
    if slots.support is not None:
        support, token = slots.support[row, : logits.shape[1]], column.unsqueeze(1)
        place = torch.searchsorted(support.contiguous(), token).clamp(max=logits.shape[1] - 1)
        known = (support.gather(1, place) == token).squeeze(1)
        column = place.squeeze(1)
    return sampling.log_odds(logits, column).masked_fill(~known, float("-inf"))


def quota(slots: Slots) -> Tensor:
    """Return int64 [B]: how many positions the schedule asks for now, 0 without a schedule.

    The masks at block entry are spread over the steps, remainder first (LLaDA's linear schedule).
    """
    if all(row.setting.k is None and row.setting.max_steps is None for row in slots.rows):
        return torch.zeros_like(slots.steps)
    steps = slots.steps.clamp(min=1)
    share = slots.masks_at_entry // steps + (slots.step < slots.masks_at_entry % steps).long()
    at_least = (~slots.may_idle).long()
    return torch.where(slots.steps > 0, torch.maximum(share, at_least), torch.zeros_like(share))


def batch_view(slots: Slots, found: Proposals, *, unbiased: bool) -> StepView:
    """Return the view over all rows of the batch."""
    position = torch.arange(slots.gen_length, device=slots.canvas.device)
    if unbiased:
        key = draws.combine(
            slots.row_key.unsqueeze(1), slots.canvas_key.unsqueeze(1), position, draws.POSITION_TIE
        )
        tie_order = draws.uniform(key)
    else:
        tie_order = position.double().expand(slots.eligible.shape)
    return StepView(
        tokens=slots.generated,
        eligible=slots.eligible,
        proposals=found.tokens,
        log_odds=found.log_odds,
        block_start=slots.block_from,
        block_end=slots.block_to,
        step=slots.step,
        quota=quota(slots),
        remaining=slots.eligible.sum(dim=1),
        tie_order=tie_order,
        tie_tolerance=sampling.TIE_TOLERANCE if unbiased else 0.0,
        lazy={},
    )


def method_view(whole: StepView, slots: Slots, found: Proposals, members: Sequence[int]) -> StepView:
    """Return the view of the rows *members* (ascending) of one method, with its lazy scores."""
    device = whole.eligible.device
    index = rows_of(members, slots)
    values = {f.name: getattr(whole, f.name)[index] for f in fields(StepView) if f.type == "Tensor"}

    def queried() -> tuple[Tensor, Tensor, Tensor]:
        return _of_rows(slots, found, members)

    def score(name: str) -> Tensor:
        if found.recall is not None:
            return found.recall(name, slots, members)
        return score_of(slots, found, name, members)

    def columns() -> Tensor:
        query, _, proposed = queried()
        return _scattered(slots, query, proposed)[index]

    def end_columns() -> Tensor:
        n_columns = found.logits.shape[1]
        ends = placed(sorted(slots.eos_ids), device, torch.long)
        if slots.support is not None:
            return torch.isin(slots.support[index], ends)
        is_end = torch.isin(torch.arange(n_columns, device=device), ends)
        return is_end.expand(len(members), n_columns)

    def local() -> Tensor:
        places = torch.zeros(len(slots), dtype=torch.long, device=device)
        places[index] = torch.arange(len(members), device=device)
        return places

    def raised(bonus: Tensor) -> tuple[Tensor, Tensor]:
        query, logits, _ = queried()
        row, position = query.unbind(dim=1)
        more = logits + bonus[local()[row], position, : logits.shape[1]]
        column, token = _choose(slots, more, query, unbiased=whole.tie_tolerance > 0.0)
        odds = sampling.log_odds(more, column)
        return _scattered(slots, query, token)[index], _scattered(slots, query, odds)[index]

    def dense() -> Tensor:
        query, logits, _ = queried()
        row, position = query.unbind(dim=1)
        at, width = local()[row], logits.shape[1]
        n_columns = width if slots.support is None else slots.support.shape[1]
        probs = torch.zeros(len(members), slots.gen_length, n_columns, device=device)
        for part in sampling.parts(logits):
            probs[at[part], position[part], :width] = torch.softmax(logits[part], dim=1)
        return probs

    def standing() -> Tensor:
        unknown = (slots.commit_step < 0) | ~found.asked
        return score("standing_log_odds").masked_fill(unknown[index], float("-inf"))

    def order_draws() -> Tensor:
        position = torch.arange(slots.gen_length, device=device)
        keys, steps = slots.row_key[index].unsqueeze(1), slots.nfe[index].unsqueeze(1)
        return draws.uniform(draws.combine(keys, steps, position, draws.ORDER))

    def one_order() -> Tensor:
        position = torch.arange(slots.gen_length, device=device)
        keys = slots.row_key[index].unsqueeze(1)
        return draws.uniform(draws.combine(keys, position, draws.PERMUTATION))

    lazy: dict[str, Callable[..., Any]] = {
        **{name: partial(score, name) for name in SCORES if name != "standing_log_odds"},
        "draws": order_draws,
        "permutation": one_order,
        "planned_steps": lambda: slots.steps[index],
        "planned": lambda: slots.planned[index],
        "block_begin": lambda: slots.block_start[index],
        "token_ids": lambda text: tuple(slots.tokenizer.encode(text)),
        "forwards": lambda: slots.nfe[index],
        "masked": lambda: (slots.fillable & (slots.commit_step < 0))[index],
        "evaluated": lambda: found.asked[index],
        "served": lambda: tuple(slots.rows[member] for member in members),
    }
    method = slots.rows[members[0]].setting.method
    if PROBABILITIES in method.needs:
        lazy |= {"probs": dense, "columns": columns, "raised": raised, "end_columns": end_columns}
        lazy["standing_log_odds"] = standing
    if SHADOW in method.needs and found.verified is not None:
        lazy["verified_log_odds"] = partial(found.verified.__getitem__, index)
    if ATTENTION in method.needs and found.attention is not None:
        lazy["attention"] = partial(found.attention.__getitem__, index)
    if ROW_ATTENTION in method.needs and found.row_attention is not None and found.row_log_odds is not None:
        lazy["row_attention"] = partial(found.row_attention.__getitem__, index)
        lazy["row_log_odds"] = partial(found.row_log_odds.__getitem__, index)
    return StepView(**values, tie_tolerance=whole.tie_tolerance, lazy=lazy)
