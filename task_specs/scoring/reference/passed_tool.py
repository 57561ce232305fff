"""Whether completions pass, as a tool: the result file of the user's own sandboxed evaluator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

from task_specs.document import problem
from task_specs.sample import Sample
from task_specs.scoring.reference.humaneval import completion_of
from task_specs.scoring.reference.json_lines import json_objects

Results = Mapping[tuple[str, str], bool]
"""Task id and completion to whether it passed."""

CURE = "write it with your evaluator from the file of pb completions"


class PassedTool:
    """Says of every completion what the result file says.

    Args:
        file: JSONL of ``task_id``, ``completion`` and ``passed``, as ``human-eval`` writes it; None where the
            texts are decoded now and judged later.
    """

    name = "passed"
    notes = ()

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def check(self) -> None:
        """Read the file; see `Tool`."""
        if self._file is not None:
            _ = self._results

    @property
    def is_later(self) -> bool:
        """Whether no result file was named: completions are decoded, and judged another time."""
        return self._file is None

    @property
    def missing(self) -> str | None:
        """Where results come from; None with a file."""
        if self._file is not None:
            return None
        return (
            "no code is run here: write the completions (pb completions STORE --task TASK --out FILE), run "
            "your own evaluator on them, and read its results (pb rescore STORE --passed RESULTS)"
        )

    def key(self) -> str:
        """Return the first digits of the sha256 of what the results say, in whatever order."""
        if self._file is None:
            return "none"
        said = json.dumps(sorted([*pair, passed] for pair, passed in self._results.items()))
        return sha256(said.encode()).hexdigest()[:12]

    def shared(self) -> None:
        """Return None: every worker reads the file."""

    def measure(self, asked: Sequence[tuple[str, Sample]], stop: Event | None = None) -> list[dict[str, Any]]:
        """Return ``passed`` of every (text, sample); see `Tool`."""
        if self._file is None:
            return [{"reason": f"passed: {self.missing}"} for _ in asked]
        return [self._said(text, sample) for text, sample in asked]

    def close(self) -> None:
        """There is nothing to end."""

    def _said(self, text: str, sample: Sample) -> dict[str, Any]:
        task = sample.facts["task_id"]
        passed = self._results.get((task, completion_of(text, sample.facts["entry_point"])))
        if passed is None:
            return {"reason": f"passed: {self._file} has no result of {task} for this completion"}
        return {"passed": passed}

    @cached_property
    def _results(self) -> Results:
        return {} if self._file is None else read_results(self._file)


def read_results(file: Path) -> Results:
    """Return what the evaluator said.

    Raises:
        ValueError: The file is missing or malformed, or says two things of one completion; names file, line,
            key, value and cure.
    """
    results: dict[tuple[str, str], bool] = {}
    for where, content in json_objects(file, unread="--passed must be a file of results", cure=CURE):
        pair, passed = _result(where, content)
        if results.setdefault(pair, passed) != passed:
            raise problem(
                where, "passed", "one value for a completion", passed, f"{pair[0]} has both; {CURE}"
            )
    return results


def _result(where: str, content: Mapping[str, Any]) -> tuple[tuple[str, str], bool]:
    for key in ("task_id", "completion"):
        if not isinstance(content.get(key), str):
            raise problem(where, key, "a text", content.get(key), CURE)
    if not isinstance(content.get("passed"), bool):
        raise problem(where, "passed", "true or false", content.get("passed"), CURE)
    return (content["task_id"], content["completion"]), content["passed"]
