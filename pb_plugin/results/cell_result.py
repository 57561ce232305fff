"""What was recorded of one planned task and setting: the input of the aggregate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pb_plugin.records.canonical import canonical
from pb_plugin.records.record import Record
from task_specs.scoring.distribution import ChoiceDistribution

FAMILIES = ("static", "adaptive")


@dataclass(frozen=True, kw_only=True, slots=True)
class CellResult:
    """One planned (task, setting) and what was recorded of it.

    Args:
        task: Task id.
        category: Its category.
        is_variant: Whether it is a variant; variants enter no suite.
        score: Name of the score that PBx uses.
        model: Model name.
        method: Method name.
        method_params: All parameters of the method.
        knobs: Names of the method's parameters that vary along a curve; None means all of them.
        variant: The method's other parameters where they are not the usual ones (``confidence=margin``);
            names a curve of its own.
        family: ``static`` or ``adaptive``; chooses the published rule.
        canvas: Length of the generated region.
        n_planned: Samples asked for.
        records: What the store has of them.
        k: Tokens per step, for methods that have it.
        block_length: None means the canvas.
        own_block: Whether the block is the method's knob (DUS) or the model's trained block, so that it makes
            no curve of its own.
        cache: Cache mode.
        temperature: Sampling temperature.
        upstream_exact: Whether the method follows a published deviation.
        unscored: Why the task was not decoded for want of a scoring tool, or None.
        choices: How the right answers of a random task spread over the choices; None for other tasks.

    Raises:
        ValueError: A value is out of its range, or a record does not belong to the cell.
    """

    task: str
    category: str
    is_variant: bool = False
    score: str
    model: str
    method: str
    method_params: Mapping[str, Any] = field(default_factory=dict)
    knobs: tuple[str, ...] | None = None
    variant: str = ""
    family: str
    canvas: int
    n_planned: int
    records: Sequence[Record]
    k: int | None = None
    block_length: int | None = None
    own_block: bool = False
    cache: str = "none"
    temperature: float = 0.0
    upstream_exact: bool = False
    unscored: str | None = None
    choices: ChoiceDistribution | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"family must be static or adaptive, got {self.family!r}; it chooses the published PBx rule"
            )
        if self.n_planned < 1:
            raise ValueError(f"n_planned must be at least 1, got {self.n_planned!r}; leave an empty cell out")
        _check_records(self)


def _check_records(cell: CellResult) -> None:
    asked = {
        "task": cell.task,
        "model": cell.model,
        "method": cell.method,
        "method_params": canonical(cell.method_params),
        "k": cell.k,
        "canvas": cell.canvas,
        "block_length": cell.block_length or cell.canvas,
        "cache": cell.cache,
        "temperature": cell.temperature,
    }
    samples: set[str] = set()
    for record in cell.records:
        block = record.parts["block_length"] or record.parts["canvas"]
        parts = {
            **record.parts,
            "block_length": block,
            "method_params": canonical(record.parts["method_params"]),
        }
        for name, value in asked.items():
            if parts[name] != value:
                raise ValueError(
                    f"{name} of a record must be that of its cell, {value!r}, got {parts[name]!r} "
                    f"({cell.task}, sample {parts['sample_id']!r}); sort the records by cell"
                )
        sample = record.parts["sample_id"]
        if sample in samples:
            raise ValueError(
                f"sample_id must occur once in a cell, got {sample!r} twice ({cell.task}, {cell.model}, "
                f"{cell.method}); take records from StoreIndex"
            )
        samples.add(sample)
    if len(samples) > cell.n_planned:
        raise ValueError(
            f"n_planned must be at least the number of records ({len(samples)}), got {cell.n_planned!r} "
            f"({cell.task}); plan every sample"
        )
