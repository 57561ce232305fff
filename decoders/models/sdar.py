"""SDAR and TraDo: Qwen3 networks with block-causal attention."""

from __future__ import annotations

from types import MappingProxyType

from decoders.loading.checkpoint import Config, Preset
from decoders.network.family import Family, same_key
from decoders.network.plan import LONGEST_BLOCK, Plan, plan_of
from decoders.text.chat import CHATML_MARKERS, QWEN_ENDS, ChatFormat, chatml
from decoders.text.qwen2_tokenizer import qwen2_backend

CHAT = ChatFormat(render=chatml(system=None), markers=CHATML_MARKERS, end_of_turn=QWEN_ENDS, mask="<|MASK|>")

PRESETS = MappingProxyType(
    {
        "sdar": Preset(hub_id="JetLM/SDAR-8B-Chat", revision="main", dtype="bfloat16", licence="Apache-2.0"),
        "sdar-b32": Preset(
            hub_id="JetLM/SDAR-8B-Chat-b32", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
        "sdar-4b": Preset(
            hub_id="JetLM/SDAR-4B-Chat", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
        "trado": Preset(
            hub_id="Gen-Verse/TraDo-8B-Instruct", revision="main", dtype="bfloat16", licence="MIT"
        ),
        "trado-4b": Preset(
            hub_id="Gen-Verse/TraDo-4B-Instruct", revision="main", dtype="bfloat16", licence="MIT"
        ),
    }
)


def plan(config: Config) -> Plan:
    """Return the Qwen3 that computes what the published SDAR class computes under *config*.

    Source: SDAR (arXiv:2510.06303), modeling_sdar.py and configuration_sdar.py. ``block_size`` is the block
    the weights were trained with, counted from the first token of the prompt.

    Raises:
        LoadError: A field is missing, malformed, or asks for something Qwen3 does not have.
    """
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return plan_of(
        config,
        Qwen3Config,
        Qwen3ForCausalLM,
        required={"attention_bias": (False, None)},
        extra={
            "intermediate_size": config.integer("intermediate_size"),
            "head_dim": config.integer("head_dim"),
        },
        block_length=config.integer("block_size", minimum=2, below=LONGEST_BLOCK),
    )


FAMILY = Family(
    architecture="SDARForCausalLM",
    presets=PRESETS,
    chat=CHAT,
    rename=same_key,
    plan=plan,
    inert=frozenset({"fuse_cross_entropy"}),
    backend=qwen2_backend,
)

load, fingerprint = FAMILY.load, FAMILY.fingerprint
