"""What a model, its module or a method may declare beside its protocol, and what holds where it does not.

Everything else that anybody must offer stands in `decoders.protocols` and `decoders.state`. This is the one
place that looks for a declaration that may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any


def _nothing() -> None:
    """Stand in for a function that was not declared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodTraits:
    """What an unmasking method may declare.

    Args:
        scope: ``block`` evaluates the masked positions of the block, ``generated`` those of the generated
            region, ``whole_block`` those of the block and what was committed in it, ``everything`` all
            positions of the generated region.
        writes_evaluated: Whether an update may unmask all that is evaluated: masks outside the block, and
            what is committed, which gets another token.
        moves_block_end: Whether an update may set where the current block ends.
        enters_by_first: Whether the first step of a block commits its first mask, so that a window of later
            steps needs no column before the block (`decoders.protocols.HasCache.window_margin`).
        attention_layers: How many layers attention is averaged over, from the last on; None is the last 30 %.
        branches: Canvases of one row in one forward at the most. A method with more than one has
            ``draft(view, memory)``, which gives them before the forward: tokens [R, branches, G] that differ
            from the row's in masks of the block alone, and how many of them count [R], at least one.
        guidance: Scale s of classifier-free guidance: logits + s (logits - those without prompt); 0 is none.
        may_leave_masks: Whether an update may leave positions masked for good.
        takes_max_steps: Whether a step budget says something to it; every method with k takes one.
        blocks: Block lengths it sweeps, for a method whose knob is the block.
        upstream_exact: Whether it follows a published deviation from its own rule.
        is_random: Whether it draws at random whatever its parameters say, so that other seeds are replicates.
    """

    scope: str = "block"
    writes_evaluated: bool = False
    moves_block_end: bool = False
    enters_by_first: bool = False
    attention_layers: int | None = None
    branches: int = 1
    guidance: float = 0.0
    may_leave_masks: bool = False
    takes_max_steps: bool = False
    blocks: tuple[int, ...] = ()
    upstream_exact: bool = False
    is_random: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Numerics:
    """What a network is computed with, as far as it may change the last bits of a logit.

    Args:
        device: ``cpu``, or the name of the card.
        dtype: Number type of the weights.
        attention: The kernel of the scaled dot product.
        tf32: Whether float32 products keep only the bits of TF32.
        compiled: Whether the body was compiled.
        torch: Version of torch.
        commit: That of the hub at which a checkpoint was fetched (``main`` moves); None for a folder.
    """

    device: str
    dtype: str
    attention: str
    tf32: bool
    compiled: bool
    torch: str
    commit: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelTraits:
    """What a denoiser or a generator may declare.

    Args:
        owns_loop: Whether it is a generator: it decodes rows itself, and no unmasking method has a say.
        unbiased_ties: Whether ties between tokens and positions are broken at random.
        uses_answers: Whether it decodes from the answer set of a sample.
        lacks: Capabilities that it has in general but not for this checkpoint.
        block_length: The block it was trained with; None is full attention.
        batch_tokens: Canvas tokens of one forward that suit it.
        cpu_threads: Threads that suit it; None leaves torch's.
        device: Where its tensors live.
        dtype: Its number type.
        mask_id: Its mask, None for a generator without.
        self_tests: Checks made when it was loaded.
        numerics: What it is computed with; None where nobody says.
        sync: Waits until its device is idle.
        close: Drops what it holds of memory; it cannot be used afterwards.
        generate_each: Yields each row of a generator as soon as it is there (`decoders.protocols.Generator`).
    """

    owns_loop: bool = False
    unbiased_ties: bool = False
    uses_answers: bool = False
    lacks: frozenset[str] = frozenset()
    block_length: int | None = None
    batch_tokens: int = 8192
    cpu_threads: int | None = None
    device: Any = "cpu"
    dtype: Any = "its own number type"
    mask_id: int | None = None
    self_tests: tuple[Any, ...] = ()
    numerics: Numerics | None = None
    sync: Callable[[], None] = _nothing
    close: Callable[[], None] = _nothing
    generate_each: Callable[..., Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleTraits:
    """What the module of a model's load function may declare, for what is known before anything is loaded.

    Args:
        prompt_style: ``PROMPT_STYLE``, the kind of prompt that its models read.
        exact: ``EXACT``, whether its models are the exact reference, whose results obey laws.
        fingerprint: Says for a request which files a result depends on.
        fingerprint_with: The same as ``fingerprint`` where it depends on the parameters of `native`, too.
        remote_code: Says for a request which code of a checkpoint runs, or None.
        result_code: ``RESULT_CODE``, names of the modules that alone decide a result; empty for the module of
            the load function and the decode loop.
    """

    prompt_style: str = "natural"
    exact: bool = False
    fingerprint: Callable[[Any], Any] | None = None
    fingerprint_with: Callable[[Any, Any], Any] | None = None
    remote_code: Callable[[Any], Any] | None = None
    result_code: tuple[str, ...] = ()


_MODULE_NAMES = {"prompt_style": "PROMPT_STYLE", "exact": "EXACT", "result_code": "RESULT_CODE"}


def method_traits(method: Any) -> MethodTraits:
    """Return what *method* declares; equal methods are looked at once."""
    return _method_traits(method)


@lru_cache
def _method_traits(method: Hashable) -> MethodTraits:
    return MethodTraits(**_declared(method, MethodTraits))


def model_traits(model: Any) -> ModelTraits:
    """Return what *model* declares.

    Raises:
        TypeError: It can generate and does not say that it owns its loop, or the other way round.
    """
    found = ModelTraits(**_declared(model, ModelTraits))
    if found.owns_loop != hasattr(model, "generate"):
        raise TypeError(
            f"owns_loop of a model must be True exactly where it has generate, got {found.owns_loop} for "
            f"{type(model).__name__}; declare owns_loop = True in a generator, and only there"
        )
    return found


def module_traits(module: Any) -> ModuleTraits:
    """Return what *module* declares."""
    return ModuleTraits(**_declared(module, ModuleTraits, _MODULE_NAMES))


def _declared(thing: Any, traits: type, names: dict[str, str] | None = None) -> dict[str, Any]:
    called = {item.name: (names or {}).get(item.name, item.name) for item in fields(traits)}
    return {name: getattr(thing, own) for name, own in called.items() if hasattr(thing, own)}
