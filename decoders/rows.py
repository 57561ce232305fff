"""What goes into the decode loop and comes out of it: a setting, a row that asks, the decoded or failed row.

This module imports no heavy library, so that a plan can name settings without loading one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decoders.state import UnmaskingMethod
from decoders.traits import method_traits


class DecodeError(RuntimeError):
    """A rule of the decode loop was broken, or the model or method raised.

    ``kind`` is one of ``model_error``, ``method_error``, ``oom``. ``finished`` are the rows that `decode` had
    finished when it raised this.
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.finished: tuple[Decoded, ...] = ()


class TimedOut(BaseException):
    """A call took longer than it may.

    No `Exception`, so that a model or method that catches everything it can name does not swallow it.

    Args:
        limit_s: Seconds that it had.
        keys: The rows to blame where that is known; empty means those of the call.
    """

    def __init__(self, limit_s: float, keys: tuple[Any, ...] = ()) -> None:
        super().__init__(f"not back within {limit_s:g} s")
        self.limit_s = limit_s
        self.keys = keys
        self.who: str | None = None
        """What was called, as the loop knows it: ``model NAME`` or ``method NAME``."""


class DeviceLost(RuntimeError):
    """The device refuses every further call of this process, which has to end."""


class NotSupported(ValueError):
    """The model lacks something that the method or the cache of a setting needs; nothing was decoded."""


CACHES = ("none", "prefix", "dual", "block")
"""What a forward may leave out: nothing, the columns before the block, all columns but the block, or those
of finished blocks and of blocks to come.
"""


METHOD_MEMBERS = ("name", "family", "takes_k", "needs", "may_remask", "may_idle", "init", "step")
"""What every `UnmaskingMethod` has; a sweep only for a run without parameters."""


def check_is_method(thing: Any) -> None:
    """Check that *thing* is an unmasking method.

    Raises:
        TypeError: It is a class, or lacks something.
    """
    if isinstance(thing, type):
        raise TypeError(
            f"method must be an unmasking method, got the class {thing.__name__}; make one with its "
            f"parameters: {thing.__name__}(...)"
        )
    absent = [name for name in METHOD_MEMBERS if not hasattr(thing, name)]
    if absent:
        raise TypeError(
            f"method must be an unmasking method, got {thing!r} without {', '.join(absent)}; see "
            "decoders.UnmaskingMethod"
        )


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
        if self.max_steps is not None and not (
            self.method.takes_k or method_traits(self.method).takes_max_steps
        ):
            raise ValueError(
                f"method {self.method.name!r} decides by itself how many steps it takes, got "
                f"max_steps={self.max_steps!r}; leave max_steps out"
            )


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
        history: Whether the loop keeps what every forward committed and masked again.
    """

    key: Any
    prompt_ids: tuple[int, ...]
    gen_length: int
    setting: Setting
    sample_id: str = ""
    seed: int = 0
    template_ids: tuple[int, ...] | None = None
    context: Any = None
    history: bool = False

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
class Step:
    """What one forward did to a row; a position that was committed and masked again at once is in both.

    Args:
        committed: Pairs (generated position, token), by position; a token that was replaced is one too.
        remasked: Generated positions that were masked again.
        confidence: Of each of *committed*, the probability of what the model proposed there, before
            temperature; a method may have committed another token.
    """

    committed: tuple[tuple[int, int], ...]
    remasked: tuple[int, ...] = ()
    confidence: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What the server of a row told of its answer, whose ids are bytes and say nothing of tokens.

    Args:
        tokens: Generated tokens, or None where nobody counted.
        content_tokens: Those of them that are no reasoning, or None.
        details: Plain values for the record: the server, seconds, usage, attempts, cost.
    """

    tokens: int | None
    content_tokens: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """A finished row.

    ``nfe`` counts the forwards after which a token of this row could be committed; prefill, store and helper
    passes are ``nfe_other``. ``commit_step[i]`` is the 0-based forward of the final commit of generated
    position i, -1 where a template fixed it. ``evaluated_positions`` sums the canvas positions computed for
    this row. ``nfe_kind`` is counted or commanded; or bounds (then ``nfe`` is None, between ``nfe_low`` and
    ``nfe_high``) or unknown (then all three are None). ``forwards`` and ``evaluated_canvases`` are the work
    of methods that compute more than one canvas per step, None where nobody counted. ``history`` has one
    `Step` per forward where the row asked for it. ``served`` is there where a server answered.
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
    history: tuple[Step, ...] | None = None
    served: Served | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A row that could not be finished, with the reason; never a result."""

    key: Any
    error: DecodeError
