"""HumanEval: the completion in an output, and whether the user's own evaluator says that it passes.

No code is run here, nor anywhere in this project. Source of the format: Chen et al., "Evaluating Large
Language Models Trained on Code" (arXiv 2107.03374), ``openai/human-eval``: an evaluator reads lines of
``task_id`` and ``completion``, and writes them again with ``passed``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from task_specs.sample import Sample
from task_specs.scoring.scored import Scored

_FENCED = re.compile(r"(?:^|\n)```[^\n`]*\n(?P<inside>.*?)(?:\n```|$)", re.DOTALL)


def completion_of(text: str, entry_point: str) -> str:
    """Return what an evaluator puts behind the prompt to get the program of an output.

    It is the first fenced block of *text*, or the whole of it where there is none. A block that defines the
    function again, as chat models write it, begins on a line of its own: the later definition holds.

    Args:
        text: The output.
        entry_point: The function that was asked for.
    """
    fenced = _FENCED.search(text)
    code = text if fenced is None else fenced["inside"]
    is_whole = re.search(rf"^def {re.escape(entry_point)}\b", code, re.MULTILINE) is not None
    return f"\n{code.strip()}\n" if is_whole else code


def score_humaneval(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score what the user's evaluator says of the completion; without its word there is no score."""
    if not text.strip():
        return Scored(values={"passed": 0.0})
    found = measured.get("passed", {"reason": "passed was not measured"})
    if "reason" in found:
        return Scored(values={"passed": None}, reasons={"passed": found["reason"]})
    return Scored(values={"passed": float(found["passed"])})
