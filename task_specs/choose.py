"""The first m samples of a fixed seeded order, spread evenly over the strata (``--samples m``)."""

from __future__ import annotations

from collections.abc import Sequence

from task_specs.generate.draw import shuffled, source
from task_specs.sample import Sample


def choose(samples: Sequence[Sample], m: int | None, seed: int) -> tuple[Sample, ...]:
    """Return *m* of *samples*; a smaller m is a prefix of a larger one.

    After m samples every stratum (``Sample.length``) holds its share ``m * size / len(samples)`` rounded up
    or down: the quota method of apportionment.

    Source: Balinski and Young, "The quota method of apportionment", American Mathematical Monthly 82 (1975).

    Args:
        samples: A task's samples in file order.
        m: How many; None, or at least as many as there are, gives all in file order.
        seed: The run's seed.

    Raises:
        ValueError: *m* is below 1.
    """
    if m is not None and m < 1:
        raise ValueError(f"samples must be at least 1, got {m!r}; leave it out for all")
    if m is None or m >= len(samples):
        return tuple(samples)
    rng = source("choose", seed)
    strata = [
        shuffled(rng, [sample for sample in samples if sample.length == length])
        for length in sorted({sample.length for sample in samples})
    ]
    taken = [0] * len(strata)
    chosen = []
    for count in range(1, m + 1):
        stratum = _next_stratum([len(stratum) for stratum in strata], taken, count, rng.random())
        chosen.append(strata[stratum][taken[stratum]])
        taken[stratum] += 1
    return tuple(chosen)


def _next_stratum(sizes: Sequence[int], taken: Sequence[int], count: int, draw: float) -> int:
    """Return the stratum most in need among those below their upper quota of *count*; *draw* breaks ties."""
    total = sum(sizes)
    open_strata = [
        index
        for index, size in enumerate(sizes)
        if taken[index] * total < size * count and taken[index] < size
    ]
    best = max(sizes[index] / (taken[index] + 1) for index in open_strata)
    tied = [index for index in open_strata if sizes[index] / (taken[index] + 1) == best]
    return tied[int(draw * len(tied))]
