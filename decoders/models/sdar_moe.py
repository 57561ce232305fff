"""SDAR with experts: Qwen3-MoE networks with block-causal attention."""

from __future__ import annotations

from types import MappingProxyType

from decoders.loading.checkpoint import Config, Preset
from decoders.loading.weights import packed_experts
from decoders.models.sdar import CHAT
from decoders.network.family import Family, same_key
from decoders.network.plan import LONGEST_BLOCK, Plan, plan_of
from decoders.text.qwen2_tokenizer import qwen2_backend

BLOCK_LENGTH = 4
"""The block that published checkpoints were trained with, where config.json does not name it."""

MASK_ID = 151669
"""The published mask token, where config.json does not name it."""

PRESETS = MappingProxyType(
    {
        "sdar-moe": Preset(
            hub_id="JetLM/SDAR-30B-A3B-Chat", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
    }
)

INERT = frozenset({"fuse_cross_entropy", "intermediate_size"})
"""Keys that change no logit: no layer is dense."""


def plan(config: Config) -> Plan:
    """Return the Qwen3-MoE that computes what the published SDAR-MoE class computes under *config*.

    Source: SDAR (arXiv:2510.06303), modeling_sdar_moe.py: softmax over all experts; the best are weighted
    anew to a sum of 1 where ``norm_topk_prob`` says so.

    Raises:
        LoadError: A field is missing, malformed, or asks for something Qwen3-MoE does not have, or for
            dense layers between those with experts.
    """
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    experts, width = config.integer("num_experts"), config.integer("moe_intermediate_size")
    config.must_be("norm_topk_prob", True, False)
    return plan_of(
        config,
        Qwen3MoeConfig,
        Qwen3MoeForCausalLM,
        required={
            "attention_bias": (False, None),
            "decoder_sparse_step": (1,),
            "mlp_only_layers": ([], None),
        },
        extra={
            "head_dim": config.integer("head_dim"),
            "moe_intermediate_size": width,
            "num_experts": experts,
            "num_experts_per_tok": config.integer("num_experts_per_tok", below=experts + 1),
            "norm_topk_prob": config.get("norm_topk_prob"),
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        },
        mask_id=MASK_ID,
        parts=packed_experts(width),
        block_length=config.integer("block_size", minimum=2, below=LONGEST_BLOCK, default=BLOCK_LENGTH),
    )


FAMILY = Family(
    architecture="SDARMoeForCausalLM",
    presets=PRESETS,
    chat=CHAT,
    rename=same_key,
    plan=plan,
    inert=INERT,
    backend=qwen2_backend,
)

load, fingerprint = FAMILY.load, FAMILY.fingerprint
