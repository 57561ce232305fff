"""SGLang: diffusion is set per server (``--dllm-algorithm``), and the steps lie between two bounds.

``/get_server_info`` (``/server_info`` in newer versions) tells the arguments the server was started with, but
of ``--dllm-algorithm-config`` only the path: threshold and block length are in that file, and the user says
them.
"""

from __future__ import annotations

from collections.abc import Mapping

from decoders.served.client.answer import Answer
from decoders.served.dialects.dialect import Dialect, Pages, Settings, Told
from decoders.served.dialects.steps import UNKNOWN, Steps, block_bounds, counted

ARGUMENTS = (
    "model_path",
    "revision",
    "tokenizer_path",
    "chat_template",
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "context_length",
    "attention_backend",
    "sampling_backend",
    "tp_size",
    "dllm_algorithm",
    "dllm_algorithm_config",
    "speculative_algorithm",
    "enable_deterministic_inference",
)
"""What of the arguments can move an answer; others (ports, keys, memory, a seed drawn at start) stay out."""


def told(pages: Pages) -> Told:
    """Return the version and the arguments that the server tells."""
    info = pages.json("/get_server_info") or pages.json("/server_info")
    if not isinstance(info, Mapping):
        return Told()
    version = info.get("version")
    settings = {name: info[name] for name in ARGUMENTS if info.get(name) is not None}
    return Told(version=None if version is None else str(version), settings=settings)


def needed(known: Settings) -> tuple[str, ...]:
    """Return what a server with diffusion must be known by; one that tells nothing has to be described."""
    if is_diffusion(known):
        return ("threshold", "block_length")
    return () if "model_path" in known else ("dllm_algorithm",)


def is_diffusion(known: Settings) -> bool:
    """Return whether the answers are made by diffusion; ``none`` is how a user says that they are not."""
    return known.get("dllm_algorithm") not in (None, "none")


def steps(answer: Answer, known: Settings) -> Steps:
    """Return the bounds of diffusion in blocks; without diffusion one step per token, unless it drafts."""
    if is_diffusion(known):
        ended = answer.finish != "length"
        return block_bounds(
            answer.tokens, known.get("block_length"), prompt=answer.prompt_tokens, ended=ended
        )
    return UNKNOWN if known.get("speculative_algorithm") else counted(answer.tokens)


DIALECT = Dialect(
    name="sglang",
    owner="sglang",
    said={"dllm_algorithm": str, "threshold": float, "block_length": int},
    told=told,
    needed=needed,
    steps=steps,
)
