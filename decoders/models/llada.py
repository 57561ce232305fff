"""LLaDA-8B and LLaDA-1.5: published names of config fields and weights mapped to transformers' Llama."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

from decoders.loading.checkpoint import MOST_LAYERS, Config, Preset
from decoders.loading.rope import rope_theta
from decoders.network.family import Family
from decoders.network.plan import Plan
from decoders.text.chat import LLADA_CHAT

PRESETS = MappingProxyType(
    {
        "llada": Preset(hub_id="GSAI-ML/LLaDA-1.5", revision="main", dtype="bfloat16", licence="MIT"),
        "llada-8b": Preset(
            hub_id="GSAI-ML/LLaDA-8B-Instruct", revision="main", dtype="bfloat16", licence="MIT"
        ),
        "dparallel-llada": Preset(
            hub_id="Zigeng/dParallel-LLaDA-8B-instruct", revision="main", dtype="bfloat16", licence="MIT"
        ),
        "d3llm-llada": Preset(
            hub_id="d3LLM/d3LLM_LLaDA", revision="main", dtype="bfloat16", licence="see its card"
        ),
    }
)

OUTSIDE_BLOCKS = MappingProxyType(
    {
        "model.transformer.wte.weight": "model.embed_tokens.weight",
        "model.transformer.ln_f.weight": "model.norm.weight",
        "model.transformer.ff_out.weight": "lm_head.weight",
    }
)

IN_BLOCK = MappingProxyType(
    {
        "attn_norm": "input_layernorm",
        "q_proj": "self_attn.q_proj",
        "k_proj": "self_attn.k_proj",
        "v_proj": "self_attn.v_proj",
        "attn_out": "self_attn.o_proj",
        "ff_norm": "post_attention_layernorm",
        "ff_proj": "mlp.gate_proj",
        "up_proj": "mlp.up_proj",
        "ff_out": "mlp.down_proj",
    }
)

BLOCK_KEY = re.compile(r"model\.transformer\.blocks\.(\d+)\.(\w+)\.weight")

REQUIRED = MappingProxyType(
    {
        "block_type": ("llama",),
        "layer_norm_type": ("rms",),
        "activation_type": ("silu",),
        "rope": (True,),
        "include_bias": (False,),
        "alibi": (False, None),
        "include_qkv_bias": (False, None),
        "bias_for_layer_norm": (False, None),
        "attention_layer_norm": (False, None),
        "input_emb_norm": (False, None),
        "scale_logits": (False, None),
        "multi_query_attention": (False, None),
        "layer_norm_with_affine": (True, None),
        "clip_qkv": (None,),
        "block_group_size": (1, None),
        "weight_tying": (True, False),
        "rope_full_precision": (True, False, None),
    }
)
"""Fields whose other values change the computation, with the values Llama can express (None: absent)."""

INERT = frozenset(
    {
        *("init_cutoff_factor", "init_device", "init_fn", "init_std", "precision", "flash_attention"),
        *("embedding_dropout", "residual_dropout", "mlp_ratio", "vocab_size"),
        *("alibi_bias_max", "attention_layer_norm_with_affine"),
    }
)
"""Keys that change no logit. The last four count only where ``mlp_hidden_size`` or ``embedding_size`` is
absent (`plan` reads them then), or where ``alibi`` or ``attention_layer_norm`` is true."""


def native_key(key: str) -> str:
    """Return transformers' name of the published weight *key*, or *key* itself if it is not one."""
    if key in OUTSIDE_BLOCKS:
        return OUTSIDE_BLOCKS[key]
    match = BLOCK_KEY.fullmatch(key)
    if match is None or match[2] not in IN_BLOCK:
        return key
    return f"model.layers.{match[1]}.{IN_BLOCK[match[2]]}.weight"


def plan(config: Config) -> Plan:
    """Return the Llama that computes what the published LLaDA class computes under *config*.

    Source: ML-GSAI/LLaDA, modeling_llada.py (block type ``llama``) and configuration_llada.py.

    Raises:
        LoadError: A field is missing, malformed, or asks for something Llama does not have.
    """
    for key, allowed in REQUIRED.items():
        config.must_be(key, *allowed)
    hidden, heads = config.integer("d_model"), config.integer("n_heads")
    if hidden % heads or hidden // heads % 2:
        raise config.refuse(
            "n_heads", f"a divisor of d_model={hidden} into heads of even width", "use the published file"
        )
    kv_heads = config.integer("n_kv_heads") if config.has("n_kv_heads") else heads
    if heads % kv_heads:
        raise config.refuse("n_kv_heads", f"a divisor of n_heads={heads}", "use the published file")
    wide = config.has("mlp_hidden_size")
    rows = config.integer("embedding_size" if config.has("embedding_size") else "vocab_size")
    tied = bool(config.get("weight_tying"))
    numbers: dict[str, Any] = {
        "vocab_size": rows,
        "hidden_size": hidden,
        "intermediate_size": config.integer("mlp_hidden_size")
        if wide
        else config.integer("mlp_ratio") * hidden,
        "num_hidden_layers": config.integer("n_layers", below=MOST_LAYERS),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": config.integer("max_sequence_length"),
        "rms_norm_eps": config.positive("rms_norm_eps"),
        "attn_implementation": "sdpa",
        "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta(config)},
    }
    eos_ids = config.ids("eos_token_id", below=rows)
    mask_id = config.integer("mask_token_id", minimum=0, below=rows)
    pad_id = config.integer("pad_token_id", minimum=0, below=rows)

    from transformers import LlamaConfig, LlamaForCausalLM

    return Plan(
        native=LlamaConfig(**numbers),
        network=LlamaForCausalLM,
        ties={"lm_head.weight": "model.embed_tokens.weight"} if tied else {},
        rows=rows,
        max_length=numbers["max_position_embeddings"],
        mask_id=mask_id,
        pad_id=pad_id,
        eos_ids=eos_ids,
        rope_theta=numbers["rope_parameters"]["rope_theta"],
        rotary_dim=hidden // heads,
        full_precision_rope=config.get("rope_full_precision") is not False,
    )


FAMILY = Family(
    architecture="LLaDAModelLM", presets=PRESETS, chat=LLADA_CHAT, rename=native_key, plan=plan, inert=INERT
)

load, fingerprint = FAMILY.load, FAMILY.fingerprint
