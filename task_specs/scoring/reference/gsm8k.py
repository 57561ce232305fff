"""GSM8K: is the number that an output ends with the right one?

Sources: the solutions of Cobbe et al., "Training Verifiers to Solve Math Word Problems" (arXiv 2110.14168),
end with ``#### NUMBER``; the evaluation harness of EleutherAI takes a number from an output in two ways, the
one behind that marker and the last one of the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from task_specs.sample import Sample
from task_specs.scoring.scored import Scored, accuracy

MARKER = "####"

_MARKED = re.compile(rf"{MARKER} (-?[0-9.,]+)")
_ANY = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")


def marked_number(text: str) -> str | None:
    """Return the number behind the first marker in *text*, or None where there is none."""
    found = _MARKED.search(text)
    return None if found is None else plain(found[1])


def last_number(text: str) -> str | None:
    """Return the last number in *text*, or None where there is none."""
    found = [plain(number) for number in _ANY.findall(text)]
    return next((number for number in reversed(found) if re.search("[0-9]", number)), None)


def plain(number: str) -> str:
    """Return *number* without commas, dollars and a full stop at its end: ``$1,200.`` is ``1200``."""
    return re.sub(r"[,$]", "", number).removesuffix(".")


def score_gsm8k(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score by exact match of the number: lenient by the last one, strict by the one behind the marker.

    As published the match is one of texts, so that ``18.00`` is not ``18``.
    """
    right = sample.facts["number"]
    return accuracy(lenient=last_number(text) == right, strict=marked_number(text) == right)
