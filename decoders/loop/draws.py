"""Random numbers as a function of what they are for: no generator object, no order of calls.

Every draw is a hash of its key (row, canvas or step, position, purpose), so a row gets the same draws alone,
in a batch, after a resume or on another worker. The mixer is the finaliser of SplitMix64 (Steele, Lea, Flood
2014).
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

TOKEN_TIE, POSITION_TIE, ORDER, TOKEN_NOISE, PERMUTATION = 1, 2, 3, 4, 5
"""Purposes: which tied token, which tied position, an order drawn anew at every step, Gumbel noise on tokens,
and the one order of a sample that random unmasking follows.
"""

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MULTIPLY_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MULTIPLY_2 = -7723592293110705685  # 0x94D049BB133111EB


def row_key(seed: int, sample_id: str) -> int:
    """Return the signed 64-bit key of a row: a hash of the run's seed and the sample id."""
    digest = hashlib.sha256(f"{seed}/{sample_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _shift(value: Tensor, bits: int) -> Tensor:
    return (value >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix(value: Tensor) -> Tensor:
    value = _shift(value, 30).bitwise_xor_(value).mul_(_MULTIPLY_1)
    value = _shift(value, 27).bitwise_xor_(value).mul_(_MULTIPLY_2)
    return _shift(value, 31).bitwise_xor_(value)


def _signed(value: int) -> int:
    """Return *value* modulo 2^64, as a signed 64-bit integer."""
    return (value + 2**63) % 2**64 - 2**63


def combine(first: Tensor, *others: Tensor | int) -> Tensor:
    """Return the int64 hash of broadcastable int64 parts; their order matters."""
    key = _mix(first + _GOLDEN)
    for part in others:
        key = _mix(key + _signed(part + _GOLDEN) if isinstance(part, int) else key + part + _GOLDEN)
    return key


def uniform(key: Tensor) -> Tensor:
    """Return float64 draws strictly between 0 and 1, one for each hashed *key*.

    52 bits: with 53 the largest draw would be rounded to 1, where Gumbel noise is infinite.
    """
    return (_shift(key, 12).double() + 0.5) * 2.0**-52


def canvas_key(tokens: Tensor) -> Tensor:
    """Return an int64 hash [..., B] of the generated regions *tokens* [..., B, G]."""
    positions = torch.arange(tokens.shape[-1], device=tokens.device)
    return combine(tokens, positions).sum(dim=-1)
