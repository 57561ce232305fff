"""Several canvases of one row in one forward: a method drafts them, the denoiser sees each as a row.

Drafts differ from the row in masks of its block only, and what one of them says reaches no other. With a
cache each draft writes to a copy of the row's keys and values, and the copy of the first one is kept: columns
outside the block are the same in all, and those of the block are evaluated anew by the next forward.
Legend: B = rows in the batch, K = drafts of a row at the most, D = all drafts, G = generated length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from decoders.devices import placed
from decoders.loop import draws
from decoders.loop.forwards import Heard
from decoders.loop.slots import Slots, join_memory, keep, memory_rows, slice_memory
from decoders.loop.view import Proposals, batch_view, method_view
from decoders.protocols import Denoiser
from decoders.state import Branches, StepView, UnmaskingMethod
from decoders.traits import method_traits


class DraftError(ValueError):
    """A method could not draft, or drafted what it may not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """A batch with one row per draft, those of a row of the batch one after the other.

    ``counts`` says how many each row has; ``first`` where they begin. ``whole`` is the view of all drafts,
    after `gather`.
    """

    slots: Slots
    counts: tuple[int, ...]
    first: tuple[int, ...]
    found: list[Proposals]
    unbiased: bool

    def gather(self, found: Proposals) -> Proposals:
        """Return what was *found* for the drafts as that of the rows: the proposals of the first draft."""
        self.found.append(found)
        index = placed(self.first, found.tokens.device)
        spans = zip(self.first, self.counts, strict=True)
        usable = torch.stack([found.usable[start : start + count].all() for start, count in spans])
        return Proposals(
            tokens=found.tokens[index],
            log_odds=found.log_odds[index],
            usable=usable,
            asked=found.asked[index],
        )

    def cache(self, heard: Heard) -> Any:
        """Return the rows' cache, None without one."""
        if heard.cache is None:
            return None
        return slice_memory(heard.cache, placed(self.first, self.slots.canvas.device))

    def evaluated(self, heard: Heard) -> tuple[int, ...]:
        """Return how many positions were computed for each row, those of all its drafts."""
        starts = zip(self.first, self.counts, strict=True)
        return tuple(sum(heard.evaluated[start : start + count]) for start, count in starts)

    def lazy(self, members: Sequence[int]) -> dict[str, Callable[..., Any]]:
        """Return what the view of the rows *members* of one method says of their drafts."""

        def branches() -> Branches:
            of_method = [self.first[m] + k for m in members for k in range(self.counts[m])]
            place = {row: at for at, row in enumerate(of_method)}
            most = method_traits(self.slots.rows[of_method[0]].setting.method).branches
            index = [
                [place[self.first[m] + min(k, self.counts[m] - 1)] for k in range(most)] for m in members
            ]
            device, (found,) = self.slots.canvas.device, self.found
            whole = batch_view(self.slots, found, unbiased=self.unbiased)
            return Branches(
                view=method_view(whole, self.slots, found, of_method),
                index=placed(index, device),
                count=placed([self.counts[m] for m in members], device),
            )

        return {"branches": branches}


def complete_memory(method: UnmaskingMethod, memory: Any, view: StepView, n_rows: int) -> Any:
    """Return the memory of all rows of *view*, those that entered without one last."""
    known = 0 if memory is None else memory_rows(memory)
    if known == n_rows:
        return memory
    return join_memory(memory, method.init(view.rows(slice(known, n_rows))))


def spread_out(slots: Slots, denoiser: Denoiser, *, unbiased: bool) -> Spread:
    """Return the drafts of all rows of *slots*, whose methods all draft.

    Raises:
        DraftError: A method raised, or its drafts are none.
    """
    mask_id, device, eligible = denoiser.mask_id, slots.canvas.device, slots.eligible
    nothing = Proposals(
        tokens=slots.generated,
        log_odds=slots.generated.double() * 0.0,
        usable=torch.ones_like(slots.may_idle),
        asked=eligible,
    )
    whole = batch_view(slots, nothing, unbiased=unbiased)
    most = max(method_traits(method).branches for method in slots.groups())
    canvases = slots.generated.unsqueeze(1).repeat(1, most, 1)
    counts = torch.ones_like(slots.nfe)
    for method, members in slots.groups().items():
        view = method_view(whole, slots, nothing, members)
        drafted, count = _drafts(method, slots, view, members)
        index = placed(members, device)
        canvases[index, : drafted.shape[1]] = drafted
        counts[index] = count
    changed = canvases != slots.generated.unsqueeze(1)
    strange = changed & ~eligible.unsqueeze(1) | (canvases < 0) | (canvases >= denoiser.vocab_size)
    n_open = ((canvases == mask_id) & eligible.unsqueeze(1)).sum(dim=2)
    told = torch.cat([counts.unsqueeze(1), strange.any(2).any(1, keepdim=True).long(), n_open], dim=1)
    numbers = told.tolist()
    for row, (count, is_strange, *_) in zip(slots.rows, numbers, strict=True):
        method, limit = row.setting.method, method_traits(row.setting.method).branches
        if is_strange or not 1 <= count <= limit:
            raise DraftError(
                f"method {method.name} must draft from 1 to {limit} canvases that differ from the row in "
                f"masks of its block, got {count} of row {row.key!r}; fill view.eligible with ids of the "
                "vocabulary"
            )
    owner = [at for at, (count, *_) in enumerate(numbers) for _ in range(count)]
    number = [k for count, *_ in numbers for k in range(count)]
    chosen = canvases[placed(owner, device), placed(number, device)]
    queries = tuple(numbers[at][2 + k] for at, k in zip(owner, number, strict=True))
    wider = keep(replace(slots, memory={}), owner)
    still_open = wider.eligible & (chosen == mask_id)
    wider = replace(
        wider,
        canvas=torch.cat([wider.canvas[:, : -slots.gen_length], chosen], dim=1),
        canvas_key=draws.canvas_key(chosen),
        eligible=still_open,
        asked=still_open,
        eligible_count=queries,
        query_count=queries,
    )
    n_each = tuple(count for count, *_ in numbers)
    first = tuple(sum(n_each[:at]) for at in range(len(n_each)))
    return Spread(slots=wider, counts=n_each, first=first, found=[], unbiased=unbiased)


def _drafts(
    method: UnmaskingMethod, slots: Slots, view: StepView, members: Sequence[int]
) -> tuple[Tensor, Tensor]:
    try:
        memory = complete_memory(method, slots.memory.get(method), view, len(members))
        drafted, count = method.draft(view, memory)  # type: ignore[attr-defined]
        expected = (len(members), method_traits(method).branches, slots.gen_length)
        if drafted.shape != expected or count.shape != expected[:1]:
            raise ValueError(
                f"drafts must have the shapes {expected} and {expected[:1]}, got {tuple(drafted.shape)} and "
                f"{tuple(count.shape)}; pad with the row's own canvas"
            )
    except torch.OutOfMemoryError:
        raise
    except (Exception, SystemExit) as error:  # the boundary to a method that may be anybody's
        row = slots.rows[members[0]]
        raise DraftError(
            f"method {method.name} raised {type(error).__name__}: {error} (first row {row.key!r})"
        ) from error
    return drafted, count
