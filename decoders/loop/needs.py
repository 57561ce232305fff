"""What a setting needs beyond plain logits, whether a denoiser offers it, and how many rows then fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from decoders.loop.block_grid import check_block_length, trained_block
from decoders.protocols import Denoiser, HasAttention, HasCache, HasShadow, HasSupport
from decoders.rows import NotSupported, Row, Setting, check_is_method
from decoders.traits import method_traits, model_traits

PROBABILITIES, SHADOW, ATTENTION = "probabilities", "shadow", "attention"
ROW_ATTENTION = "row_attention"
"""Attention between all positions of a row, the prompt's too, and how sure the model is of each."""
KNOWN = frozenset({PROBABILITIES, SHADOW, ATTENTION, ROW_ATTENTION})

SCOPES = BLOCK, GENERATED, WHOLE_BLOCK, EVERYTHING = "block", "generated", "whole_block", "everything"
"""Which positions a method has evaluated, see `decoders.traits.MethodTraits`."""

CAPABILITIES = {SHADOW: HasShadow, ATTENTION: HasAttention, ROW_ATTENTION: HasAttention}
"""Needs that a denoiser may lack; probabilities are made of plain logits."""

DENSE_BYTES = 256 * 2**20
"""What the dense probabilities, or the attention maps, of one forward may take; one row always fits.

A method may hold several tensors of this size: those of the forward before, and what it computes from both.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """Rows with equal needs share forwards."""

    probabilities: bool = False
    shadow: bool = False
    attention: bool = False
    row_attention: bool = False
    layers: int | None = None
    guidance: bool = False
    branches: int = 1
    sampled: bool = False
    cache: str = "none"

    def max_rows(self, gen_length: int, columns: int, length: int | None = None) -> int | None:
        """Return how many rows keep within `DENSE_BYTES`, at least one; None without dense tensors.

        Args:
            gen_length: Positions of the generated region.
            columns: Tokens of the vocabulary or of the widest support.
            length: Positions of the canvas; None where there is no prompt.
        """
        floats = gen_length * (columns * self.probabilities + gen_length * self.attention)
        floats += (length or gen_length) ** 2 * self.row_attention
        return max(1, DENSE_BYTES // (4 * floats)) if floats else None


def needs_of(setting: Setting) -> Needs:
    """Return what *setting* needs."""
    needs = setting.method.needs
    return Needs(
        probabilities=PROBABILITIES in needs,
        shadow=SHADOW in needs,
        attention=ATTENTION in needs,
        row_attention=ROW_ATTENTION in needs,
        layers=method_traits(setting.method).attention_layers,
        guidance=method_traits(setting.method).guidance > 0.0,
        branches=method_traits(setting.method).branches,
        sampled=setting.temperature > 0.0,
        cache=setting.cache,
    )


def check_offered(denoiser: Denoiser, setting: Setting) -> None:
    """Check that *denoiser* and the loop offer what *setting* needs.

    A denoiser may name capabilities that it has in general but not for this checkpoint as ``lacks``.

    Raises:
        TypeError: The method is none.
        ValueError: The loop does not know a need.
        NotSupported: The denoiser lacks one, two of them exclude each other, or the blocks asked for are not
            those of the model.
    """
    check_is_method(setting.method)
    check_block_length(denoiser, setting.block_length)
    method, needs = setting.method, setting.method.needs
    if not needs <= KNOWN:
        raise ValueError(
            f"method {method.name} must need only what the loop offers, "
            f"got needs={', '.join(sorted(needs))}; choose another method"
        )
    lacks = model_traits(denoiser).lacks
    for need, capability in CAPABILITIES.items():
        if need in needs and (need in lacks or not isinstance(denoiser, capability)):
            raise NotSupported(
                f"model must offer {need} for method {method.name}, got {denoiser.name!r} without it; "
                "choose another model or method"
            )
    forwards = sorted({SHADOW, ATTENTION, ROW_ATTENTION} & needs)
    if len(forwards) > 1:
        raise NotSupported(
            f"method {method.name} must need one of shadow, attention and row_attention, got "
            f"{', '.join(forwards)}; give up one"
        )
    guided = method_traits(method).guidance > 0.0
    if guided and (forwards or setting.cache != "none"):
        raise NotSupported(
            f"guidance must be without cache, shadow and attention for method {method.name}, got "
            f"cache={setting.cache} and needs={', '.join(sorted(needs)) or 'none'}; give up one of them"
        )
    if method_traits(method).branches > 1 and (needs or guided or method_traits(method).scope != BLOCK):
        raise NotSupported(
            f"method {method.name} must need plain logits of its block to draft several canvases, got "
            f"needs={', '.join(sorted(needs)) or 'none'}, scope={method_traits(method).scope}, "
            f"guidance={guided}; give up one of them"
        )
    if setting.cache == "none":
        return
    if "cache" in lacks or not isinstance(denoiser, HasCache):
        raise NotSupported(
            f"model must offer a cache for cache={setting.cache}, got {denoiser.name!r} without one; "
            "use cache=none"
        )
    if setting.cache == "block" and trained_block(denoiser) is None:
        raise NotSupported(
            f"model must have block-causal attention for cache=block, got {denoiser.name!r} with full "
            "attention; use cache=none, prefix or dual"
        )
    if setting.cache == "block" and method_traits(method).moves_block_end:
        raise NotSupported(
            f"cache must not be block for method {method.name}, whose blocks end inside those of the model; "
            "use cache=none, prefix or dual"
        )
    wide = forwards or method_traits(method).scope != BLOCK or method.may_remask
    if wide:
        raise NotSupported(
            f"cache must be none for method {method.name}, got {setting.cache!r}; it masks again, or looks "
            "at columns that a cached forward leaves out"
        )


def widest(denoiser: Denoiser, rows: Iterable[Row]) -> int:
    """Return the columns of the logits of *rows*: the vocabulary, or the widest support among them."""
    if not isinstance(denoiser, HasSupport):
        return denoiser.vocab_size
    contexts = {id(row.context): row.context for row in rows}
    return max(int(denoiser.support([context]).shape[1]) for context in contexts.values())
