"""Rows through a model that owns its loop: in batches, one result or failure for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from decoders.batching import Budget
from decoders.protocols import Generator
from decoders.state import Decoded, DecodeError, Failed, Row


def generate(
    model: Generator,
    rows: Sequence[Row],
    params_of: Callable[[Any], Mapping[str, Any]],
    *,
    budget: Budget,
    on_step: Callable[[int], None],
) -> Iterator[Decoded | Failed]:
    """Decode *rows*, yielding each batch as it is finished.

    Args:
        model: The model.
        rows: What to decode.
        params_of: Gives the model's own parameters from what stands for a row's method.
        budget: Size of a batch.
        on_step: Called after every batch with the number of rows in it.
    """
    by_method: dict[Any, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.gen_length, len(row.prompt_ids))):
        by_method.setdefault(row.setting.method, []).append(row)
    for method, same in by_method.items():
        yield from _generate(model, same, params_of(method), budget, on_step)


def _generate(
    model: Generator,
    waiting: Sequence[Row],
    params: Mapping[str, Any],
    budget: Budget,
    on_step: Callable[[int], None],
) -> Iterator[Decoded | Failed]:
    while waiting:
        size = budget.rows(len(waiting[-1].prompt_ids) + waiting[-1].gen_length)
        batch, waiting = waiting[:size], waiting[size:]
        try:
            results = model.generate(batch, params)
            if [result.key for result in results] != [row.key for row in batch]:
                raise ValueError("generate must return one result per row, in order; correct the model")
        except Exception as error:  # the boundary to a model that may be anybody's
            message = f"model {model.name} raised {type(error).__name__}: {error}"
            failure = DecodeError(message, kind="model_error")
            failure.__cause__ = error
            yield from (Failed(key=row.key, error=failure) for row in batch)
            continue
        on_step(len(batch))
        yield from results
