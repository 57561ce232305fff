"""GSM8K and HumanEval as tasks of the user's: a task file and samples in our schema, from published files.

Nothing of either benchmark is part of this package, and neither is in a suite. Sources of the formats:

- ``openai/grade-school-math``: ``question``, and ``answer`` that ends with ``#### NUMBER``.
- ``openai/human-eval``: ``task_id``, ``prompt``, ``entry_point``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from task_specs.document import problem
from task_specs.scoring.reference.gsm8k import MARKER, marked_number
from task_specs.scoring.reference.json_lines import json_objects

NAMES = ("gsm8k", "humaneval")
CATEGORY = "reference"
MOST_SHOTS = 8
CURE = "take the published file"

GSM8K_PROMPT = (
    "{question}\n\nSolve the problem step by step. End with a line that holds "
    f"{MARKER}, a space, and the number that is the answer, and nothing else."
)
HUMANEVAL_PROMPT = (
    "Complete the following Python function. Answer with the code of the whole function and nothing else.\n\n"
    "```python\n{prompt}\n```"
)

_CALCULATION = re.compile("<<[^<>]*>>")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceTask:
    """What is written: the text of the task file, and the samples."""

    spec: Mapping[str, Any]
    samples: tuple[Mapping[str, Any], ...]

    @property
    def spec_text(self) -> str:
        """The task file as YAML."""
        text: str = yaml.safe_dump(dict(self.spec), sort_keys=False, allow_unicode=True, width=100)
        return text

    @property
    def data_text(self) -> str:
        """The samples, one JSON object a line."""
        return "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in self.samples)


def gsm8k(file: Path, shots: Path | None, canvas: int) -> ReferenceTask:
    """Return the task of the published *file*.

    Args:
        file: JSONL of ``question`` and ``answer``.
        shots: The same for worked examples, all of whose lines are shown in order; None for none. What stands
            between ``<<`` and ``>>`` in their answers, notes for a calculator, is left out.
        canvas: Generated positions.

    Raises:
        ValueError: A file is missing or malformed, or there are too many worked examples.
    """
    examples = [_worked(*line) for line in _lines(shots)] if shots is not None else []
    if len(examples) > MOST_SHOTS:
        raise ValueError(
            f"--shots must hold at most {MOST_SHOTS} worked examples, got {len(examples)} in {str(shots)!r}; "
            "keep the ones you want"
        )
    samples = []
    for number, (where, line) in enumerate(_lines(file), start=1):
        right = _number(where, line)
        sample = {"id": f"line-{number:04d}", "fields": {"question": line["question"]}}
        samples.append(
            {**sample, "facts": {"number": right}, "shots": examples, "example": f"{MARKER} {right}"}
        )
    return _task("gsm8k", GSM8K_PROMPT, "accuracy", [], samples, shots=len(examples), canvas=canvas)


def humaneval(file: Path, canvas: int) -> ReferenceTask:
    """Return the task of the published *file*, JSONL of ``task_id``, ``prompt`` and ``entry_point``.

    Raises:
        ValueError: The file is missing or malformed.
    """
    samples = []
    for where, line in _lines(file):
        for key in ("task_id", "prompt", "entry_point"):
            _text(where, line, key)
        facts = {key: line[key] for key in ("task_id", "entry_point")}
        samples.append({"id": line["task_id"], "fields": {"prompt": line["prompt"]}, "facts": facts})
    return _task("humaneval", HUMANEVAL_PROMPT, "passed", ["passed"], samples, shots=0, canvas=canvas)


def _task(
    name: str,
    prompt: str,
    score: str,
    needs: list[str],
    samples: list[dict[str, Any]],
    *,
    shots: int,
    canvas: int,
) -> ReferenceTask:
    spec = {
        "id": name,
        "category": CATEGORY,
        "version": 1,
        "prompt": prompt,
        "shots": shots,
        "canvas": canvas,
        "scorer": name,
        "score": score,
        "needs": needs,
        "data": f"{name}.jsonl",
        "notes": "made by pb reference; change the prompt as you like, and raise the version with it",
    }
    return ReferenceTask(spec=spec, samples=tuple(samples))


def _worked(where: str, line: Mapping[str, Any]) -> dict[str, Any]:
    _number(where, line)
    return {"fields": {"question": line["question"]}, "answer": _CALCULATION.sub("", line["answer"])}


def _number(where: str, line: Mapping[str, Any]) -> str:
    """Return the number that the answer of a line ends with."""
    _text(where, line, "question")
    found = marked_number(_text(where, line, "answer"))
    if found is None:
        raise problem(where, "answer", f"a solution that ends with '{MARKER} NUMBER'", line["answer"], CURE)
    return found


def _text(where: str, line: Mapping[str, Any], key: str) -> str:
    value = line.get(key)
    if not isinstance(value, str) or not value.strip():
        raise problem(where, key, "a text", value, CURE)
    return value


def _lines(file: Path) -> list[tuple[str, Mapping[str, Any]]]:
    return json_objects(file, unread="FILE must be a published file as JSONL", cure=CURE)
