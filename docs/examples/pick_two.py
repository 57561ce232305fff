"""A scorer of one's own: two different things of the given list, joined by "and", in any order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from task_specs.sample import Sample
from task_specs.scoring import Scored


def score(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Return whether *text* names two different things of the list, and which share of its words is right.

    Pure: the same text and sample give the same scores. *measured* holds what scoring tools said of the text.
    """
    named = text.strip().split(" and ")
    right = set(named) & set(sample.facts["things"])
    return Scored(values={"accuracy": float(len(named) == len(right) == 2), "named": len(right) / len(named)})
