"""Dream, Dream-Coder and DiffuCoder: Qwen2 networks used in both directions, row i - 1 predicting token i."""

from __future__ import annotations

from types import MappingProxyType

from decoders.loading.checkpoint import Config, Preset
from decoders.network.family import Family, same_key
from decoders.network.plan import Plan, plan_of
from decoders.text.chat import CHATML_MARKERS, QWEN_ENDS, ChatFormat, chatml, render_plain
from decoders.text.qwen2_tokenizer import qwen2_backend

SYSTEM = "You are a helpful assistant."
MASK = "<|mask|>"

CHAT = ChatFormat(render=chatml(system=SYSTEM), markers=CHATML_MARKERS, end_of_turn=QWEN_ENDS, mask=MASK)
CODER_CHAT = ChatFormat(
    render=chatml(system=SYSTEM, before_end="\n"),
    markers=CHATML_MARKERS,
    end_of_turn=(*QWEN_ENDS, "<|dlm_pad|>"),
    mask=MASK,
)
BASE_CHAT = ChatFormat(render=render_plain, markers=(), end_of_turn=("<|endoftext|>",), mask=MASK)

PRESETS = MappingProxyType(
    {
        "dream": Preset(
            hub_id="Dream-org/Dream-v0-Instruct-7B", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
        "dream-base": Preset(
            hub_id="Dream-org/Dream-v0-Base-7B",
            revision="main",
            dtype="bfloat16",
            licence="Apache-2.0",
            chat=BASE_CHAT,
        ),
        "dream-coder": Preset(
            hub_id="Dream-org/Dream-Coder-v0-Instruct-7B",
            revision="main",
            dtype="bfloat16",
            licence="Apache-2.0",
        ),
        "dparallel-dream": Preset(
            hub_id="Zigeng/dParallel_Dream_7B_Instruct", revision="main", dtype="bfloat16", licence="MIT"
        ),
        "d3llm-dream": Preset(
            hub_id="d3LLM/d3LLM_Dream", revision="main", dtype="bfloat16", licence="see its card"
        ),
        "d3llm-dream-coder": Preset(
            hub_id="d3LLM/d3LLM_Dream_Coder", revision="main", dtype="bfloat16", licence="see its card"
        ),
        "diffucoder": Preset(
            hub_id="apple/DiffuCoder-7B-cpGRPO",
            revision="main",
            dtype="bfloat16",
            licence="apple-amlr (research only)",
            chat=CODER_CHAT,
        ),
    }
)


def plan(config: Config) -> Plan:
    """Return the Qwen2 that computes what the published Dream class computes under *config*.

    Source: Dream (arXiv:2508.15487), modeling_dream.py and configuration_dream.py: Qwen2 layers, biases on
    queries, keys and values, full attention; logits are shifted by one position before use.

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
        shift=True,
    )


FAMILY = Family(
    architecture="DreamModel",
    presets=PRESETS,
    chat=CHAT,
    rename=same_key,
    plan=plan,
    backend=qwen2_backend,
)

load, fingerprint = FAMILY.load, FAMILY.fingerprint
