"""What a family reads from config.json, and all that the shared loader needs to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from decoders.loading.checkpoint import MOST_LAYERS, Config
from decoders.loading.rope import rope_theta
from decoders.loading.weights import Parts, whole
from decoders.text.json_file import one_line

COMMON_REQUIRED: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", None),
    "use_sliding_window": (False, None),
    "tie_word_embeddings": (True, False, None),
}
"""Fields whose other values change the computation, with the values that are expressed (None: absent)."""

INERT = frozenset(
    {
        *("architectures", "auto_map", "model_type", "transformers_version"),
        *("_name_or_path", "dtype", "torch_dtype", "return_dict"),
        *("initializer_range", "attention_dropout", "use_cache", "bos_token_id"),
        *("sliding_window", "max_window_layers", "output_attentions", "output_hidden_states"),
        *("output_router_logits", "router_aux_loss_coef"),
    }
)
"""Keys of config.json that change no logit at inference in any family: names, training, outputs, and windows,
which count only where ``use_sliding_window`` is true."""

LONGEST_BLOCK = 1025
"""Trained blocks are below this, more than any published one; the self-tests run on two of them."""


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


def plan_of(
    config: Config,
    make_config: Callable[..., Any],
    network: Callable[[Any], Any],
    *,
    required: Mapping[str, tuple[Any, ...]],
    extra: Mapping[str, Any],
    mask_id: int | None = None,
    rotary_share: float = 1.0,
    parts: Parts = whole,
    shift: bool = False,
    block_length: int | None = None,
) -> Plan:
    """Return the plan of a decoder that transformers has under another name.

    Args:
        config: The published config.json.
        make_config: The config class of transformers, called with the fields both sides share and *extra*.
        network: The network class of transformers.
        required: Values config.json must have for *network* to compute the same, besides the common ones.
        extra: More fields of *make_config*.
        mask_id: The published mask token, where config.json need not name it.
        rotary_share: Share of the channels of a head that are rotated.
        parts: See `Plan`.
        shift: See `Plan`.
        block_length: See `Plan`.

    Raises:
        LoadError: A field is missing, malformed, or asks for something that *network* does not have.
    """
    for key, allowed in {**COMMON_REQUIRED, **required}.items():
        config.must_be(key, *allowed)
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    if not config.has("head_dim") and hidden % heads:
        raise config.refuse(
            "num_attention_heads", f"a divisor of hidden_size={hidden}", "use the published file"
        )
    head_dim = config.integer("head_dim", default=hidden // heads)
    rotary_dim = int(head_dim * rotary_share)
    if rotary_dim % 2 or not rotary_dim:
        raise config.refuse(
            "head_dim", f"of even width where rotated, not {rotary_dim} channels", "use the published file"
        )
    kv_heads = config.integer("num_key_value_heads", default=heads)
    if heads % kv_heads:
        raise config.refuse(
            "num_key_value_heads", f"a divisor of num_attention_heads={heads}", "use the published file"
        )
    rows, theta = config.integer("vocab_size"), rope_theta(config, share=rotary_share)
    rope: dict[str, Any] = {
        "rope_type": "default",
        "rope_theta": theta,
        "partial_rotary_factor": rotary_share,
    }
    max_length = config.integer("max_position_embeddings")
    eos_ids = config.ids("eos_token_id", below=rows)
    native = _native(
        config,
        make_config,
        vocab_size=rows,
        hidden_size=hidden,
        num_hidden_layers=config.integer("num_hidden_layers", below=MOST_LAYERS),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=max_length,
        rms_norm_eps=config.positive("rms_norm_eps"),
        rope_parameters=rope,
        attn_implementation="sdpa",
        tie_word_embeddings=False,
        **extra,
    )
    tied = config.get("tie_word_embeddings") is True
    return Plan(
        native=native,
        network=network,
        ties={"lm_head.weight": "model.embed_tokens.weight"} if tied else {},
        rows=rows,
        max_length=max_length,
        mask_id=config.integer("mask_token_id", minimum=0, below=rows, default=mask_id),
        pad_id=config.integer("pad_token_id", minimum=0, below=rows, default=min(eos_ids)),
        eos_ids=eos_ids,
        rope_theta=theta,
        rotary_dim=rotary_dim,
        parts=parts,
        shift=shift,
        block_length=block_length,
    )


def _native(config: Config, make_config: Callable[..., Any], **values: Any) -> Any:
    """Return the config of the native class, which looks at its values together."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        return make_config(**values)
    except StrictDataclassError as error:
        rule = f"one that {getattr(make_config, '__name__', 'transformers')} takes with the other values"
        raise config.refuse("hidden_size", f"{rule} ({one_line(error)})", "use the published file") from error
