"""Logits to token proposals, greedy with the model's tie rule or with Gumbel noise, and what they tell.

Legend: N = queried positions, C = columns of the logits (vocabulary or a row's support).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from decoders.loop import draws

TIE_TOLERANCE = 1e-6
"""Tokens within this log probability, and positions within this score, tie for a model with unbiased ties."""

LOGITS_AT_ONCE = 2**18
"""Logits that a processor looks at together: few enough that what is computed of them stays in its cache."""


def greedy(
    logits: Tensor, row_keys: Tensor, canvas_keys: Tensor, positions: Tensor, *, unbiased: bool
) -> Tensor:
    """Return the best column of each query, int64 [N].

    Ties go to the lowest column. With *unbiased* (a model of exact marginals) columns within `TIE_TOLERANCE`
    of the best are equally likely; the draw is keyed by row, canvas and position (all int64 [N]), never by
    step or method.
    """
    best, choice = logits.max(dim=1)
    if unbiased:
        tied = logits >= (best - TIE_TOLERANCE).unsqueeze(1)
        count = tied.sum(dim=1)
        u = draws.uniform(draws.combine(row_keys, canvas_keys, positions, draws.TOKEN_TIE))
        nth = (u * count).long() + 1
        return (tied.cumsum(dim=1) >= nth.unsqueeze(1)).byte().argmax(dim=1)
    return choice


def sampled(
    logits: Tensor, temperature: Tensor, row_keys: Tensor, steps: Tensor, positions: Tensor, ids: Tensor
) -> Tensor:
    """Return columns [N] drawn from softmax(logits / temperature) by the Gumbel-max trick in float64.

    The noise is keyed by row, step, position and token id, so it is the same in any batch. In low precision
    the tail of the Gumbel distribution is cut off, which lowers the effective temperature (arXiv:2409.02908).

    Args:
        logits: [N, C].
        temperature: float64 [N], above 0.
        row_keys: int64 [N].
        steps: int64 [N], forwards of the row so far.
        positions: int64 [N].
        ids: Token id of each column, [C] or [N, C].
    """
    key = draws.combine(row_keys, steps, positions, draws.TOKEN_NOISE).unsqueeze(1)
    noise = -torch.log(-torch.log(draws.uniform(draws.combine(key, ids))))
    return (logits.double() / temperature.unsqueeze(1) + noise).argmax(dim=1)


def probability(logits: Tensor, columns: Tensor) -> Tensor:
    """Return the float32 softmax probability [N] of *columns* [N]; NaN where the logits are not usable."""
    chosen = logits.gather(1, columns.unsqueeze(1)).squeeze(1)
    return torch.exp(chosen - _log_total(logits))


def margin(logits: Tensor) -> Tensor:
    """Return the difference of the two largest probabilities, float32 [N]."""
    if logits.shape[1] == 1:
        return torch.ones_like(logits[:, 0])
    top = torch.exp(logits.topk(2, dim=1).values - _log_total(logits).unsqueeze(1))
    return top[:, 0] - top[:, 1]


def neg_entropy(logits: Tensor) -> Tensor:
    """Return the negative Shannon entropy in nats, float32 [N]; impossible tokens add nothing."""

    def of_part(part: Tensor) -> Tensor:
        log_p = torch.log_softmax(part, dim=1)
        return log_p.exp().mul_(log_p.clamp_(min=torch.finfo(log_p.dtype).min)).sum(dim=1)

    return _in_parts(of_part, logits)


def _log_total(logits: Tensor) -> Tensor:
    return _in_parts(partial(torch.logsumexp, dim=1), logits)


def _in_parts(score: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """Return *score* [N] of *logits* [N, C], computed part by part."""
    found = [score(logits[part]) for part in parts(logits)]
    return torch.cat(found) if found else logits.new_empty(0)


def parts(logits: Tensor) -> list[slice]:
    """Return slices of the rows of *logits* [N, C] that are best looked at together; one on a device.

    To allocate the temporaries of a large vocabulary costs a processor more than to fill them.
    """
    n_rows, columns = logits.shape
    on_processor = logits.device.type == "cpu"
    at_once = max(1, LOGITS_AT_ONCE // columns if on_processor else n_rows)
    return [slice(start, start + at_once) for start in range(0, n_rows, at_once)]
