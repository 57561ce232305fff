"""What a run planned, as a file beside its records, and the summary of both: the source of every table.

A run file names every cell of one session with the decode keys it asked for. It holds nothing that was
measured, so a run that was killed and finished later, on other workers or in another order, has the same
file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from decoders.text.json_file import one_line
from decoders.traits import method_traits
from pb_plugin.asking.models import ModelUnavailable
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.methods import MethodVariant
from pb_plugin.planning.native import params_of
from pb_plugin.records.asked import value_text
from pb_plugin.records.begun import BegunRun, begun_runs
from pb_plugin.records.canonical import canonical_json, digest, read_json
from pb_plugin.records.moments import moment_after
from pb_plugin.records.plain_files import plain_files, write_whole
from pb_plugin.records.record import Record
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_result import CellResult, CurveKind, PlannedCell
from pb_plugin.results.choices import RandomTasks
from pb_plugin.results.summary import Summary
from pb_plugin.running.resources import Resources
from task_specs.catalogue import task_ids

RUN_SCHEMA = 3
FOLDER = "runs"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenTasks:
    """How a session named its tasks, so that their samples can be found again.

    Args:
        task: The tasks as ``--task`` took them, or the ids of the default run.
        data: The checkout of released data, or None.
        samples: How many samples of each task, or None for all.
    """

    task: tuple[str, ...]
    data: str | None
    samples: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The plan of one session. ``remote_code`` has REPO@REVISION and the name of the model that runs it."""

    chosen: ChosenTasks
    cells: tuple[PlannedCell, ...]
    missing_tasks: tuple[str, ...]
    notes: tuple[str, ...]
    remote_code: tuple[tuple[str, str], ...] = ()

    @property
    def remote_code_lines(self) -> list[str]:
        """A line for every model that ran its checkpoint's own code."""
        return [
            f"remote code behind these results: {code} (model {model})" for code, model in self.remote_code
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain data; see `Run.from_json`."""
        values = asdict(self)
        if not self.remote_code:
            del values["remote_code"]  # most runs have no word of it
        return {"schema": RUN_SCHEMA, **values}

    @classmethod
    def from_json(cls, text: str | bytes) -> Run:
        """Return the run whose `to_json` *text* is.

        Raises:
            ValueError: It is no JSON, of another schema, or something is missing or of a wrong type.
            RecursionError: It is nested too deeply.
        """
        schema = read_json(text, _SCHEMA_OF).schema
        if schema != RUN_SCHEMA:
            raise ValueError(f"schema must be {RUN_SCHEMA}, got {schema!r}; run the suite again")
        run: Run = read_json(text, _RUN)
        return run


class _Schema(msgspec.Struct):
    schema: Any = None


_SCHEMA_OF = msgspec.json.Decoder(_Schema)
_RUN = msgspec.json.Decoder(Run)


def describe(
    resources: Resources, cells: Iterable[Cell], *, missing_tasks: Sequence[str], notes: Sequence[str]
) -> Run:
    """Return the run of *cells* under the data and checkpoints that *resources* finds; nothing is decoded."""
    ordered = sorted(cells, key=lambda cell: cell.position)
    described = [_describe(resources, cell) for cell in ordered]
    running = [cell for cell, found in zip(ordered, described, strict=True) if found.keys]
    codes = [(resources.model(cell).remote_code, cell.model.name) for cell in running]
    options = resources.options
    chosen = ChosenTasks(
        task=options.task or task_ids(),
        data=None if options.data is None else str(options.data),
        samples=options.samples,
    )
    return Run(
        chosen=chosen,
        cells=tuple(described),
        missing_tasks=tuple(missing_tasks),
        notes=tuple(notes),
        remote_code=tuple(dict.fromkeys((code, model) for code, model in codes if code is not None)),
    )


def _describe(resources: Resources, cell: Cell) -> PlannedCell:
    spec = cell.spec
    described = PlannedCell(
        asked=cell.asked,
        curve=_curve_kind(cell.variant),
        category=spec.category,
        is_variant=spec.is_variant,
        score=spec.score,
        n_planned=min(cell.samples or spec.n_samples, spec.n_samples),
    )
    try:
        spec, score_key = resources.task(cell).spec, resources.score_key(cell)
        unscored = resources.unscorable(cell)
        known = replace(described, score=spec.score, score_key=score_key, unscored=unscored)
        if unscored is not None:
            return known
        keys = tuple(planned.decode_key for planned in resources.planned(cell))
        return replace(known, keys=keys, n_planned=len(keys), exact=resources.model(cell).is_exact)
    except (ModelUnavailable, ValueError, LookupError, OSError) as error:
        return replace(described, unavailable=str(error))


def _curve_kind(variant: MethodVariant) -> CurveKind:
    method = variant.method
    names = variant.knobs
    if names is None:
        names = tuple(name for params in method.sweep for name in params)
    swept = set(names) & set(params_of(method))
    fixed = [
        f"{name}={value_text(value)}"
        for name, value in variant.params
        if name not in {*swept, "upstream_exact"}
    ]
    return CurveKind(
        family=method.family,
        knobs=tuple(sorted(swept)),
        variant=",".join(fixed),
        own_block=bool(method_traits(method).blocks),
        upstream_exact=method_traits(method).upstream_exact,
    )


def save(run: Run, store: Path) -> Path:
    """Write *run* beside the records, unless the newest run file says the same; return its path."""
    folder = store / FOLDER
    text = canonical_json(run.to_json()) + "\n"
    known = plain_files(folder, "*.json")
    if known and known[-1].read_bytes() == text.encode("ascii"):
        return known[-1]
    path = folder / f"{moment_after(known)}-{digest(text)[:12]}.json"
    write_whole(path, text, what="the run file, from which pb report makes its tables,")
    return path


def load(store: Path, name: str | None = None) -> tuple[Run, Path]:
    """Return the newest run of *store*, or the one called *name*, with its file.

    Raises:
        ValueError: There is no run, or its file is damaged; the message names it and the cure.
    """
    if not store.is_dir():
        raise ValueError(
            f"store must be a directory, got {str(store)!r}; name one that a run has written (--pb-store)"
        )
    known = plain_files(store / FOLDER, "*.json")
    chosen = [path for path in known if name in (None, path.name, path.stem)]
    if not chosen:
        have = ", ".join(path.name for path in known) or "none"
        what = "a finished run" if name is None else f"the run {name!r}"
        begun = "".join(f" ({run.line})" for run in begun_runs(store))
        raise ValueError(
            f"{store} must hold {what}, got {have}{begun}; run pytest with --pb-store {store} first"
        )
    path = chosen[-1]
    try:
        return Run.from_json(path.read_bytes()), path
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: not a run file ({one_line(error)}); move it away and run the command again: no "
            "record is lost"
        ) from error


def load_begun(begun: BegunRun) -> Run | None:
    """Return the plan of a run that has not ended; None where it has told none, or is of another version."""
    try:
        return Run.from_json(begun.plan.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def summarise(run: Run, find: Callable[[str, str], Record | None]) -> Summary:
    """Return the summary of *run* from the records that *find* has for a decode key and a score key.

    Raises:
        ValueError: Records that must not be averaged came together.
    """
    from pb_plugin.statistics.resample import Resample

    return aggregate(results_of(run, find), resample=Resample())


def results_of(run: Run, find: Callable[[str, str], Record | None]) -> list[CellResult]:
    """Return the cells of *run* with the records that *find* has for a decode key and a score key."""
    cells = []
    random_tasks = RandomTasks(asked=run.chosen.task, data=run.chosen.data, samples=run.chosen.samples)
    for cell in run.cells:
        found = (find(key, cell.score_key) for key in cell.keys)
        records = [record for record in found if record is not None]
        decoded = [record for record in records if not record.failed]
        choices = random_tasks.choices(cell.asked.task, decoded)
        cells.append(CellResult(planned=cell, records=records, choices=choices))
    return cells
