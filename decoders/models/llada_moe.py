"""LLaDA-MoE: a Qwen3-MoE network used in both directions, expert weights not renormalised."""

from __future__ import annotations

from types import MappingProxyType

from decoders.loading.checkpoint import MOST_LAYERS, Config, Preset
from decoders.loading.weights import packed_experts
from decoders.network.family import Family, same_key
from decoders.network.plan import Plan, plan_of
from decoders.text.chat import LING_CHAT

MASK_ID = 156895
"""The published mask token; the published config.json does not name it."""

PRESETS = MappingProxyType(
    {
        "llada-moe": Preset(
            hub_id="inclusionAI/LLaDA-MoE-7B-A1B-Instruct",
            revision="main",
            dtype="bfloat16",
            licence="Apache-2.0",
        ),
        "llada-moe-td": Preset(
            hub_id="inclusionAI/LLaDA-MoE-7B-A1B-Instruct-TD",
            revision="main",
            dtype="bfloat16",
            licence="Apache-2.0",
        ),
    }
)

REQUIRED = MappingProxyType(
    {
        "qk_layernorm": (True,),
        "shared_expert_intermediate_size": (None, 0),
        "moe_router_enable_expert_bias": (False, None),
        "moe_router_score_function": ("softmax", None),
        "attention_bias": (False, None),
        "clip_qkv": (None,),
    }
)

INERT = frozenset({"dense_intermediate_size", "norm_topk_prob"})
"""Keys that change no logit: no layer is dense, and the published class never renormalises."""


def plan(config: Config) -> Plan:
    """Return the Qwen3-MoE that computes what the published LLaDA-MoE class computes under *config*.

    Source: inclusionAI/LLaDA-MoE-7B-A1B, modeling_lladamoe.py: softmax over all experts, the best are
    weighted as they are whatever ``norm_topk_prob`` says.

    Raises:
        LoadError: A field is missing, malformed, or asks for something Qwen3-MoE does not have: a shared
            expert, a bias of the router, a dense layer.
    """
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    layers = config.integer("num_hidden_layers", below=MOST_LAYERS)
    config.must_be("moe_layer_freq", [1] * layers, 1, None)
    experts, width = config.integer("num_experts"), config.integer("expert_intermediate_size")
    return plan_of(
        config,
        Qwen3MoeConfig,
        Qwen3MoeForCausalLM,
        required=REQUIRED,
        extra={
            "head_dim": config.integer("hidden_size") // config.integer("num_attention_heads"),
            "moe_intermediate_size": width,
            "num_experts": experts,
            "num_experts_per_tok": config.integer("num_experts_per_tok", below=experts + 1),
            "norm_topk_prob": False,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        },
        mask_id=MASK_ID,
        parts=packed_experts(width),
    )


FAMILY = Family(
    architecture="LLaDAMoEModelLM", presets=PRESETS, chat=LING_CHAT, rename=same_key, plan=plan, inert=INERT
)

load, fingerprint = FAMILY.load, FAMILY.fingerprint
