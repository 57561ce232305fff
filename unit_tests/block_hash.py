"""A denoiser of hashes with block-causal attention, in which a stale key changes the logits that read it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from decoders.loop import draws
from decoders.network.attention import block_mask, position_ids
from decoders.testing.hash_denoiser import HashDenoiser


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoLayers:
    """Int64 [B, L] twice: the tokens seen in every column, and a hash of what each saw when evaluated."""

    tokens: Tensor
    contents: Tensor


class BlockHash(HashDenoiser):
    """Logits read what the columns of their block and of those before hold: a hash of what those saw.

    It keeps the windows of a row, counted from the row's first token, under the row's context, and the rows
    of every forward.
    """

    def __init__(self, block_length, *, margin=0):
        super().__init__()
        self.block_length, self.window_margin = block_length, margin
        self.windows, self.forwards = {}, []

    def __call__(self, canvas, attend, query, contexts):
        return self.read(self.look(canvas, attend), attend, query)

    def look(self, tokens, attend):
        """Return what every column holds after it looked at *tokens*."""
        own = draws.combine(tokens, position_ids(attend))
        return torch.where(block_mask(attend, self.block_length)[:, 0], own[:, None], 0).sum(dim=2)

    def read(self, contents, attend, query):
        row, position = query.unbind(dim=1)
        seen = torch.where(block_mask(attend, self.block_length)[:, 0], contents[:, None], 0).sum(dim=2)
        key = draws.combine(seen, position_ids(attend))[row, position].unsqueeze(1)
        logits = draws.uniform(draws.combine(key, torch.arange(self.vocab_size))) * self.sharpness
        logits[:, self.mask_id] = float("-inf")
        return logits.float()

    def new_cache(self, n_rows, length):
        empty = torch.zeros(n_rows, length, dtype=torch.long)
        return TwoLayers(tokens=empty, contents=empty.clone())

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        self.forwards.append(tuple(contexts))
        bounds = window or [(0, canvas.shape[1])] * len(canvas)
        for (start, end), is_real, context in zip(bounds, attend, contexts, strict=True):
            padding = int((~is_real).sum())
            self.windows.setdefault(context, []).append((start - padding, end - padding))
        for row, position in query.tolist():
            start, end = bounds[row]
            assert start <= max(position - self.window_margin, int((~attend[row]).sum()))
            assert position < end
        column = torch.arange(canvas.shape[1])
        limits = torch.tensor(bounds).unsqueeze(2)
        inside = (column >= limits[:, 0]) & (column < limits[:, 1])
        cache.tokens[rows] = torch.where(inside, canvas, cache.tokens[rows])
        fresh = self.look(cache.tokens[rows], attend)
        cache.contents[rows] = torch.where(inside, fresh, cache.contents[rows])
        return self.read(cache.contents[rows], attend, query)
