"""Diffulex: ``max_nfe`` goes with each request, and the answer tells ``nfe``."""

from __future__ import annotations

from decoders.served.client.answer import Answer
from decoders.served.dialects.dialect import Dialect, Settings
from decoders.served.dialects.steps import Steps, counted


def steps(answer: Answer, known: Settings) -> Steps:
    """Return what the answer tells, and nothing else."""
    return counted(answer.extra_count("nfe"))


DIALECT = Dialect(name="diffulex", owner="diffulex", sent={"max_nfe": int}, steps=steps)
