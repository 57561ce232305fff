"""Rows through a model that owns its loop: in batches, one result or failure for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from decoders.budget import Budget
from decoders.devices import is_lost
from decoders.loop.batching import Guard, unguarded
from decoders.protocols import Generator
from decoders.rows import Decoded, DecodeError, DeviceLost, Failed, Row, TimedOut
from decoders.traits import model_traits


def generate(
    model: Generator,
    rows: Sequence[Row],
    params_of: Callable[[Any], Mapping[str, Any]],
    *,
    budget: Budget,
    on_step: Callable[[int], None],
    guard: Guard = unguarded,
) -> Iterator[Decoded | Failed]:
    """Decode *rows*, yielding each batch as it is finished, or each row of a model with ``generate_each``.

    Args:
        model: The model.
        rows: What to decode.
        params_of: Gives the model's own parameters from what stands for a row's method.
        budget: Size of a batch; lowered in place when memory runs out.
        on_step: Called after every batch with the number of rows in it.
        guard: Entered around every batch.

    Raises:
        TimedOut: A batch took too long.
        DeviceLost: The device refuses every further call.
    """
    by_method: dict[Any, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.gen_length, len(row.prompt_ids))):
        by_method.setdefault(row.setting.method, []).append(row)
    each = model_traits(model).generate_each
    for method, same in by_method.items():
        if each is None:
            yield from _generate(model, same, params_of(method), budget, on_step, guard)
        else:
            yield from _generate_each(model, each, same, params_of(method), on_step)


def _generate(
    model: Generator,
    rows: Sequence[Row],
    params: Mapping[str, Any],
    budget: Budget,
    on_step: Callable[[int], None],
    guard: Guard,
) -> Iterator[Decoded | Failed]:
    """Decode rows of one method; what fails together is tried again in parts, down to the row to blame."""
    waiting = [rows]
    while waiting:
        part = waiting.pop(0)
        size = budget.rows(len(part[-1].prompt_ids) + part[-1].gen_length)
        batch, rest = part[:size], part[size:]
        if rest:
            waiting.insert(0, rest)
        try:
            with guard(batch):
                results = model.generate(batch, params)
            if [result.key for result in results] != [row.key for row in batch]:
                raise ValueError("generate must return one result per row, in order; correct the model")
        except TimedOut as late:
            late.who = f"model {model.name}"
            raise
        except (Exception, SystemExit) as error:  # the boundary to a model that may be anybody's
            if is_lost(error):
                raise DeviceLost(str(_failure(model, error))) from error
            half = len(batch) // 2
            if half:
                waiting[:0] = [batch[:half], batch[half:]]
                if isinstance(error, torch.OutOfMemoryError):
                    budget.tokens = min(
                        budget.tokens, half * (len(batch[-1].prompt_ids) + batch[-1].gen_length)
                    )
                continue
            yield Failed(key=batch[0].key, error=_failure(model, error))
            continue
        on_step(len(batch))
        yield from results


def _generate_each(
    model: Generator,
    each: Callable[..., Iterable[Decoded | Failed]],
    rows: Sequence[Row],
    params: Mapping[str, Any],
    on_step: Callable[[int], None],
) -> Iterator[Decoded | Failed]:
    """Decode rows of one method one by one; where the model stops, the rows left fail with its reason."""
    left = {row.key: row for row in rows}
    try:
        for outcome in each(rows, params):
            if left.pop(outcome.key, None) is None:
                raise ValueError("generate_each must yield one result per row; correct the model")
            on_step(1)
            yield outcome
        if left:
            raise ValueError(
                f"generate_each must yield one result per row, {len(left)} are missing; correct the model"
            )
    except TimedOut:
        raise
    except (Exception, SystemExit) as error:  # the boundary to a model that may be anybody's
        for key in left:
            yield Failed(key=key, error=_failure(model, error))


def _failure(model: Generator, error: BaseException) -> DecodeError:
    kind = "oom" if isinstance(error, torch.OutOfMemoryError) else "model_error"
    failure = DecodeError(f"model {model.name} raised {type(error).__name__}: {error}", kind=kind)
    failure.__cause__ = error
    return failure
