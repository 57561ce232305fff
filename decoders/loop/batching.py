"""Continuous batching: rows of many methods and settings in one queue; one leaves when done, the next enters.

Rows of one generated length go from the longest prompt to the shortest, so those of a forward have nearly one
length, and are padded to the longest of them. Rows with a cache, or with attention between whole canvases,
whose columns must stay where they are, go in buckets of prompt lengths. Results do not depend on any of this;
only the float rounding of a network may.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from decoders.budget import Budget, Filled
from decoders.devices import keep_freed_memory
from decoders.loop.block_grid import grids_of
from decoders.loop.loop import FailedTogether, advance, settle
from decoders.loop.needs import Needs, check_offered, needs_of, widest
from decoders.loop.sharing import Shared, may_share
from decoders.loop.slots import Slots, admit, join, keep, longest_prompt, widened
from decoders.protocols import Denoiser
from decoders.rows import Decoded, DecodeError, Failed, Row, Setting, check_is_method
from decoders.state import UnmaskingMethod
from decoders.traits import model_traits

PROMPT_STEP = 32
"""In a bucket prompts are padded to a multiple of this many tokens."""

ACTIVE_PER_FORWARD = 8
"""So many times the rows of a full forward walk at once where they share canvases.

Fewer leave forwards less full, most of all the last ones of a task; more keep rows longer from their end.
"""


Guard = Callable[[Sequence[Row]], AbstractContextManager[object]]
"""Entered around every step with its rows: who watches the time, or writes down what is being decoded."""


def _keeps_columns(needs: Needs) -> bool:
    """Return whether a row must stay in the columns in which it began."""
    return needs.cache != "none" or needs.row_attention


def unguarded(rows: Sequence[Row]) -> AbstractContextManager[object]:
    """Guard nothing."""
    return nullcontext()


def default_budget(denoiser: Denoiser) -> Budget:
    """Return the denoiser's own token budget, or one that suits a network on a CPU."""
    return Budget(tokens=model_traits(denoiser).batch_tokens)


