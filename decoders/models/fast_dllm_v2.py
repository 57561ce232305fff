"""Fast-dLLM v2: Qwen2 networks with block-causal attention, row i - 1 predicting token i."""

from __future__ import annotations

from types import MappingProxyType

from decoders.loading.checkpoint import Config, Preset
from decoders.network.family import Family, same_key
from decoders.network.plan import LONGEST_BLOCK, Plan, plan_of
from decoders.text.chat import CHATML_MARKERS, QWEN2_CHAT, QWEN_ENDS, ChatFormat
from decoders.text.qwen2_tokenizer import qwen2_backend

MASK_ID = 151665
"""The published mask token; the published config.json does not name it."""

TRAINED_BLOCK = 32
"""The published block, where config.json does not name it."""

CHAT = ChatFormat(render=QWEN2_CHAT.render, markers=CHATML_MARKERS, end_of_turn=QWEN_ENDS, mask="|<MASK>|")

PRESETS = MappingProxyType(
    {
        "fast-dllm-v2": Preset(
            hub_id="Efficient-Large-Model/Fast_dLLM_v2_7B",
            revision="main",
            dtype="bfloat16",
            licence="Apache-2.0",
        ),
        "fast-dllm-v2-1.5b": Preset(
            hub_id="Efficient-Large-Model/Fast_dLLM_v2_1.5B",
            revision="main",
            dtype="bfloat16",
            licence="Apache-2.0",
        ),
    }
)


def plan(config: Config) -> Plan:
    """Return the Qwen2 that computes what the published Fast-dLLM v2 class computes under *config*.

    Source: Fast-dLLM v2 (arXiv:2509.26328), modeling.py and configuration.py of
    Efficient-Large-Model/Fast_dLLM_v2_7B: Qwen2 layers; blocks of ``bd_size`` from the first token of
    the prompt on. A position is predicted from the row before it, the first one of a block from the finished
    block alone.

    Raises:
        LoadError: A field is missing, malformed, or asks for something Qwen2 does not have.
    """
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return plan_of(
        config,
        Qwen2Config,
        Qwen2ForCausalLM,
        required={},
        extra={"intermediate_size": config.integer("intermediate_size")},
        mask_id=MASK_ID,
        shift=True,
        block_length=config.integer("bd_size", minimum=2, below=LONGEST_BLOCK, default=TRAINED_BLOCK),
    )


FAMILY = Family(
    architecture="Fast_dLLM_QwenForCausalLM",
    presets=PRESETS,
    chat=CHAT,
    rename=same_key,
    plan=plan,
    inert=frozenset({"conplemenrary_mask"}),
    backend=qwen2_backend,
)

load, fingerprint = FAMILY.load, FAMILY.fingerprint
