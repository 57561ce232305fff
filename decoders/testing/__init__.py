"""The public conformance kit: does a method, a denoiser or a generator obey the rules of the loop?

Each ``check_*`` raises AssertionError with the broken law. Use it in a test of your own::

    from decoders.testing import check_method

    def test_my_method_obeys_the_rules():
        check_method(MyMethod(gamma=0.9))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from decoders.budget import Budget
from decoders.loop.batching import sweep
from decoders.loop.needs import KNOWN, SCOPES
from decoders.rows import Decoded, Failed, Row, Setting
from decoders.state import StepUpdate, StepView, UnmaskingMethod
from decoders.testing.hash_denoiser import HashDenoiser, example_slots, example_view, example_views
from decoders.testing.model_checks import check_denoiser, check_generator
from decoders.traits import method_traits

__all__ = [
    "HashDenoiser",
    "check_denoiser",
    "check_generator",
    "check_method",
    "example_slots",
    "example_view",
]


def check_method(method: UnmaskingMethod) -> None:
    """Check that *method* obeys the rules: what it declares, one step in isolation, and whole decodes.

    Raises:
        AssertionError: With the law that is broken.
    """
    _check_declaration(method)
    for seed in range(3):
        for sharpness in (0.5, 6.0, 60.0):
            _check_one_step(method, seed=seed, sharpness=sharpness)
    for block_length in (None, 4):
        _check_whole_decode(method, block_length)


def _check_declaration(method: UnmaskingMethod) -> None:
    assert is_dataclass(method), (
        f"a method is a frozen dataclass of plain parameters, got {type(method).__name__}"
    )
    for f in fields(method):
        value = getattr(method, f.name)
        assert value is None or isinstance(value, (int, float, str, bool)), (
            f"parameter {f.name} must be plain, got {value!r}"
        )
        try:
            setattr(method, f.name, value)
        except AttributeError:
            continue
        raise AssertionError(f"a method is frozen, but {f.name} can be set")
    assert hash(method) == hash(method), "a method is hashable"
    named = isinstance(method.name, str) and method.name
    assert named, f"name must be a text, got {method.name!r}"
    assert method.family in ("static", "adaptive"), (
        f"family must be static or adaptive, got {method.family!r}"
    )
    for flag in ("takes_k", "may_remask", "may_idle"):
        assert isinstance(getattr(method, flag), bool), (
            f"{flag} must be True or False, got {getattr(method, flag)!r}"
        )
    assert isinstance(method.needs, frozenset), f"needs must be a frozenset, got {method.needs!r}"
    assert method.needs <= KNOWN, f"needs must be among {sorted(KNOWN)}, got {sorted(method.needs)}"
    scope = method_traits(method).scope
    assert scope in SCOPES, f"scope must be one of {', '.join(SCOPES)}, got {scope!r}"
    assert method.sweep, "sweep must hold at least one parameter set"
    assert all(isinstance(params, Mapping) for params in method.sweep), (
        "sweep must hold mappings of parameters"
    )


def _check_one_step(method: UnmaskingMethod, *, seed: int, sharpness: float) -> None:
    slots = example_slots(method, seed=seed)
    everyone = range(len(slots))
    view_of = example_views(slots, sharpness=sharpness)
    view = view_of(everyone)
    before = _tensors(view)
    memory = method.init(view)
    _check_memory(memory, len(slots))
    update, after = method.step(view, memory)
    _check_memory(after, len(slots))
    for name, tensor in _tensors(view).items():
        assert torch.equal(tensor, before[name]), f"a step changes no input, but {name} changed"
    _check_update(method, view, update)
    again, _ = method.step(view_of(everyone), method.init(view))
    assert _same(view, update, again), "the same view gives the same update"
    for index in everyone:
        alone_view = view_of([index])
        alone, alone_after = method.step(alone_view, method.init(alone_view))
        row = StepUpdate(
            unmask=update.unmask[[index]],
            tokens=update.tokens[[index]],
            remask=None if update.remask is None else update.remask[[index]],
        )
        assert _same(alone_view, row, alone), (
            f"a row's update does not depend on its batch mates (row {index})"
        )
        assert _same_memory(after, index, alone_after), (
            f"a row's memory does not depend on its batch mates (row {index})"
        )


def _tensors(view: StepView) -> dict[str, Tensor]:
    return {
        f.name: getattr(view, f.name).clone()
        for f in fields(view)
        if isinstance(getattr(view, f.name), Tensor)
    }


def _check_memory(memory: Any, n_rows: int) -> None:
    if memory is None:
        return
    assert is_dataclass(memory), (
        f"memory is None or a frozen dataclass of tensors, got {type(memory).__name__}"
    )
    for f in fields(memory):
        tensor = getattr(memory, f.name)
        good = isinstance(tensor, Tensor) and tensor.shape[:1] == (n_rows,)
        assert good, f"memory.{f.name} must be a tensor with the {n_rows} rows as dimension 0"


def _same_memory(memory: Any, index: int, alone: Any) -> bool:
    if memory is None or alone is None:
        return memory is alone
    pairs = [(getattr(memory, f.name)[index], getattr(alone, f.name)[0]) for f in fields(memory)]
    return all(torch.allclose(a.double(), b.double(), equal_nan=True) for a, b in pairs)


def _check_update(method: UnmaskingMethod, view: StepView, update: StepUpdate) -> None:
    assert update.unmask.dtype == torch.bool, f"unmask must be bool, got {update.unmask.dtype}"
    assert update.unmask.shape == update.tokens.shape == view.eligible.shape, (
        "an update has the shape of the view"
    )
    may_write = view.evaluated if method_traits(method).writes_evaluated else view.eligible
    assert not (update.unmask & ~may_write).any(), "a step unmasks only eligible positions"
    if not method.may_idle:
        assert update.unmask.any(dim=1).all(), "a step commits at least one position of every row"
    if update.remask is not None:
        assert method.may_remask or not update.remask.any(), (
            "only a method that declares may_remask masks again"
        )


def _same(view: StepView, first: StepUpdate, second: StepUpdate) -> bool:
    none = torch.zeros_like(view.eligible)
    masks = torch.equal(first.unmask, second.unmask)
    tokens = torch.equal(first.tokens[first.unmask], second.tokens[second.unmask]) if masks else False
    remasks = [none if update.remask is None else update.remask for update in (first, second)]
    return masks and tokens and torch.equal(remasks[0], remasks[1])


def _check_whole_decode(method: UnmaskingMethod, block_length: int | None) -> None:
    denoiser = HashDenoiser()
    length = 12
    tokens_per_step = (1, 3, length) if method.takes_k else (None,)
    rows = [
        Row(
            key=(k, index),
            prompt_ids=(3, 4, 5)[: index + 1],
            gen_length=length,
            setting=Setting(method=method, k=k, block_length=block_length),
            sample_id=str(index),
        )
        for k in tokens_per_step
        for index in range(3)
    ]
    together = {outcome.key: outcome for outcome in sweep(denoiser, rows)}
    alone = {outcome.key: outcome for outcome in sweep(denoiser, rows, budget=Budget(tokens=1))}
    assert together.keys() == {row.key for row in rows}, "every row comes back once"
    for key, outcome in together.items():
        assert isinstance(outcome, Decoded), (
            f"a decode finishes: {outcome.error if isinstance(outcome, Failed) else outcome}"
        )
        leaves_masks = method_traits(method).may_leave_masks
        assert leaves_masks or denoiser.mask_id not in outcome.ids, "no MASK is left"
        assert outcome.nfe is not None, "the loop counts its forwards"
        assert outcome.nfe <= 2 * length, "a decode takes at most twice its length in steps"
        assert outcome == alone[key], "a row's result does not depend on its batch mates"
        if method.takes_k and method.family == "static" and not method.may_remask and block_length is None:
            assert outcome.nfe == -(-length // key[0]), (
                f"k={key[0]} takes ceil({length} / k) steps, got {outcome.nfe}"
            )
