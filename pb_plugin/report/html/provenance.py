"""What stands behind the numbers of a page: what was asked, models, code, data, versions, how to cite."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pb_plugin.records.record import SCHEMA, Record
from pb_plugin.report.stored import StoredReport

PACKAGES = ("parallelbench-pytest", "pytest", "torch", "numpy", "transformers", "safetensors")

BEHIND = (
    ("model_fingerprint", ("model",)),
    ("dtype", ("model",)),
    ("decode_code", ("model",)),
    ("method_code", ("method",)),
    ("data_checksum", ("task", "data_source")),
    ("spec_version", ("task",)),
)
"""The parts of the keys that are listed, each with what it belongs to."""

Rows = list[tuple[str, str]]


def keys_of(records: Iterable[Record]) -> Rows:
    """Return which checkpoints, code and data the records came from, each once."""
    found: dict[tuple[str, str], None] = {}
    for record in records:
        for part, owners in BEHIND:
            owner = " ".join(str(record.parts[name]) for name in owners)
            found[f"{part} of {owner}", str(record.parts[part])] = None
    return sorted(found)


def asked_of(report: StoredReport) -> Rows:
    """Return what the run asked for, and the command that makes the tables again."""
    chosen, run = report.run.chosen, report.to_json()["run"]
    return [
        ("run", f"{report.path.name}, made {report.created or 'at an unknown time'}"),
        ("store", str(report.store)),
        ("tasks", ", ".join(chosen.task)),
        ("data", chosen.data or "the project's own"),
        ("samples of each task", "all" if chosen.samples is None else str(chosen.samples)),
        ("seed", ", ".join(sorted({str(cell.asked.seed) for cell in report.run.cells}))),
        ("cells", f"{run['n_cells']} with {run['n_planned']} planned samples"),
        ("records of the store", f"{run['n_records']}, schema {SCHEMA}"),
        ("the same tables", shlex.join(["pb", "report", str(report.store), "--run", report.path.name])),
    ]


def versions() -> Rows:
    """Return the versions of what made the page; what is not installed is left out."""
    found = [("python", platform.python_version()), ("system", f"{platform.system()} {platform.machine()}")]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def missing_of(report: StoredReport) -> list[str]:
    """Return a sentence for everything that the run planned or a suite needs and that is not there."""
    lines = [*report.unfinished]
    lines += [f"not run, {n} item{'s' * (n > 1)}: {reason}" for reason, n in report.unavailable.items()]
    lines += [f"conflict: {message}" for message in report.conflicts]
    lines += _grouped((cell.label, cell.reason) for cell in report.summary.cells)
    for suite in ("all", "core"):
        reasons = (
            (c.identity.label, f"suite {suite} has no PBx: {c.suites[suite].reason}")
            for c in report.summary.curves
            if c.suites[suite].reason
        )
        lines += _grouped(reasons)
    if report.run.missing_tasks:
        lines.append(f"no spec in this version: {', '.join(report.run.missing_tasks)}")
    return lines


def _grouped(found: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return each reason once, with whom it concerns."""
    by_reason: dict[str, list[str]] = {}
    for who, reason in found:
        if reason is not None:
            by_reason.setdefault(reason, []).append(who)
    return [f"{reason} ({_listed(who)})" for reason, who in by_reason.items()]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def citations(report: StoredReport) -> list[str]:
    """Return what to cite for the numbers of the page."""
    own: Any = dict(versions()).get("parallelbench-pytest", "unknown")
    return [
        "ParallelBench (ICLR 2026), arXiv:2510.04767: the tasks, tokens per step and PBx.",
        f"parallelbench-pytest {own}, run {report.path.stem}: this implementation and these results.",
    ]
