"""The public conformance kit: does a method, a denoiser or a generator obey the rules of the loop?

Each ``check_*`` raises AssertionError with the broken law. Use it in a test of your own::

    from decoders.testing import check_method

    def test_my_method_obeys_the_rules():
        check_method(MyMethod(gamma=0.9))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from decoders import draws
from decoders.batching import Budget, sweep
from decoders.protocols import Denoiser, Generator, HasSupport, Message, UnmaskingMethod
from decoders.slots import Slots, admit
from decoders.loop import settle
from decoders.state import Decoded, Failed, Row, Setting, StepUpdate, StepView
from decoders.tokenizer import PieceTokenizer
from decoders.view import batch_view, eligible_positions, flat_query, method_view, propose

NFE_KINDS = ("exact", "snapshots", "cap", "unknown")


class HashDenoiser:
    """A denoiser whose logits are a fixed hash of the canvas: cheap, deterministic, different at every canvas.

    Args:
        sharpness: Scale of the logits, uniform in [0, sharpness); larger is more confident.
    """

    name = "hash"
    mask_id = 0
    pad_id = 1
    eos_ids = frozenset({1})

    def __init__(self, *, vocab_size: int = 23, sharpness: float = 6.0) -> None:
        self.tokenizer = PieceTokenizer()
        self.vocab_size = vocab_size
        self.sharpness = sharpness

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return ids in the small vocabulary, one per character."""
        return [2 + ord(c) % (self.vocab_size - 2) for message in messages for c in message["content"]]

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return logits [N, V] that depend on the attended tokens of the row and on the place from the end."""
        row, position = query.unbind(dim=1)
        from_end = canvas.shape[1] - torch.arange(canvas.shape[1])
        seen = torch.where(attend, draws.combine(canvas, from_end), torch.zeros_like(canvas)).sum(dim=1)
        key = draws.combine(seen[row], canvas.shape[1] - position).unsqueeze(1)
        logits = draws.uniform(draws.combine(key, torch.arange(self.vocab_size))) * self.sharpness
        logits[:, self.mask_id] = float("-inf")
        return logits.float()


def example_slots(method: UnmaskingMethod, *, n_rows: int = 4, gen_length: int = 12, seed: int = 0) -> Slots:
    """Return a batch of rows of *method*, some with a template, ready for a first step."""
    denoiser = HashDenoiser()
    rows = []
    for index in range(n_rows):
        template = tuple(2 if (position * 7 + index) % 5 == 0 else 0 for position in range(gen_length))
        setting = Setting(method=method, k=1 + index if method.takes_k else None, block_length=(None, 6)[index % 2])
        rows.append(
            Row(
                key=index,
                prompt_ids=tuple(range(2, 3 + index)),
                gen_length=gen_length,
                setting=setting,
                sample_id=str(index),
                seed=seed,
                template_ids=template if index % 2 else None,
            )
        )
    return settle(admit(rows, denoiser, n_rows), denoiser)[0]


def example_view(slots: Slots, members: Sequence[int], *, sharpness: float = 6.0, unbiased: bool = False) -> StepView:
    """Return the view that the rows *members* of *slots* see before their next step."""
    denoiser = HashDenoiser(sharpness=sharpness)
    eligible = eligible_positions(slots, denoiser.mask_id)
    query = flat_query(eligible, sum(slots.eligible_count))
    offset = torch.tensor([0, slots.canvas.shape[1] - slots.gen_length])
    logits = denoiser(slots.canvas, slots.attend, query + offset, [None] * len(slots))
    found = propose(slots, logits, query, unbiased=unbiased)
    return method_view(batch_view(slots, found, eligible, unbiased=unbiased), slots, found, members)


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
    assert is_dataclass(method), f"a method is a frozen dataclass of plain parameters, got {type(method).__name__}"
    for f in fields(method):
        value = getattr(method, f.name)
        assert value is None or isinstance(value, (int, float, str, bool)), f"parameter {f.name} must be plain, got {value!r}"
        try:
            setattr(method, f.name, value)
        except AttributeError:
            continue
        raise AssertionError(f"a method is frozen, but {f.name} can be set")
    assert hash(method) == hash(method), "a method is hashable"
    assert isinstance(method.name, str) and method.name, f"name must be a text, got {method.name!r}"
    assert method.family in ("static", "adaptive"), f"family must be static or adaptive, got {method.family!r}"
    for flag in ("takes_k", "may_remask", "may_idle"):
        assert isinstance(getattr(method, flag), bool), f"{flag} must be True or False, got {getattr(method, flag)!r}"
    assert isinstance(method.needs, frozenset), f"needs must be a frozenset, got {method.needs!r}"
    assert method.sweep, "sweep must hold at least one parameter set"
    assert all(isinstance(params, Mapping) for params in method.sweep), "sweep must hold mappings of parameters"


def _check_one_step(method: UnmaskingMethod, *, seed: int, sharpness: float) -> None:
    slots = example_slots(method, seed=seed)
    everyone = range(len(slots))
    view = example_view(slots, everyone, sharpness=sharpness)
    before = _tensors(view)
    memory = method.init(view)
    _check_memory(memory, len(slots))
    update, after = method.step(view, memory)
    _check_memory(after, len(slots))
    for name, tensor in _tensors(view).items():
        assert torch.equal(tensor, before[name]), f"a step changes no input, but {name} changed"
    _check_update(method, view, update)
    again, _ = method.step(example_view(slots, everyone, sharpness=sharpness), method.init(view))
    assert _same(view, update, again), "the same view gives the same update"
    for index in everyone:
        alone_view = example_view(slots, [index], sharpness=sharpness)
        alone, _ = method.step(alone_view, method.init(alone_view))
        row = StepUpdate(
            unmask=update.unmask[[index]],
            tokens=update.tokens[[index]],
            remask=None if update.remask is None else update.remask[[index]],
        )
        assert _same(alone_view, row, alone), f"a row's update does not depend on its batch mates (row {index})"


def _tensors(view: StepView) -> dict[str, Tensor]:
    return {f.name: getattr(view, f.name).clone() for f in fields(view) if isinstance(getattr(view, f.name), Tensor)}


def _check_memory(memory: Any, n_rows: int) -> None:
    if memory is None:
        return
    assert is_dataclass(memory), f"memory is None or a frozen dataclass of tensors, got {type(memory).__name__}"
    for f in fields(memory):
        tensor = getattr(memory, f.name)
        good = isinstance(tensor, Tensor) and tensor.shape[:1] == (n_rows,)
        assert good, f"memory.{f.name} must be a tensor with the {n_rows} rows as dimension 0"


def _check_update(method: UnmaskingMethod, view: StepView, update: StepUpdate) -> None:
    assert update.unmask.dtype == torch.bool, f"unmask must be bool, got {update.unmask.dtype}"
    assert update.unmask.shape == update.tokens.shape == view.eligible.shape, "an update has the shape of the view"
    assert not (update.unmask & ~view.eligible).any(), "a step unmasks only eligible positions"
    if not method.may_idle:
        assert update.unmask.any(dim=1).all(), "a step commits at least one position of every row"
    if update.remask is not None:
        assert method.may_remask or not update.remask.any(), "only a method that declares may_remask masks again"


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
        assert isinstance(outcome, Decoded), f"a decode finishes: {outcome.error if isinstance(outcome, Failed) else outcome}"
        assert denoiser.mask_id not in outcome.ids, "no MASK is left"
        assert outcome.nfe is not None and outcome.nfe <= 2 * length, "a decode takes at most twice its length in steps"
        assert outcome == alone[key], "a row's result does not depend on its batch mates"
        if method.takes_k and not method.may_remask and block_length is None:
            assert outcome.nfe == -(-length // key[0]), f"k={key[0]} takes ceil({length} / k) steps, got {outcome.nfe}"


def check_denoiser(
    denoiser: Denoiser,
    *,
    contexts: Sequence[Any] = (None, None),
    gen_length: int = 8,
    tolerance: float = 1e-4,
) -> None:
    """Check that *denoiser* obeys the rules: shapes, MASK, alignment of queries, padding, determinism.

    Args:
        denoiser: The model.
        contexts: Two opaque objects for two rows, where the model needs them.
        gen_length: Positions to generate; must fit the contexts.
        tolerance: Largest difference of a log probability between a padded and an unpadded row.

    Raises:
        AssertionError: With the law that is broken.
    """
    assert denoiser.mask_id not in denoiser.eos_ids, "MASK is no end of text"
    assert denoiser.eos_ids, "there is at least one end of text"
    prompts = [denoiser.encode_prompt([{"role": "user", "content": text}]) for text in ("Hi.", "A somewhat longer question?")]
    for prompt in prompts:
        assert all(0 <= token < denoiser.vocab_size for token in prompt), "prompt ids lie inside the vocabulary"
    assert isinstance(denoiser.tokenizer.decode(denoiser.tokenizer.encode("abc 1")), str), "decoding gives text"
    width = max(map(len, prompts))
    canvas = torch.full((2, width + gen_length), denoiser.pad_id)
    for index, prompt in enumerate(prompts):
        canvas[index, width - len(prompt) : width] = torch.tensor(prompt, dtype=torch.long)
    canvas[:, width:] = denoiser.mask_id
    attend = torch.arange(width + gen_length) >= torch.tensor([[width - len(prompt)] for prompt in prompts])
    query = torch.cartesian_prod(torch.arange(2), torch.arange(width, width + gen_length))
    untouched = canvas.clone()
    logits = denoiser(canvas, attend, query, list(contexts))
    assert torch.equal(canvas, untouched), "a forward does not change the canvas"
    columns = denoiser.vocab_size
    ids = torch.arange(columns).expand(2, -1)
    if isinstance(denoiser, HasSupport):
        ids = denoiser.support(list(contexts))
        columns = ids.shape[1]
    assert logits.shape == (len(query), columns), f"logits are [N, V] = {(len(query), columns)}, got {tuple(logits.shape)}"
    log_p = torch.log_softmax(logits.float(), dim=1)
    assert not torch.isnan(log_p).any(), "logits are finite somewhere in every row and never NaN"
    mask_column = ids[query[:, 0]] == denoiser.mask_id
    assert torch.isneginf(logits[mask_column]).all(), "MASK is never proposed: its logit is -inf"
    assert torch.equal(logits, denoiser(canvas, attend, query, list(contexts))), "the same canvas gives the same logits"
    some = torch.arange(1, len(query), 3)
    part = torch.log_softmax(denoiser(canvas, attend, query[some], list(contexts)).float(), dim=1)
    assert _close(part, log_p[some], tolerance), "logits belong to the queried position, whatever else is asked"
    for index, prompt in enumerate(prompts):
        mine = query[:, 0] == index
        start = width - len(prompt)
        shifted = query[mine] - torch.tensor([index, start])
        alone = denoiser(canvas[[index], start:], attend[[index], start:], shifted, [contexts[index]])
        same = log_p[mine][:, : alone.shape[1]]
        assert _close(torch.log_softmax(alone.float(), dim=1), same, tolerance), "padding and batch mates change nothing"


def _close(first: Tensor, second: Tensor, tolerance: float) -> bool:
    return torch.allclose(first.nan_to_num(neginf=-1e4), second.nan_to_num(neginf=-1e4), rtol=0.0, atol=tolerance)


def check_generator(generator: Generator, params: Mapping[str, Any], *, gen_length: int = 8, rows: Sequence[Row] = ()) -> None:
    """Check that *generator* obeys the rules: one result per row in order, honest step counts, same seed same result.

    Args:
        generator: The model.
        params: Its own parameters.
        gen_length: Positions to generate, where *rows* are not given.
        rows: Rows to decode; two short prompts otherwise.

    Raises:
        AssertionError: With the law that is broken.
    """
    asked = list(rows)
    if not asked:
        setting = Setting(method=_Native())
        for index, text in enumerate(("Hi.", "A somewhat longer question?")):
            prompt = tuple(generator.encode_prompt([{"role": "user", "content": text}]))
            asked.append(Row(key=index, prompt_ids=prompt, gen_length=gen_length, setting=setting, sample_id=str(index)))
    results = generator.generate(asked, params)
    assert [result.key for result in results] == [row.key for row in asked], "one result per row, in order"
    for row, result in zip(asked, results, strict=True):
        assert len(result.ids) <= row.gen_length, f"at most gen_length={row.gen_length} ids, got {len(result.ids)}"
        assert result.nfe_kind in NFE_KINDS, f"nfe_kind must be one of {', '.join(NFE_KINDS)}, got {result.nfe_kind!r}"
        assert (result.nfe is None) == (result.nfe_kind == "unknown"), "nfe is None exactly when its kind is unknown"
        assert result.nfe is None or result.nfe >= 1, f"nfe counts forwards, got {result.nfe}"
        assert result.commit_step is None or len(result.commit_step) == len(result.ids), "one commit step per id"
    assert results == generator.generate(asked, params), "the same seed gives the same result"


class _Native:
    """Stands in for a method where the model owns its loop."""

    name = "native"
    family = "adaptive"
    takes_k = False
    sweep: tuple[Mapping[str, Any], ...] = ({},)
    needs: frozenset[str] = frozenset()
    may_remask = False
    may_idle = False

    def init(self, view: StepView) -> None:
        """Never called."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Never called."""
        raise AssertionError("a generator owns its loop")
