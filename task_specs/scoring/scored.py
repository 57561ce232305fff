"""What a scorer returns, and the part of an output that is scored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from task_specs.sample import Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """The scores of one output.

    Args:
        values: Score by name, each in [0, 1], or None where it could not be computed.
        reasons: Why, for every value that is None and for no other.

    Raises:
        ValueError: A value outside [0, 1], a None without a reason, a reason without a None.
    """

    values: dict[str, float | None]
    reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.values.items():
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(
                    f"score {name!r} must be in [0, 1] or None, got {value!r}; scale it in the scorer"
                )
        unscored = {name for name, value in self.values.items() if value is None}
        if unscored != set(self.reasons):
            raise ValueError(
                f"reasons must name exactly the scores that are None, got {sorted(self.reasons)} "
                f"for {sorted(unscored)}; give one reason each"
            )


Scorer = Callable[[str, Sample, Mapping[str, Any]], Scored]
"""``(text, sample, measured) -> Scored``, pure; *measured* holds what the scoring tools returned."""


def accuracy(*, lenient: bool, strict: bool) -> Scored:
    """Return the two scores of an exact-answer task: right in substance, right in exact form."""
    return Scored(values={"accuracy": float(lenient), "accuracy_strict": float(strict)})


def answer_text(text: str, marker: str | None) -> str:
    """Return the part of *text* that is scored.

    Args:
        text: The output.
        marker: The sentence that announces the answer of a chain of thought; None where the whole text is it.

    Returns:
        *text* itself without a marker, else what follows the last marker without surrounding blanks, and ""
        (which scores 0 everywhere) where the marker is missing.
    """
    if marker is None:
        return text
    _, found, answer = text.rpartition(marker)
    return answer.strip() if found else ""


_FENCED = re.compile(r"\s*(`{3,}|~{3,})[^\n`]*\n(?P<inside>(?:.*?\n)?)[ \t]*\1\s*", re.DOTALL)


def unfenced(text: str) -> str:
    """Return what stands in a code fence where *text* is one fenced block and nothing else, else *text*.

    Every lenient reading, of lists, grids and sentences, starts with it; a strict one does not.
    """
    found = _FENCED.fullmatch(text)
    return text if found is None else found["inside"].removesuffix("\n")
