"""What scoring again has changed: per task and score the means, every changed sample, and what was left."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pb_plugin.records.record import Record
from pb_plugin.report.terminal import table

MOST_SHOWN = 20
"""Changed samples that the text lists; JSON has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A score of one sample under one setting that is another now; None where there is no score."""

    task: str
    sample: str
    setting: str
    score: str
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """One score over all results of a task: how many changed, and the means over those that have it."""

    score: str
    changed: int
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RescoredTask:
    """What became of the scores of one task.

    Args:
        task: Its id.
        results: How many decoded results of the run the store holds.
        key_before: What the scores depended on.
        key_after: What they depend on now.
        means: By name of score.
        changes: Every score that changed.
        records: What is to be stored.
        failures: Why the scorer gave nothing, for each result that it failed on.
        left: Why everything was left as it was, or None.
    """

    task: str
    results: int
    key_before: str
    key_after: str
    means: tuple[Mean, ...] = ()
    changes: tuple[Change, ...] = ()
    records: tuple[Record, ...] = ()
    failures: tuple[str, ...] = ()
    left: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, without the changes."""
        return {
            "task": self.task,
            "results": self.results,
            "stored": len(self.records),
            "score_key": {"before": self.key_before, "after": self.key_after},
            "scores": [asdict(mean) for mean in self.means],
            "failures": list(self.failures),
            "left": self.left,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescored:
    """What `rescore` did: the run file it read, the one that holds now, and every task.

    ``ok`` is False where a scorer failed, or a task was left as it was though nobody asked for that.
    """

    store: Path
    before: Path
    after: Path
    tasks: tuple[RescoredTask, ...]
    ok: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "store": str(self.store),
            "run": {"before": self.before.name, "after": self.after.name},
            "ok": self.ok,
            "tasks": [task.to_json() for task in self.tasks],
            "changes": [asdict(change) for task in self.tasks for change in task.changes],
        }

    def lines(self) -> list[str]:
        """Return what changed, for people."""
        results = sum(task.results for task in self.tasks)
        stored = sum(len(task.records) for task in self.tasks)
        changes = [change for task in self.tasks for change in task.changes]
        lines = [f"run {self.before.name}: {_count(results, 'result')} of {_count(len(self.tasks), 'task')}"]
        if changes:
            rows = [
                [f"{task.task} {mean.score}", str(mean.changed), _number(mean.before), _number(mean.after)]
                for task in self.tasks
                for mean in task.means
            ]
            lines += ["", *table(["task and score", "changed", "mean before", "after"], rows), ""]
            lines += [
                f"{change.task} {change.sample} {change.setting} {change.score}: "
                f"{_number(change.before)} -> {_number(change.after)}"
                for change in changes[:MOST_SHOWN]
            ]
            if len(changes) > MOST_SHOWN:
                lines.append(f"and {len(changes) - MOST_SHOWN} more (--json lists all)")
            lines.append("")
        else:
            lines.append("nothing changed: every score is what it was")
        for task in self.tasks:
            if task.key_after != task.key_before:
                lines.append(f"{task.task}: scored as {task.key_after}, was {task.key_before}")
            if task.left is not None:
                lines.append(f"{task.task}: left as it was: {task.left}")
            if task.failures:
                failed = _count(len(task.failures), "result")
                lines.append(f"{task.task}: no score for {failed}; first: {task.failures[0]}")
        if self.after == self.before and not stored:
            return [*lines, "nothing was written"]
        return [*lines, f"{_count(stored, 'record')} stored in {self.store}; run {self.after.name}"]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"
