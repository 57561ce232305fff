"""An autoregressive server that the user calls plain: one token per step, unless it drafts.

``native:speculative=true`` says that it drafts; a llama.cpp server that did so shows it in the ``timings`` of
an answer. Then nobody tells the steps.
"""

from __future__ import annotations

from collections.abc import Mapping

from decoders.served.client.answer import Answer
from decoders.served.dialects.dialect import Dialect, Pages, Settings, Told
from decoders.served.dialects.steps import UNKNOWN, Steps, counted


def told(pages: Pages) -> Told:
    """Return what a llama.cpp server says at ``/props``; other servers say nothing."""
    props = pages.json("/props")
    if not isinstance(props, Mapping):
        return Told()
    build, path = props.get("build_info"), props.get("model_path")
    return Told(
        version=None if build is None else str(build),
        settings={} if path is None else {"model_path": str(path)},
    )


def steps(answer: Answer, known: Settings) -> Steps:
    """Return one step per token that the server tells."""
    timings = answer.extra.get("timings")
    drafted = isinstance(timings, Mapping) and bool(timings.get("draft_n"))
    return UNKNOWN if known.get("speculative") or drafted else counted(answer.tokens)


DIALECT = Dialect(name="plain", owner="llamacpp", said={"speculative": bool}, told=told, steps=steps)
