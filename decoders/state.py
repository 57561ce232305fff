"""What flows through the decode loop: a row that asks, the view a method sees, its update, the decoded row.

Legend of shape letters: R = rows of one method in this forward, G = positions of the generated region,
N = queried positions of all rows, V = vocabulary. The prompt is not part of any [R, G] tensor.

This module imports no heavy library, so that a plan can name methods without loading one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.protocols import UnmaskingMethod

CONFIDENCE_TOLERANCE = 1e-6
"""Every comparison of a probability with a parameter is ``p >= value - CONFIDENCE_TOLERANCE``."""


class DecodeError(RuntimeError):
    """A rule of the decode loop was broken, or the model or method raised.

    ``kind`` is one of ``model_error``, ``method_error``, ``oom``.
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class NotSupported(ValueError):
    """The model lacks something that the method or the cache of a setting needs; nothing was decoded."""


CACHES = ("none", "prefix", "dual", "block")
"""What a forward may leave out: nothing, the columns before the block, all columns but the block, or those
of finished blocks and of blocks to come.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """How a row is decoded: the method and the knobs that belong to the loop.

    Args:
        method: The unmasking method; rows with an equal method are stepped together.
        k: Tokens per step for methods with a quota; None for adaptive methods. Excludes *max_steps*.
        max_steps: Step budget over all blocks (LLaDA's ``steps``); must be a multiple of the number of
            blocks.
        block_length: Divides the generated length; None means one block (any order).
        temperature: 0 is greedy; above 0 tokens are drawn from ``softmax(logits / temperature)``.
        cache: One of `CACHES`. ``prefix`` and ``dual`` are approximate, because keys and values are renewed
            at block entry only; ``block`` is exact, and asks for a model with block-causal attention.
    """

    method: UnmaskingMethod
    k: int | None = None
    max_steps: int | None = None
    block_length: int | None = None
    temperature: float = 0.0
    cache: str = "none"

    def __post_init__(self) -> None:
        if self.cache not in CACHES:
            raise ValueError(f"cache must be one of {', '.join(CACHES)}, got {self.cache!r}; choose one")
        if self.k is not None and self.max_steps is not None:
            raise ValueError(
                f"k and max_steps exclude each other, got k={self.k!r} and max_steps={self.max_steps!r}; "
                "give one"
            )
        for name in ("k", "max_steps", "block_length"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(
                    f"{name} must be a whole number of at least 1, got {value!r}; use None to leave it out"
                )
        if not 0.0 <= self.temperature < math.inf:
            raise ValueError(
                f"temperature must be finite and at least 0, got {self.temperature!r}; 0 is greedy"
            )
        if self.method.takes_k and self.k is None and self.max_steps is None:
            raise ValueError(
                f"method {self.method.name!r} needs k or max_steps, got neither; k=1 is one token per step"
            )
        if not self.method.takes_k and self.k is not None:
            raise ValueError(f"method {self.method.name!r} has no k, got k={self.k!r}; leave k out")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One thing to decode.

    Args:
        key: The caller's handle, returned unchanged.
        prompt_ids: Token ids before the generated region; may be empty.
        gen_length: Positions of the generated region.
        setting: How to decode it.
        sample_id: With *seed* it keys every random draw, so a result never depends on batch mates.
        seed: The run's seed.
        template_ids: For infilling, *gen_length* ids with ``mask_id`` where something is to be filled in.
        context: Handed to the denoiser as it is (``ideal``: the tokenised answer set).
    """

    key: Any
    prompt_ids: tuple[int, ...]
    gen_length: int
    setting: Setting
    sample_id: str = ""
    seed: int = 0
    template_ids: tuple[int, ...] | None = None
    context: Any = None

    def __post_init__(self) -> None:
        if self.gen_length < 1:
            raise ValueError(
                f"gen_length must be at least 1, got {self.gen_length!r}; it counts generated positions"
            )
        block = self.setting.block_length
        if block is not None and self.gen_length % block:
            raise ValueError(
                f"block_length must divide gen_length, got {block!r} and {self.gen_length!r}; "
                "choose a divisor"
            )
        if self.template_ids is not None and len(self.template_ids) != self.gen_length:
            raise ValueError(
                f"template_ids must have gen_length={self.gen_length} ids, got {len(self.template_ids)}; "
                "pad it with EOS"
            )
        steps = self.setting.max_steps
        blocks = self.gen_length // (block or self.gen_length)
        if steps is not None and steps % blocks:
            raise ValueError(
                f"max_steps must be a multiple of the {blocks} blocks, got {steps!r}; choose another budget"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """A finished row.

    ``nfe`` counts the forwards after which a token of this row could be committed; prefill, store and helper
    passes are ``nfe_other``. ``commit_step[i]`` is the 0-based forward of the final commit of generated
    position i, -1 where a template fixed it. ``evaluated_positions`` sums the canvas positions computed for
    this row. ``nfe_kind`` is counted or commanded; or bounds (then ``nfe`` is None, between ``nfe_low`` and
    ``nfe_high``) or unknown (then all three are None). ``forwards`` and ``evaluated_canvases`` are the work
    of methods that compute more than one canvas per step, None where nobody counted.
    """

    key: Any
    ids: tuple[int, ...]
    nfe: int | None
    nfe_kind: str = "counted"
    nfe_low: int | None = None
    nfe_high: int | None = None
    nfe_other: int = 0
    commit_step: tuple[int, ...] | None
    remasks: int = 0
    forwards: int | None = None
    evaluated_positions: int | None = None
    evaluated_canvases: int | None = None
    finish_reason: str = "complete"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A row that could not be finished, with the reason; never a result."""

    key: Any
    error: DecodeError


@dataclass(frozen=True, kw_only=True)
class StepView:
    """What a method sees before one step. The tensors belong to the loop: read, do not write.

    Everything is [R, G] over the generated region unless said otherwise; values where ``eligible`` is False
    mean nothing. ``confidence`` is the probability of the proposal under the untempered softmax (float32).
    ``step`` counts forwards in the current block, ``quota`` is what the schedule of k or max_steps asks for
    now (0 without a schedule), ``remaining`` counts the eligible positions; these and the block bounds are
    [R]. ``probs``, ``verified`` and ``attention`` are there for methods that declare the need.
    """

    tokens: Tensor
    eligible: Tensor
    proposals: Tensor
    confidence: Tensor
    block_start: Tensor
    block_end: Tensor
    step: Tensor
    quota: Tensor
    remaining: Tensor
    tie_order: Tensor
    tie_tolerance: float
    lazy: Mapping[str, Callable[[], Any]] = field(repr=False)

    def rows(self, index: slice) -> StepView:
        """Return the view of some of the rows only."""
        tensors = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.type == "Tensor"}
        lazy = {name: (lambda name=name: getattr(self, name)[index]) for name in self.lazy}
        return StepView(**tensors, tie_tolerance=self.tie_tolerance, lazy=lazy)

    @cached_property
    def margin(self) -> Tensor:
        """Difference of the two largest probabilities, in [0, 1]."""
        return self.lazy["margin"]()  # type: ignore[no-any-return]

    @cached_property
    def neg_entropy(self) -> Tensor:
        """Negative Shannon entropy in nats, at most 0; higher is more certain."""
        return self.lazy["neg_entropy"]()  # type: ignore[no-any-return]

    @cached_property
    def draws(self) -> Tensor:
        """Uniform float64 draws in (0, 1), fresh every step, keyed by (seed, sample id, position, step)."""
        return self.lazy["draws"]()  # type: ignore[no-any-return]

    @cached_property
    def planned_steps(self) -> Tensor:
        """How many steps the schedule of k or max_steps gives the current block, [R]; 0 without one."""
        return self.lazy["planned_steps"]()  # type: ignore[no-any-return]

    @cached_property
    def masked(self) -> Tensor:
        """Masked positions of the whole generated region, bool; ``eligible`` are those of the block."""
        return self.lazy["masked"]()  # type: ignore[no-any-return]

    @cached_property
    def evaluated(self) -> Tensor:
        """Where proposals, confidence and scores mean something: ``eligible`` unless the scope is wider."""
        return self.lazy["evaluated"]() if "evaluated" in self.lazy else self.eligible

    @cached_property
    def probs(self) -> Tensor:
        """The whole distributions, float32 [R, G, C] over the vocabulary or the row's support.

        Zero where not ``evaluated``; C never changes for a row.
        """
        return self._needed("probs", "probabilities")

    @cached_property
    def verified(self) -> Tensor:
        """Probability of each visible token of the block when it alone is hidden, float32; 0 where masked."""
        return self._needed("verified", "shadow")

    @cached_property
    def attention(self) -> Tensor:
        """Attention [R, G, G] from row to column position, float32, see `HasAttention`."""
        return self._needed("attention", "attention")

    def _needed(self, name: str, need: str) -> Tensor:
        if name not in self.lazy:
            raise LookupError(
                f"view.{name} must be declared by the method that reads it; add {need!r} to its needs"
            )
        return self.lazy[name]()  # type: ignore[no-any-return]

    @cached_property
    def by_confidence(self) -> Tensor:
        """Rank by confidence: 0 for the best eligible position of a row."""
        return self.rank(self.confidence)

    def rank(self, score: Tensor) -> Tensor:
        """Return the int64 rank [R, G] of every position by *score*, highest first; G where not eligible.

        Equal scores go by ``tie_order``, lowest first. Scores closer than ``tie_tolerance`` to their
        neighbour in the sorted row count as equal (0 for networks: exact equality).
        """
        n_positions = score.shape[1]
        masked_score = score.double().masked_fill(~self.eligible, float("-inf"))
        by_tie = self.tie_order.argsort(dim=1, stable=True)
        order = by_tie.gather(1, masked_score.gather(1, by_tie).argsort(dim=1, descending=True, stable=True))
        if self.tie_tolerance > 0.0:
            ordered = masked_score.gather(1, order)
            gap = (ordered[:, :-1] - ordered[:, 1:]).nan_to_num(nan=0.0) > self.tie_tolerance
            group = order.new_zeros(order.shape)
            group[:, 1:] = gap.cumsum(dim=1)
            group_of = order.new_zeros(order.shape).scatter(1, order, group)
            order = by_tie.gather(1, group_of.gather(1, by_tie).argsort(dim=1, stable=True))
        rank = order.argsort(dim=1)
        return rank.masked_fill(~self.eligible, n_positions)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepUpdate:
    """What a method wants: ``unmask`` is a subset of ``eligible``; ``tokens`` is read only there.

    ``remask`` names generated positions to mask again, visible ones or ones unmasked by this very update;
    only methods that declare ``may_remask`` give it. ``stay`` [R] holds a row in its block for another
    forward though the block is complete; only methods that declare ``may_idle`` give it. A method that
    declares ``may_leave_masks`` may unmask a position with the MASK it holds: it stays masked for good.
    """

    unmask: Tensor
    tokens: Tensor
    remask: Tensor | None = None
    stay: Tensor | None = None
