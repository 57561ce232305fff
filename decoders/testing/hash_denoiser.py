"""A denoiser of hashes and the views it gives: what the conformance kit tries methods on.

Legend: B = rows, N = queried positions, V = vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from decoders.loop import draws
from decoders.loop.branches import spread_out
from decoders.loop.forwards import interpret, listen
from decoders.loop.loop import settle
from decoders.loop.slots import Slots, admit
from decoders.loop.view import batch_view, method_view
from decoders.protocols import Message, Tokenizer
from decoders.rows import Row, Setting
from decoders.state import StepView, UnmaskingMethod
from decoders.text.tokenizer import PieceTokenizer
from decoders.traits import method_traits


@dataclass(frozen=True, kw_only=True, slots=True)
class HashCache:
    """``tokens`` int64 [B, L]: what stood in each column when it was last evaluated."""

    tokens: Tensor


class HashDenoiser:
    """A denoiser whose logits are a fixed hash of the canvas: cheap, and different at every canvas.

    Args:
        sharpness: Scale of the logits, uniform in [0, sharpness); larger is more confident.
    """

    name = "hash"
    mask_id = 0
    pad_id = 1
    eos_ids = frozenset({1})
    window_margin = 0

    def __init__(self, *, vocab_size: int = 23, sharpness: float = 6.0) -> None:
        self.tokenizer: Tokenizer = PieceTokenizer()
        self.vocab_size = vocab_size
        self.sharpness = sharpness

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return ids in the small vocabulary, one per character."""
        return [2 + ord(c) % (self.vocab_size - 2) for message in messages for c in message["content"]]

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return logits [N, V] that depend on the attended tokens and on the place from the end."""
        row, position = query.unbind(dim=1)
        from_end = canvas.shape[1] - torch.arange(canvas.shape[1])
        seen = torch.where(attend, draws.combine(canvas, from_end), torch.zeros_like(canvas)).sum(dim=1)
        key = draws.combine(seen[row], canvas.shape[1] - position).unsqueeze(1)
        logits = draws.uniform(draws.combine(key, torch.arange(self.vocab_size))) * self.sharpness
        logits[:, self.mask_id] = float("-inf")
        return logits.float()

    def with_shadows(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        blocks: Sequence[tuple[int, int]],
        judged: Tensor,
        contexts: Sequence[Any],
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of a plain call, and at every *judged* position those of it alone masked."""
        row, position = judged.unbind(dim=1)
        hidden, each = canvas[row], torch.arange(len(judged))
        hidden[each, position] = self.mask_id
        alone = torch.stack([each, position], dim=1)
        return self(canvas, attend, query, contexts), self(hidden, attend[row], alone, contexts)

    def with_attention(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        first: int,
        contexts: Sequence[Any],
        layers: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of a plain call, and attention that depends on the tokens of each pair."""
        key = draws.combine(canvas, canvas.shape[1] - torch.arange(canvas.shape[1]))
        scores = draws.uniform(draws.combine(key[:, first:].unsqueeze(2), key.unsqueeze(1))) * self.sharpness
        weights = torch.softmax(scores.masked_fill(~attend.unsqueeze(1), float("-inf")), dim=2)
        return self(canvas, attend, query, contexts), weights[:, :, first:].float()

    def new_cache(self, n_rows: int, length: int) -> HashCache:
        """Return room for the tokens last seen in every column."""
        return HashCache(tokens=torch.zeros(n_rows, length, dtype=torch.long))

    def with_cache(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        contexts: Sequence[Any],
        cache: HashCache,
        rows: Tensor,
        window: Sequence[tuple[int, int]] | None,
    ) -> Tensor:
        """Return the logits of a plain call on the tokens last evaluated in every column."""
        column = torch.arange(canvas.shape[1])
        bounds = torch.tensor(window or [(0, canvas.shape[1])] * len(canvas)).unsqueeze(2)
        inside = (column >= bounds[:, 0]) & (column < bounds[:, 1])
        cache.tokens[rows] = canvas.where(inside, cache.tokens[rows])
        return self(cache.tokens[rows], attend, query, contexts)


def example_slots(method: UnmaskingMethod, *, n_rows: int = 4, gen_length: int = 12, seed: int = 0) -> Slots:
    """Return a batch of rows of *method*, some with a template, ready for a first step."""
    denoiser = HashDenoiser()
    rows = []
    for index in range(n_rows):
        template = tuple(2 if (position * 7 + index) % 5 == 0 else 0 for position in range(gen_length))
        setting = Setting(
            method=method, k=1 + index if method.takes_k else None, block_length=(None, 6)[index % 2]
        )
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


def example_view(
    slots: Slots, members: Sequence[int], *, sharpness: float = 6.0, unbiased: bool = False
) -> StepView:
    """Return the view that the rows *members* of *slots* see before their next step."""
    return example_views(slots, sharpness=sharpness, unbiased=unbiased)(members)


def example_views(
    slots: Slots, *, sharpness: float = 6.0, unbiased: bool = False
) -> Callable[[Sequence[int]], StepView]:
    """Return a function that makes the view of some rows of *slots*, all of one and the same forward."""
    denoiser = HashDenoiser(sharpness=sharpness)
    if method_traits(slots.rows[0].setting.method).branches == 1:
        found = interpret(slots, listen(slots, denoiser), unbiased=unbiased)
        whole = batch_view(slots, found, unbiased=unbiased)
        return lambda members: method_view(whole, slots, found, members)
    spread = spread_out(slots, denoiser, unbiased=unbiased)
    heard = listen(spread.slots, denoiser)
    found = spread.gather(interpret(spread.slots, heard, unbiased=unbiased))
    whole = batch_view(slots, found, unbiased=unbiased)

    def view_of(members: Sequence[int]) -> StepView:
        view = method_view(whole, slots, found, members)
        return replace(view, lazy={**view.lazy, **spread.lazy(members)})

    return view_of
