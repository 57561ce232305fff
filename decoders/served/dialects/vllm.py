"""vLLM: steps of diffusion and of drafting are told by the metrics of speculative decoding.

A response carries ``num_spec_steps`` where the server has that switched on; else ``/metrics`` counts drafts,
and a question asked alone moves the counter by its own. ``/server_info`` exists in its development mode only.
"""

from __future__ import annotations

from collections.abc import Mapping

from decoders.served.client.answer import Answer
from decoders.served.dialects.dialect import Dialect, Pages, Settings, Told
from decoders.served.dialects.steps import UNKNOWN, Steps, counted

DRAFTS = "vllm:spec_decode_num_drafts"
ACCEPTED = "vllm:spec_decode_num_accepted_tokens"
FINISHED = "vllm:request_success"
"""Counts every finished request: the steps between two readings are one question's where it moved by one."""

PREFIX = "diffusion_"


def told(pages: Pages) -> Told:
    """Return the version, the settings of diffusion where they are shown, and whether steps are counted."""
    version = pages.json("/version")
    info = pages.json("/server_info?config_format=json")
    config = _find(info, "diffusion_config")
    settings: dict[str, object] = {}
    if isinstance(config, Mapping):
        names = ("canvas_length", "max_denoising_steps")
        settings = {name: config[name] for name in names if config.get(name) is not None}
    counters = pages.counters()
    if counters is not None:
        settings["counts_steps"] = DRAFTS in counters
    return Told(
        version=str(version["version"]) if isinstance(version, Mapping) and "version" in version else None,
        settings=settings,
    )


def _find(info: object, name: str) -> object:
    """Return the value called *name* at the top of *info* or one level below."""
    if not isinstance(info, Mapping):
        return None
    below = (part[name] for part in info.values() if isinstance(part, Mapping) and name in part)
    return info[name] if name in info else next(below, None)


def fields(sent: Settings) -> dict[str, object]:
    """Return what vLLM takes per request: settings of diffusion in ``vllm_xargs``, the rest as it is."""
    inner = {PREFIX + "max_steps" if n == "max_steps" else n: v for n, v in sent.items() if _is_inner(n)}
    outer = {name: value for name, value in sent.items() if not _is_inner(name)}
    return {**outer, **({"vllm_xargs": inner} if inner else {})}


def _is_inner(name: str) -> bool:
    return name == "max_steps" or name.startswith(PREFIX)


def is_diffusion(known: Settings) -> bool:
    """Return whether the answers are made by diffusion."""
    inner = any(_is_inner(name) for name in known)
    return inner or "canvas_length" in known or "max_denoising_steps" in known


def needed(known: Settings) -> tuple[str, ...]:
    """Return what must be known: the settings of diffusion, or that what drafts is autoregressive."""
    if is_diffusion(known):
        return ("canvas_length", "max_denoising_steps")
    return () if known.get("counts_steps") is False else ("speculative",)


def counters(known: Settings) -> bool:
    """Return whether the server counts steps at all."""
    return bool(known.get("counts_steps"))


def steps(answer: Answer, known: Settings) -> Steps:
    """Return the steps of diffusion or of drafting; without either one step per token."""
    if is_diffusion(known):
        in_answer = answer.extra_count("num_spec_steps")
        return counted(in_answer if in_answer is not None else _own(answer, DRAFTS))
    if not known.get("speculative"):
        return counted(answer.tokens)
    accepted = _own(answer, ACCEPTED)
    return UNKNOWN if accepted is None or answer.tokens is None else counted(answer.tokens - accepted)


def _own(answer: Answer, name: str) -> int | None:
    """Return how far this answer alone moved a counter; None where others finished, or nobody counts."""
    if answer.counters.get(FINISHED) != 1.0 or name not in answer.counters:
        return None
    return int(answer.counters[name])


DIALECT = Dialect(
    name="vllm",
    owner="vllm",
    sent={"max_steps": int},
    sent_prefix=PREFIX,
    said={"canvas_length": int, "max_denoising_steps": int, "speculative": bool},
    told=told,
    fields=fields,
    needed=needed,
    counters=counters,
    finished=FINISHED,
    steps=steps,
)
