"""The body of a network compiled by torch: fewer and larger kernels, for forwards that are many and alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from decoders.loading.checkpoint import LoadError
from decoders.network.self_tests import RELATIVE_TOLERANCE, Probed, SelfTest, all_passed
from decoders.text.json_file import one_line

MOST_SHAPES = 256
"""Shapes that are compiled at the most; the next one is an error and never silently slow."""


class CompiledBody:
    """Calls like ``network.model``, compiled once for every canvas length, whatever the number of rows.

    A run has few lengths: prompts are padded in steps. Each takes torch half a minute or more, so this pays
    where a length is asked for thousands of times. Rounding differs from the plain network in the last bits.

    Args:
        body: The module without its output head.
        backend: Of `torch.compile`.
    """

    def __init__(self, body: Any, backend: str = "inductor") -> None:
        self._compiled: Callable[..., Any] = torch.compile(body, backend=backend, fullgraph=True)

    def __call__(
        self, *, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, **rest: Any
    ) -> Any:
        """Return what the body returns."""
        from torch._dynamo import config, maybe_mark_dynamic

        for tensor in (input_ids, attention_mask, position_ids):
            if len(tensor) > 1:  # torch compiles for one row apart
                maybe_mark_dynamic(tensor, 0)
        with config.patch(recompile_limit=MOST_SHAPES, accumulated_recompile_limit=MOST_SHAPES):
            return self._compiled(
                input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, **rest
            )


def check_compiled(compiled: Probed, plain: Probed) -> tuple[SelfTest, ...]:
    """Return the check that a *compiled* model gives the logits of the *plain* one but for rounding.

    Raises:
        LoadError: It does not, or torch cannot compile here.
    """
    rows, length = 3, 16
    canvas = (torch.arange(rows * length).view(rows, length) * 37 % plain.vocab_size).to(plain.device)
    attend = torch.ones_like(canvas, dtype=torch.bool)
    attend[1, :5] = False
    query = attend.nonzero()
    try:
        found = compiled.raw_logits(canvas, attend, query)
    except Exception as error:  # whatever torch's compiler and the compilers that it calls say
        raise LoadError(
            f"--pb-compile must have what torch.compile needs, got {type(error).__name__}: "
            f"{one_line(error)}; leave it out"
        ) from error
    expected = plain.raw_logits(canvas, attend, query)
    difference, size = float((found - expected).abs().max()), float(expected.abs().max())
    test = SelfTest(
        name="compiled",
        passed=difference <= RELATIVE_TOLERANCE[plain.dtype] * max(1.0, size),
        detail=f"compiling moves logits by {difference:.1e} at size {size:.1e} in {plain.dtype}",
    )
    return all_passed(plain.name, (test,))
