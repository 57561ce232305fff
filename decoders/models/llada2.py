"""LLaDA2.0: GLM-4-MoE networks with block-causal attention; fused queries, keys and values are split."""

from __future__ import annotations

import re
from types import MappingProxyType

from decoders.loading.checkpoint import Config, Preset
from decoders.loading.rope import rotary_share
from decoders.loading.weights import Part, Parts, packed_experts
from decoders.network.family import Family
from decoders.network.plan import Plan, plan_of
from decoders.text.chat import LING_CHAT

MASK_ID = 156895
"""The published mask token; the published config.json does not name it."""

BLOCK_LENGTH = 32
"""The block all published checkpoints were trained with; config.json does not name it."""

PRESETS = MappingProxyType(
    {
        "llada2": Preset(
            hub_id="inclusionAI/LLaDA2.0-mini", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
        "llada2-flash": Preset(
            hub_id="inclusionAI/LLaDA2.0-flash", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
    }
)

IN_LAYER = MappingProxyType(
    {
        "attention.dense.weight": "self_attn.o_proj.weight",
        "attention.query_layernorm.weight": "self_attn.q_norm.weight",
        "attention.key_layernorm.weight": "self_attn.k_norm.weight",
        "mlp.gate.expert_bias": "mlp.gate.e_score_correction_bias",
    }
)
LAYER_KEY = re.compile(r"model\.layers\.(\d+)\.(.+)")
FUSED = ".attention.query_key_value.weight"

REQUIRED = MappingProxyType(
    {
        "use_qk_norm": (True, None),
        "use_bias": (False, None),
        "use_qkv_bias": (False, None),
        "norm_topk_prob": (True,),
        "score_function": ("sigmoid", None),
        "router_dtype": ("fp32", None),
        "moe_router_enable_expert_bias": (True, None),
        "using_split_qkv_in_self_attention": (False, None),
        "num_nextn_predict_layers": (0, None),
    }
)

INERT = frozenset({"embedding_dropout", "output_dropout", "mtp_loss_scaling_factor"})
"""Keys that change no logit."""


def native_key(key: str) -> str:
    """Return transformers' name of the published weight *key*, or *key* itself if they do not differ."""
    if key == "model.word_embeddings.weight":
        return "model.embed_tokens.weight"
    match = LAYER_KEY.fullmatch(key)
    if match is None or match[2] not in IN_LAYER:
        return key
    return f"model.layers.{match[1]}.{IN_LAYER[match[2]]}"


def split_queries(heads: int, kv_heads: int, head_dim: int, others: Parts) -> Parts:
    """Return the parts of fused rows of queries, keys and values, in this order; *others* for other keys."""
    ends = (heads * head_dim, (heads + kv_heads) * head_dim, (heads + 2 * kv_heads) * head_dim)
    rows = tuple(zip(("q", "k", "v"), zip((0, *ends), ends, strict=False), strict=True))

    def parts(name: str) -> tuple[Part, ...]:
        if not name.endswith(FUSED):
            return others(name)
        layer = name.removesuffix(FUSED)
        return tuple(Part(name=f"{layer}.self_attn.{kind}_proj.weight", rows=span) for kind, span in rows)

    return parts


def plan(config: Config) -> Plan:
    """Return the GLM-4-MoE that computes what the published LLaDA2 class computes under *config*.

    Source: inclusionAI/LLaDA2.0-mini, modeling_llada2_moe.py: sigmoid router with groups and a bias that only
    chooses, half of the channels of a head rotated. LLaDA2.1 has the same network.

    Raises:
        LoadError: A field is missing, malformed, or asks for something GLM-4-MoE does not have.
    """
    from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

    share = rotary_share(config) or config.positive("partial_rotary_factor")
    experts, groups = config.integer("num_experts"), config.integer("n_group")
    if experts % groups or experts // groups < 2:
        raise config.refuse(
            "n_group", f"a divisor of num_experts={experts} into 2 or more", "use the published file"
        )
    heads, head_dim, width = (
        config.integer(key) for key in ("num_attention_heads", "head_dim", "moe_intermediate_size")
    )
    kv_heads = config.integer("num_key_value_heads", default=heads)
    config.must_be("rotary_dim", int(head_dim * share), None)
    return plan_of(
        config,
        Glm4MoeConfig,
        Glm4MoeForCausalLM,
        required=REQUIRED,
        extra={
            "intermediate_size": config.integer("intermediate_size"),
            "moe_intermediate_size": width,
            "head_dim": head_dim,
            "n_routed_experts": experts,
            "num_experts_per_tok": config.integer("num_experts_per_tok", below=experts + 1),
            "n_shared_experts": config.integer("num_shared_experts"),
            "n_group": groups,
            "topk_group": config.integer("topk_group", below=groups + 1),
            "routed_scaling_factor": config.positive("routed_scaling_factor"),
            "first_k_dense_replace": config.integer("first_k_dense_replace", minimum=0),
            "norm_topk_prob": True,
            "use_qk_norm": True,
            "attention_bias": False,
            "num_mtp_layers": 0,
        },
        mask_id=MASK_ID,
        rotary_share=share,
        parts=split_queries(heads, kv_heads, head_dim, packed_experts(width)),
        block_length=BLOCK_LENGTH,
    )


FAMILY = Family(
    architecture="LLaDA2MoeModelLM",
    presets=PRESETS,
    chat=LING_CHAT,
    rename=native_key,
    plan=plan,
    inert=INERT,
)

load, fingerprint = FAMILY.load, FAMILY.fingerprint
