"""How long things may take: the value of ``--pb-timeout``."""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_FORWARDS = 48
"""A sample may take the time of so many forwards at their limit, where nothing else is said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How many seconds one forward, or one call of a scorer, may take, and one sample as a whole."""

    forward: float
    sample: float


def parse_limits(text: str, *, name: str) -> Limits:
    """Return the limits that ``FORWARD`` or ``FORWARD,SAMPLE`` says.

    Raises:
        ValueError: It is none; names the rule and the value.
    """
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(value > 0.0 for value in values):
        raise ValueError(
            f"{name} must be SECONDS for a forward, or FORWARD,SAMPLE, above 0, got {text!r}; such as 1800, "
            "or inf for no limit"
        )
    forward = values[0]
    sample = values[1] if len(values) > 1 else SAMPLE_FORWARDS * forward
    if sample < forward:
        raise ValueError(
            f"{name} must give a sample at least the time of a forward, got {text!r}; a sample takes several"
        )
    return Limits(forward=forward, sample=sample)


DEFAULT_LIMITS = Limits(forward=1800.0, sample=SAMPLE_FORWARDS * 1800.0)
"""Half an hour for one forward: a batch of a large model on a slow CPU takes minutes."""
