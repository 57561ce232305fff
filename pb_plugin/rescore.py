"""Scores of a stored run again, from its stored texts: nothing is decoded, what changed is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pb_plugin.cell_result import CellResult
from pb_plugin.measure import GRAMMAR, Tools
from pb_plugin.aggregate import aggregate
from pb_plugin.plan import specs_of
from pb_plugin.record import Record
from pb_plugin.report.terminal import table
from pb_plugin.runfile import Run, RunCell, load, save
from pb_plugin.samples import Question, TaskData
from pb_plugin.scoring import Decoded, Scoring, score_key
from pb_plugin.store import Store, StoreIndex

MOST_SHOWN = 20
"""Changed samples that the text lists; JSON has all."""

MUST_AGREE = ("data_source", "data_checksum", "spec_version")
"""Parts of a record that must be those of the task today."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A score of one sample under one setting that is another now; None: there is no score."""

    task: str
    sample: str
    setting: str
    score: str
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """One score over all results of a task: how many changed, and the mean of those that have it."""

    score: str
    changed: int
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RescoredTask:
    """What became of one task.

    Args:
        task: Its id.
        results: Decoded results that the store holds of it.
        keys: What its scores depended on, and depend on now.
        means: By name of score.
        changes: Every score that changed.
        records: What is to be stored.
        failures: Why the scorer gave no scores, by setting and sample.
        left: Why the task was left as it was, or None.
    """

    task: str
    results: int
    keys: tuple[str, str]
    means: tuple[Mean, ...] = ()
    changes: tuple[Change, ...] = ()
    records: tuple[Record, ...] = ()
    failures: Mapping[str, str] = field_of_failures()
    left: str | None = None
