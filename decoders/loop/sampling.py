"""Logits to token proposals, greedy with the model's tie rule or with Gumbel noise, and what they tell.

Legend: N = queried positions, C = columns of the logits (vocabulary or a row's support).
"""

from __future__ import annotations

from collections.abc import Callable

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


def log_odds(logits: Tensor, columns: Tensor) -> Tensor:
    """Return the float64 log odds [N], ``log(p / (1 - p))``, of the softmax probability p of *columns* [N].

    A trained network is sure to 1e-6 and far beyond, where a float32 probability is 1. What stands against
    the token is therefore summed without it, which keeps the relative precision of the odds at any height:
    logits 58 and 44.4 give 1 - p = 1.24e-6. Infinite where nothing stands against it, NaN where the logits
    are not usable.
    """

    def of_part(part: Tensor, chosen: Tensor) -> Tensor:
        best = part.max(dim=1, keepdim=True).values
        against = (part - best).exp_().scatter_(1, chosen, 0.0).sum(dim=1)
        return (part.gather(1, chosen) - best).squeeze(1).double() - against.double().log()

    return _in_parts(of_part, logits, columns.unsqueeze(1))


def margin_log_odds(logits: Tensor) -> Tensor:
    """Return the float64 log odds [N] of the margin m, the difference of the two largest probabilities.

    With e = exp(second - best) and R the sum of ``exp(logit - best)`` of all others, ``m / (1 - m)`` is
    ``(1 - e) / (2 e + R)``: like `log_odds` it keeps its digits where m is close to 1.
    """
    if logits.shape[1] == 1:
        return logits[:, 0].double() * 0.0 + float("inf")

    def of_part(part: Tensor) -> Tensor:
        top = part.topk(2, dim=1)
        best = top.values[:, :1]
        others = (part - best).exp_().scatter_(1, top.indices, 0.0).sum(dim=1).double()
        gap = (top.values[:, 1] - best[:, 0]).double()
        return torch.log(-torch.expm1(gap)) - torch.log(2.0 * gap.exp() + others)

    return _in_parts(of_part, logits)


def logit_gap(logits: Tensor) -> Tensor:
    """Return by how much the largest logit exceeds the second, float64 [N]; infinite without a second."""
    if logits.shape[1] == 1:
        return logits[:, 0].double() * 0.0 + float("inf")

    def of_part(part: Tensor) -> Tensor:
        best, second = part.topk(2, dim=1).values.double().unbind(dim=1)
        return best - second

    return _in_parts(of_part, logits)


def neg_entropy(logits: Tensor) -> Tensor:
    """Return the negative Shannon entropy in nats, float64 [N]; impossible tokens add nothing.

    With d = logit - best and R the sum of ``exp(d)`` of all but the best token, the entropy is
    ``log(1 + R) - sum of d exp(d) / (1 + R)``: a sum of positive terms, so an entropy close to 0 keeps its
    digits.
    """

    def of_part(part: Tensor) -> Tensor:
        best = part.max(dim=1, keepdim=True)
        below = part - best.values
        weight = below.exp().scatter_(1, best.indices, 0.0)
        rest = weight.sum(dim=1).double()
        spread = weight.mul_(below.clamp_(min=torch.finfo(below.dtype).min)).sum(dim=1).double()
        return spread / (1.0 + rest) - torch.log1p(rest)

    return _in_parts(of_part, logits)


def _in_parts(score: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Return *score* [N] of *tensors*, the logits [N, C] first, computed part by part."""
    found = [score(*(tensor[part] for tensor in tensors)) for part in parts(tensors[0])]
    return torch.cat(found) if found else tensors[0].new_empty(0, dtype=torch.float64)


def parts(logits: Tensor) -> list[slice]:
    """Return slices of the rows of *logits* [N, C] that are best looked at together; one on a device.

    To allocate the temporaries of a large vocabulary costs a processor more than to fill them.
    """
    n_rows, columns = logits.shape
    on_processor = logits.device.type == "cpu"
    at_once = max(1, LOGITS_AT_ONCE // columns if on_processor else n_rows)
    return [slice(start, start + at_once) for start in range(0, n_rows, at_once)]
