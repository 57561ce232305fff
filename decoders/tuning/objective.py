"""What a training makes small: noise on clean rows, and the loss of a network for each row.

Legend: B = rows, L = padded prompt and canvas, G = canvas, N = hidden positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from decoders.network import attention
from decoders.tuning.batches import Chosen, Clean

SMALLEST_TIME = 1e-3
"""Times below are raised to it: a row with nothing hidden teaches nothing, and its weight has no bound."""


class Objective(Protocol):
    """A network with its noise and its loss."""

    def noise(self, clean: Clean, chosen: Sequence[Chosen]) -> tuple[Tensor, ...]:
        """Return the arguments of the loss: the rows of *clean* with the noise of *chosen*."""
        ...

    def __call__(self, *noisy: Tensor) -> Tensor:
        """Return the loss of each row, float32 [B]."""
        ...


class MaskedLoss(nn.Module):
    """The loss of a mask predictor: cross entropy where the canvas is hidden, over the share that is hidden.

    A canvas position that may be hidden is so with the probability t of its row. Attention is that of
    decoding: in both directions over the row; or, for a network of blocks, over the clean blocks before a
    position and the noisy rest of its own block, in one forward over the clean row and its noisy copy.

    Source: LLaDA (arXiv:2502.09992), equation 5 and algorithm 2; BD3-LM (arXiv:2503.09573), the vectorised
    training of block diffusion.

    Args:
        network: A causal network of transformers, as a `NativeDenoiser` holds it.
        mask_id: The mask token.
        shift: Whether row i - 1 of the network predicts token i.
        block_length: The block of block-causal attention; None is full attention.
        precision: The number type of the forward.
    """

    def __init__(
        self, network: Any, *, mask_id: int, shift: bool, block_length: int | None, precision: torch.dtype
    ) -> None:
        super().__init__()
        self.network = network
        self.mask_id, self.shift, self.block_length, self.precision = mask_id, shift, block_length, precision

    def noise(self, clean: Clean, chosen: Sequence[Chosen]) -> tuple[Tensor, ...]:
        """Return ids [B, L], attend [B, L], hidden [B, L], weights [B]; at least one position is hidden."""
        shape = clean.learned.shape
        times = np.array([max(row.time, SMALLEST_TIME) for row in chosen])
        draws = np.stack([row.rng.random(shape[1]) for row in chosen])
        learned = clean.learned.numpy()
        hidden = (draws < times[:, None]) & learned
        lowest = np.where(learned, draws, 2.0).argmin(axis=1)
        hidden[np.arange(shape[0]), lowest] |= learned.any(axis=1)
        whole = torch.zeros_like(clean.attend)
        whole[:, clean.ids.shape[1] - shape[1] :] = torch.from_numpy(hidden)
        weights = 1.0 / (times * np.maximum(learned.sum(axis=1), 1))
        return clean.ids, clean.attend, whole, torch.from_numpy(weights).float()

    def forward(self, ids: Tensor, attend: Tensor, hidden: Tensor, weights: Tensor) -> Tensor:
        """Return the loss of each row [B]."""
        with torch.autocast(ids.device.type, self.precision, enabled=self.precision == torch.bfloat16):
            row, column = hidden.nonzero(as_tuple=True)
            states, place = self._states(ids, attend, hidden, row, column)
            logits = self.network.lm_head(states[row, place])
        errors = nn.functional.cross_entropy(logits.float(), ids[row, column], reduction="none")
        sums = torch.zeros(len(ids), dtype=torch.float32, device=ids.device).index_add(0, row, errors)
        return sums * weights

    def _states(
        self, ids: Tensor, attend: Tensor, hidden: Tensor, row: Tensor, column: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the network's last states, and at which place of a row the asked positions have theirs."""
        noisy = ids.masked_fill(hidden, self.mask_id)
        positions = attention.position_ids(attend)
        if self.block_length is None:
            return self._run(noisy, attention.key_mask(attend), positions), column - int(self.shift)
        mask = twin_mask(attend, self.block_length)
        states = self._run(torch.cat([ids, noisy], dim=1), mask, positions.repeat(1, 2))
        return states, column + ids.shape[1]

    def _run(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        states: Tensor = self.network.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return states


def twin_mask(attend: Tensor, block_length: int) -> Tensor:
    """Return the bool mask [B, 1, 2L, 2L] of clean rows followed by their noisy copies.

    A clean position sees its own clean block and those before it; a noisy one the clean blocks before its
    own, and its own noisy block.

    Args:
        attend: bool [B, L], False at padding.
        block_length: Tokens in a block; the grid starts at the first attended token.
    """
    block = attention.position_ids(attend) // block_length
    key, query = block[:, None, :], block[:, :, None]
    nothing = torch.zeros_like(key < query)
    real = attend[:, None, :]
    clean = torch.cat([real & (key <= query), nothing], dim=2)
    noisy = torch.cat([real & (key < query), real & (key == query)], dim=2)
    return torch.cat([clean, noisy], dim=1)[:, None]