def sweep(
    denoiser: Denoiser,
    rows: Iterable[Row],
    *,
    budget: Budget | None = None,
    on_step: Callable[[int], None] | None = None,
    share: bool = True,
    guard: Guard = unguarded,
    filled: Filled | None = None,
) -> Iterator[Decoded | Failed]:
    """Decode *rows*, yielding each as soon as it is finished or has failed.

    Args:
        denoiser: The model.
        rows: What to decode; methods, settings and lengths may be mixed. Those of one sample are best given
            one after the other, so that they share forwards.
        budget: Size of a forward; lowered in place when memory runs out.
        on_step: Called after every forward with the number of its rows, those of one canvas counted once.
        share: Whether rows of one sample that come to the same canvas share its forward; see `sharing`.
        guard: Entered around every step.
        filled: Counts how full forwards are.

    Raises:
        DeviceLost: The device refuses every further call.
        ValueError: A method needs something that the loop does not offer.
        NotSupported: The denoiser lacks what a method or its cache needs; nothing is decoded.
    """
    budget = budget or default_budget(denoiser)
    buckets: dict[tuple[int, int], dict[Needs, deque[Row]]] = {}
    rows = list(rows)
    for setting in {id(row.setting): row.setting for row in rows}.values():
        check_offered(denoiser, setting)
    grids_of(denoiser, rows)
    for row in rows:
        needs = needs_of(row.setting)
        width = -(-len(row.prompt_ids) // PROMPT_STEP) * PROMPT_STEP if _keeps_columns(needs) else 0
        buckets.setdefault((row.gen_length, width), {}).setdefault(needs, deque()).append(row)
    keep_freed_memory()
    read: dict[UnmaskingMethod, frozenset[str]] = {}
    tell = on_step or (lambda n_canvases: None)
    counts = filled or Filled()
    with _threads(model_traits(denoiser).cpu_threads):
        for (_, width), same_shape in sorted(buckets.items()):
            for needs, queue in same_shape.items():
                if not width:
                    queue = deque(sorted(queue, key=lambda row: -len(row.prompt_ids)))
                if share and may_share(needs, queue):
                    yield from _shared_bucket(denoiser, queue, read, budget, tell, counts, guard)
                else:
                    yield from _bucket(denoiser, queue, needs, width, budget, tell, counts, guard)


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    """Use as many CPU threads as the denoiser wants; sharing out tiny tensors costs more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bucket(
    denoiser: Denoiser,
    queue: deque[Row],
    needs: Needs,
    least: int,
    budget: Budget,
    on_step: Callable[[int], None],
    filled: Filled,
    guard: Guard,
) -> Iterator[Decoded | Failed]:
    """Decode the rows of *queue*, prompts padded to the longest at work, or to *least* where that is more."""
    columns = widest(denoiser, queue) if needs.probabilities else None
    gen_length = queue[0].gen_length
    active: Slots | None = None
    parked: list[Slots] = []
    while queue or parked or active is not None:
        first = [queue[0]] if queue and active is None and not parked else []
        width = max(least, longest_prompt([*first, *(row for slots in parked[-1:] for row in slots.rows)]))
        if active is not None:
            width = max(width if parked else least, longest_prompt(active.rows))
            active = widened(active, width, denoiser.pad_id)
        most = needs.max_rows(gen_length, columns or 0, width + gen_length)
        size = (width + gen_length * (2 if needs.shadow else 1)) * (2 if needs.guidance else needs.branches)
        fitting = budget.rows(size) if most is None else min(most, budget.rows(size))
        free = fitting - (0 if active is None else len(active))
        if parked and free > 0:
            waiting = parked.pop()
            if len(waiting) > free:
                parked.append(keep(waiting, range(free, len(waiting))))
            back = widened(keep(waiting, range(min(free, len(waiting)))), width, denoiser.pad_id)
            active = back if active is None else join(active, back)
        elif queue and not parked and free > 0:
            entering = [queue.popleft() for _ in range(min(free, len(queue)))]
            fresh, already_complete = settle(admit(entering, denoiser, width, columns), denoiser)
            yield from already_complete
            active = fresh if active is None else join(active, fresh)
        assert active is not None
        if len(active):
            before = active.rows
            try:
                stepped, ended = _step(active, denoiser, guard)
            except torch.OutOfMemoryError as error:
                if len(active) == 1:
                    yield _out_of_memory(denoiser, active, error)
                    active = None
                    continue
                half = len(active) // 2
                budget.tokens = min(budget.tokens, half * size)
                parked.append(keep(active, range(half, len(active))))
                active = keep(active, range(half))
                continue
            filled.add(before, width, fitting)
            on_step(len(active))
            yield from ended
            active = stepped
        if not len(active):
            active = None


def _shared_bucket(
    denoiser: Denoiser,
    queue: deque[Row],
    read: dict[UnmaskingMethod, frozenset[str]],
    budget: Budget,
    on_step: Callable[[int], None],
    filled: Filled,
    guard: Guard,
) -> Iterator[Decoded | Failed]:
    """Decode the rows of *queue*: so many walk at once that their canvases fill nearly every forward."""
    gen_length, fitting = queue[0].gen_length, 0

    def tell(rows: Sequence[Row]) -> None:
        filled.add(rows, longest_prompt(rows), fitting)
        on_step(len(rows))

    shared = Shared(queue, read, tell)
    active: Slots | None = None
    most = len(queue)
    while queue or active is not None:
        width = longest_prompt([queue[0]] if active is None else active.rows)
        if active is not None:
            active = widened(active, width, denoiser.pad_id)
        fitting = budget.rows(width + gen_length)
        free = ACTIVE_PER_FORWARD * fitting - (0 if active is None else len(active))
        if queue and free > 0:
            entering = [queue.popleft() for _ in range(min(free, len(queue)))]
            fresh, already_complete = settle(admit(entering, denoiser, width), denoiser)
            shared.let_go(entering, fresh.rows)
            yield from already_complete
            active = fresh if active is None else join(active, fresh)
        assert active is not None
        going = shared.going(active, fitting)[:most]
        waiting = sorted(set(range(len(active))) - set(going))
        stepping = keep(active, going)
        try:
            stepped, ended = _step(stepping, denoiser, guard, shared, fitting)
        except torch.OutOfMemoryError as error:
            tried = min(fitting, len(shared.missing(stepping)))
            if tried > 1:
                budget.tokens = tried // 2 * (width + gen_length)
                continue
            if len(stepping) > 1:  # one canvas, or what a method computes of known ones, does not fit
                most = len(stepping) // 2
                continue
            stepped, ended = keep(stepping, []), [_out_of_memory(denoiser, stepping, error)]
        shared.let_go(stepping.rows, stepped.rows)
        yield from ended
        active = _rejoined(stepped, keep(active, waiting), denoiser) if waiting else stepped
        if not len(active):
            active = None


def _step(
    slots: Slots, denoiser: Denoiser, guard: Guard, shared: Shared | None = None, at_once: int | None = None
) -> tuple[Slots, list[Decoded | Failed]]:
    """Take one step with every row; where the model raises in halves, so that only the row to blame fails."""
    try:
        with guard(slots.rows):
            return advance(slots, denoiser, shared, at_once)
    except FailedTogether:
        half = len(slots) // 2
    first, ended = _step(_part(slots, range(half), denoiser), denoiser, guard, shared, at_once)
    second, also = _step(_part(slots, range(half, len(slots)), denoiser), denoiser, guard, shared, at_once)
    return _rejoined(first, second, denoiser), ended + also


def _rejoined(first: Slots, second: Slots, denoiser: Denoiser) -> Slots:
    """Return both parts of a batch, each of which may have got shorter, as one."""
    if not len(first) or not len(second):
        return first if len(first) else second
    width = max(part.canvas.shape[1] for part in (first, second)) - first.gen_length
    return join(*(widened(part, width, denoiser.pad_id) for part in (first, second)))


def _part(slots: Slots, kept: Sequence[int], denoiser: Denoiser) -> Slots:
    """Return the rows *kept*, padded to the longest prompt among them: what they are blamed for is theirs."""
    part = keep(slots, kept)
    if _keeps_columns(needs_of(part.rows[0].setting)):
        return part
    return widened(part, longest_prompt(part.rows), denoiser.pad_id)


def _out_of_memory(denoiser: Denoiser, slots: Slots, error: torch.OutOfMemoryError) -> Failed:
    row = slots.rows[0]
    size = f"{slots.canvas.shape[1]} tokens"
    message = f"model {denoiser.name} ran out of memory on row {row.key!r} alone ({size}): {error}"
    return Failed(key=row.key, error=DecodeError(message, kind="oom"))


def decode(
    denoiser: Denoiser,
    prompts: Sequence[Sequence[int]],
    method: UnmaskingMethod | Setting,
    *,
    gen_length: int,
    k: int | None = None,
    max_steps: int | None = None,
    block_length: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    cache: str = "none",
    templates: Sequence[Sequence[int]] | None = None,
    contexts: Sequence[Any] | None = None,
    budget: Budget | None = None,
    history: bool = False,
) -> list[Decoded]:
    """Decode one row per prompt with one setting: the library's front door, plain ids in and out.

    Args:
        denoiser: The model.
        prompts: Token ids of each prompt.
        method: The unmasking method, or a whole setting, which then says all of *k*, *max_steps*,
            *block_length*, *temperature* and *cache*.
        gen_length: Positions to generate.
        k: Tokens per step, for methods that take k.
        max_steps: Step budget instead of k.
        block_length: Divides *gen_length*; None is one block, or the block the model was trained with.
        temperature: 0 is greedy.
        seed: Keys every random draw together with the prompt's index.
        cache: none, prefix, dual or block, see `Setting`.
        templates: For infilling, *gen_length* ids per prompt with ``mask_id`` where something is filled in.
        contexts: One opaque object per prompt for the denoiser.
        budget: Size of a forward.
        history: Whether ``Decoded.history`` tells what every forward committed and masked again.

    Returns:
        The decoded rows in the order of *prompts*; ``Decoded.key`` is the index.

    Raises:
        TypeError: *method* is none, *prompts* are no lists of ids, or the model owns its loop.
        ValueError: A setting or a prompt does not fit.
        DecodeError: A row failed; the first failure is raised, with the rows that were finished.
    """
    if not isinstance(method, Setting):
        check_is_method(method)
    _check_prompts(denoiser, prompts)
    for name, given in (("templates", templates), ("contexts", contexts)):
        if given is not None and len(given) != len(prompts):
            raise ValueError(
                f"{name} must be one per prompt ({len(prompts)}), got {len(given)}; pair them up"
            )
    knobs: dict[str, Any] = {
        "k": k,
        "max_steps": max_steps,
        "block_length": block_length,
        "temperature": temperature,
        "cache": cache,
    }
    setting = _whole(method, knobs) if isinstance(method, Setting) else Setting(method=method, **knobs)
    rows = [
        Row(
            key=index,
            prompt_ids=tuple(prompt),
            gen_length=gen_length,
            setting=setting,
            sample_id=str(index),
            seed=seed,
            template_ids=None if templates is None else tuple(templates[index]),
            context=None if contexts is None else contexts[index],
            history=history,
        )
        for index, prompt in enumerate(prompts)
    ]
    results = sorted(sweep(denoiser, rows, budget=budget), key=lambda outcome: int(outcome.key))
    finished = [outcome for outcome in results if isinstance(outcome, Decoded)]
    for outcome in results:
        if isinstance(outcome, Failed):
            outcome.error.finished = tuple(finished)
            raise outcome.error
    return finished


def _whole(setting: Setting, knobs: Mapping[str, Any]) -> Setting:
    given = [name for name, value in knobs.items() if value not in (None, 0.0, "none")]
    if given:
        raise ValueError(
            f"a setting must be given whole, got a Setting and {', '.join(given)} beside it; put them into it"
        )
    return setting


def _check_prompts(denoiser: Denoiser, prompts: Sequence[Sequence[int]]) -> None:
    if model_traits(denoiser).owns_loop:
        raise TypeError(
            f"a model must be driven by the loop to be decoded here, got {denoiser.name!r}, which owns its "
            "loop; call its generate"
        )
    for index, prompt in enumerate(prompts):
        if isinstance(prompt, str | int) or not all(isinstance(token, int) for token in prompt):
            raise TypeError(
                f"a prompt must be a list of token ids, got {prompt!r} as prompt {index}; "
                "encode it with the model's encode_prompt, and give a list of prompts"
            )
        unknown = [token for token in prompt if not 0 <= token < denoiser.vocab_size]
        if unknown:
            raise ValueError(
                f"a token id must be from 0 to {denoiser.vocab_size - 1}, the vocabulary of "
                f"{denoiser.name!r}, got {unknown[0]} in prompt {index}; encode it with this model"
            )
