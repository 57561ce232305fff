"""How long the reference answers of a text task are, and how much those of one sample share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from task_specs.sample import Enumerated, Sample

Encode = Callable[[str], Sequence[int]]


def jaccard(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the distinct tokens that two texts share, over all that either has: 1 for equal sets.

    **Source**: Jaccard 1901, the coefficient of community of two sets.
    """
    return len({*first} & {*second}) / len({*first} | {*second})


def reference_facts(samples: Sequence[Sample], encode: Encode) -> dict[str, Any] | None:
    """Return how many references there are, their mean length in tokens and their mean overlap.

    Args:
        samples: Those without a list of references are left out.
        encode: A tokenizer's text to ids.

    Returns:
        ``references``, ``tokens`` (mean over all references) and ``overlap`` (mean over samples of the mean
        `jaccard` over the pairs of a sample's references; None where no sample has two), or None where there
        is no reference.
    """
    sets = [sample.answers.texts for sample in samples if isinstance(sample.answers, Enumerated)]
    encoded = [[encode(text) for text in texts] for texts in sets]
    lengths = [len(ids) for references in encoded for ids in references]
    if not lengths:
        return None
    overlaps = [
        _mean([jaccard(first, second) for first, second in combinations(references, 2)])
        for references in encoded
        if len(references) > 1
    ]
    return {
        "references": len(lengths),
        "tokens": _mean(lengths),
        "overlap": _mean(overlaps) if overlaps else None,
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
