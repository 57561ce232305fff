"""The masked diffusion loss: examples, partly masked, and the error of a network where something is hidden.

Legend: B = rows, P = prompt positions, C = canvas positions, L = prompt and shown canvas positions,
G = shown canvas positions, V = vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

TAIL = 3
"""Canvas positions beyond the longest answer that a row shows; which ones is drawn anew for each row."""

LOWEST_MASK_RATIO = 0.02


class Examples(Protocol):
    """Prompts with answers, as plain arrays: what a source of examples gives for one batch."""

    @property
    def prompts(self) -> NDArray[np.int64]:
        """Token ids [B, P]."""
        ...

    @property
    def answers(self) -> NDArray[np.int64]:
        """Token ids [B, C], EOS after an answer."""
        ...

    @property
    def shown(self) -> int:
        """Canvas positions that an answer may fill; all others hold EOS in every row."""
        ...

    @property
    def tasks(self) -> NDArray[np.int64]:
        """Which task a row belongs to [B]; errors are told apart by it."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a step learns from.

    ``ids`` and ``positions`` int64 [B, L] with MASK where something is hidden; ``targets`` int64 [B, G] and
    ``weights`` float32 [B, G], 0 where nothing is hidden, belong to the last G positions; ``tasks`` is
    int64 [B].
    """

    ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor
    tasks: Tensor


def mask(
    rng: np.random.Generator, examples: Examples, mask_id: int, token_weights: NDArray[np.float32]
) -> Batch:
    """Return *examples* with each canvas position masked with a ratio drawn for its row.

    The positions that answers fill are there, and `TAIL` of the others, which all hold EOS: a row is shorter
    than in decoding, where every position is there, and learns the same.

    Args:
        rng: Decides what is hidden.
        examples: What is learned.
        mask_id: The mask token.
        token_weights: Weight in the loss of a hidden token, by its id [V].

    Source: the masked diffusion loss of LLaDA (arXiv:2502.09992) with equal weights for all ratios.
    """
    (rows, prompt), shown = examples.prompts.shape, examples.shown
    others = examples.answers.shape[1] - shown
    tail = shown + np.sort(np.argpartition(rng.random((rows, others)), TAIL, axis=1)[:, :TAIL], axis=1)
    columns = np.concatenate([np.broadcast_to(np.arange(shown), (rows, shown)), tail], axis=1)
    targets = np.take_along_axis(examples.answers, columns, axis=1)
    ratio = rng.uniform(LOWEST_MASK_RATIO, 1.0, size=(rows, 1))
    hidden = rng.random(targets.shape) < ratio
    ids = np.concatenate([examples.prompts, np.where(hidden, mask_id, targets)], axis=1)
    before = np.broadcast_to(np.arange(prompt), (rows, prompt))
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(np.concatenate([before, prompt + columns], axis=1)),
        targets=torch.from_numpy(targets),
        weights=torch.from_numpy(token_weights[targets] * hidden),
        tasks=torch.from_numpy(examples.tasks),
    )


def masked_errors(hidden_of: Any, head: Tensor, batch: Batch) -> Tensor:
    """Return the cross entropy in nats at every shown canvas position, float32 [B, G]."""
    rows, length = batch.ids.shape
    everyone = torch.zeros(1, 1, length, length).expand(rows, -1, -1, -1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = hidden_of(
            input_ids=batch.ids, attention_mask=everyone, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        logits = hidden[:, length - batch.targets.shape[1] :] @ head.T
    errors = nn.functional.cross_entropy(
        logits.float().flatten(0, 1), batch.targets.flatten(), reduction="none"
    )
    return errors.view(batch.targets.shape)


def by_task(errors: Tensor, batch: Batch, n_tasks: int) -> Tensor:
    """Return the sum of the errors at hidden tokens of full weight, and their number, [2, tasks]."""
    counted = (batch.weights == 1.0).float()
    sums = torch.zeros(2, n_tasks)
    sums[0].index_add_(0, batch.tasks, (errors * counted).sum(dim=1))
    sums[1].index_add_(0, batch.tasks, counted.sum(dim=1))
    return sums
