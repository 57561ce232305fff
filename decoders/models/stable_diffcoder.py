"""Stable-DiffCoder: Llama networks with block-causal attention."""

from __future__ import annotations

from types import MappingProxyType

from decoders.loading.checkpoint import Config, Preset
from decoders.network.family import Family, same_key
from decoders.network.plan import Plan, plan_of
from decoders.text.chat import SEED_CODER_CHAT

MASK_ID = 5
"""The published mask token; config.json does not name it."""

BLOCK_LENGTH = 4
"""The block that the published settings use; config.json does not name it."""

PRESETS = MappingProxyType(
    {
        "stable-diffcoder": Preset(
            hub_id="ByteDance-Seed/Stable-DiffCoder-8B-Instruct",
            revision="main",
            dtype="bfloat16",
            licence="MIT",
        ),
    }
)


def plan(config: Config) -> Plan:
    """Return the Llama that computes what the published Stable-DiffCoder class computes under *config*.

    Source: Stable-DiffCoder, class StableDiffcoderForCausalLM: Llama layers without biases; blocks counted
    from the first token of the prompt.

    Raises:
        LoadError: A field is missing, malformed, or asks for something Llama does not have.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    return plan_of(
        config,
        LlamaConfig,
        LlamaForCausalLM,
        required={"attention_bias": (False, None), "mlp_bias": (False, None)},
        extra={
            "intermediate_size": config.integer("intermediate_size"),
            "head_dim": config.integer("head_dim"),
        },
        mask_id=MASK_ID,
        block_length=BLOCK_LENGTH,
    )


FAMILY = Family(
    architecture="StableDiffcoderForCausalLM",
    presets=PRESETS,
    chat=SEED_CODER_CHAT,
    rename=same_key,
    plan=plan,
    inert=frozenset({"pretraining_tp"}),
)

load, fingerprint = FAMILY.load, FAMILY.fingerprint
