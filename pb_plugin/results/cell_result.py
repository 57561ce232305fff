"""What was recorded of one planned task and setting: the input of the aggregate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from decoders.text.json_file import shortened
from pb_plugin.records.asked import Asked
from pb_plugin.records.canonical import canonical
from pb_plugin.records.record import Record
from task_specs.scoring.distribution import ChoiceDistribution

FAMILIES = ("static", "adaptive")

SHARED = frozenset({"data_source"})
"""Parts that must be equal over more than a cell; the aggregate looks at them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveKind:
    """How the settings of a method make curves, as plain data.

    Args:
        family: ``static`` or ``adaptive``; chooses the published rule.
        knobs: Names of the method's parameters that vary along a curve; None means all of them.
        variant: The method's other parameters where they are not the usual ones (``confidence=margin``);
            names a curve of its own.
        own_block: Whether the block is the method's knob (DUS) or the model's trained block, so that it makes
            no curve of its own.
        upstream_exact: Whether the method follows a published deviation.

    Raises:
        ValueError: The family is none of the two.
    """

    family: str
    knobs: tuple[str, ...] | None = None
    variant: str = ""
    own_block: bool = False
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"family must be static or adaptive, got {self.family!r}; it chooses the published PBx rule"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCell:
    """One planned task and setting: what the run file holds of it.

    Args:
        asked: The task and its setting.
        curve: How the settings of its method make curves.
        category: The task's category.
        is_variant: Whether it is a variant; it enters a suite only where that names it.
        score: Name of the score that PBx uses.
        n_planned: Samples asked for.
        keys: The decode key of each; empty where there is none, as for a model that cannot be read.
        score_key: What their scores depend on.
        unavailable: Why there are no keys (a model or data file that cannot be read), or None.
        unscored: Why the samples are not decoded (no tool for the score), or None.
        exact: Whether its model is the exact reference.

    Raises:
        ValueError: There is no sample, or a knob is no parameter of the method.
    """

    asked: Asked
    curve: CurveKind
    category: str
    is_variant: bool = False
    score: str
    n_planned: int
    keys: tuple[str, ...] = ()
    score_key: str = ""
    unavailable: str | None = None
    unscored: str | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if self.n_planned < 1:
            raise ValueError(f"n_planned must be at least 1, got {self.n_planned!r}; leave an empty cell out")
        unknown = sorted(set(self.curve.knobs or ()) - set(self.asked.method_params))
        if unknown:
            raise ValueError(
                f"knobs must be parameters of the method, got {shortened(unknown[0])}; it has "
                f"{', '.join(sorted(self.asked.method_params)) or 'none'}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class CellResult:
    """One planned task and setting, and what was recorded of it.

    Args:
        planned: The cell.
        records: What the store has of it.
        choices: How the right answers of a random task spread over the choices; None for other tasks.

    Raises:
        ValueError: A record does not belong to the cell.
    """

    planned: PlannedCell
    records: Sequence[Record]
    choices: ChoiceDistribution | None = None

    @property
    def asked(self) -> Asked:
        """The task and its setting."""
        return self.planned.asked

    def __post_init__(self) -> None:
        _check_records(self)


def _check_records(cell: CellResult) -> None:
    task, n_planned = shortened(cell.asked.task), cell.planned.n_planned
    asked = {name: canonical(value) for name, value in cell.asked.parts().items() if name not in SHARED}
    samples: set[str] = set()
    for record in cell.records:
        sample = record.parts["sample_id"]
        for name, value in asked.items():
            if record.parts[name] != value:
                raise ValueError(
                    f"{name} of a record must be that of its cell, {shortened(value)}, got "
                    f"{record.parts[name]!r} ({task}, sample {sample!r}); sort the records by cell"
                )
        if sample in samples:
            raise ValueError(
                f"sample_id must occur once in a cell, got {sample!r} twice ({task}, {cell.asked.model}, "
                f"{cell.asked.method}); take records from StoreIndex"
            )
        samples.add(sample)
    if len(samples) > n_planned:
        raise ValueError(
            f"n_planned must be at least the number of records ({len(samples)}), got {n_planned!r} "
            f"({task}); plan every sample"
        )
