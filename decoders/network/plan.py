"""What a family reads from config.json, and all that the shared loader needs to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from decoders.loading.weights import Parts, whole


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPlan:
    """Which network takes the weights of a checkpoint, and how.

    Args:
        native: The config object of the transformers class.
        network: The transformers class, called with *native*.
        ties: Parameters that the files leave out, with the parameter that each shares.
        parts: Renamed key to the parts its tensor consists of.
    """

    native: Any
    network: Callable[[Any], Any]
    ties: Mapping[str, str]
    parts: Parts = whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan(NetworkPlan):
    """What a family reads from config.json.

    Args:
        rows: Rows of the embedding.
        max_length: Longest canvas the checkpoint was made for.
        mask_id: The mask token.
        pad_id: The padding token.
        eos_ids: EOS of config.json; the chat format may add an end of turn.
        rope_theta: Base of the rotary frequencies.
        rotary_dim: Channels of an attention head that are rotated.
        full_precision_rope: Whether queries and keys are rotated in float32 under every dtype.
        shift: Whether row i - 1 of the network predicts token i.
        block_length: The trained block of block-causal attention; None is full attention.
    """

    rows: int
    max_length: int
    mask_id: int
    pad_id: int
    eos_ids: frozenset[int]
    rope_theta: float
    rotary_dim: int
    full_precision_rope: bool = False
    shift: bool = False
    block_length: int | None = None
