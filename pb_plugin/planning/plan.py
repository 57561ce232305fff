"""From options to the list of cells: a pure function, so that every process makes the same plan."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from decoders.served.table import table_settings
from decoders.traits import method_traits
from pb_plugin.planning import registry
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.methods import MethodVariant, variants_of
from pb_plugin.planning.native import NAME as NATIVE
from pb_plugin.planning.native import native_variants, params_of
from pb_plugin.planning.option_grammar import ModelChoice, parse_method, parse_model, parse_task
from pb_plugin.planning.options import DEFAULT_UNMASKING
from pb_plugin.records.asked import TAGS, Asked
from pb_plugin.records.canonical import canonical
from task_specs.catalogue import BENCHMARK_IDS, CATEGORIES, TASK_SETS, task_ids
from task_specs.sources.source import source
from task_specs.spec import OWN_IDS

if TYPE_CHECKING:
    from decoders.state import UnmaskingMethod
    from pb_plugin.planning.options import Options
    from task_specs.spec import TaskSpec

DEFAULT_KS = (1, 2, 4, 8, 16, 32)
"""Tokens per step of the published sweeps."""

IDEAL = "ideal"
"""The exact reference, by the name that the registry has for it."""

OTHER = "other"
"""What stands for every category that is not one of ours."""


class Place(NamedTuple):
    """Where a cell decodes: a task and its block length, None for the canvas."""

    spec: TaskSpec
    block_length: int | None

    @property
    def k_limit(self) -> tuple[int, str]:
        """The largest k that still says something, and what it is the size of."""
        if self.block_length is not None and self.block_length < self.spec.positions:
            return self.block_length, f"block length {self.block_length}"
        if self.spec.positions < self.spec.canvas:
            return self.spec.positions, f"{self.spec.positions} positions to fill"
        return self.spec.canvas, f"canvas {self.spec.canvas}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run consists of.

    Args:
        cells: The items, by model, task in benchmark order, method in the order given, and setting.
        specs: The tasks, in the order of the cells.
        models: The models, in the order given.
        notes: What was left out and why, a line each.
        missing_tasks: Tasks of the benchmark that would be in the plan but have no spec in this version.
    """

    cells: tuple[Cell, ...]
    specs: tuple[TaskSpec, ...]
    models: tuple[ModelChoice, ...]
    notes: tuple[str, ...]
    missing_tasks: tuple[str, ...]

    def in_category(self, category: str) -> tuple[Cell, ...]:
        """Return the cells of one category of ours, or of all others for ``other``.

        Raises:
            LookupError: There is no such category.
        """
        if category not in (*CATEGORIES, OTHER):
            raise LookupError(
                f"pb_category must be one of {', '.join((*CATEGORIES, OTHER))}, got {category!r}; "
                "leave the mark out for all items"
            )
        if category == OTHER:
            return tuple(cell for cell in self.cells if cell.category not in CATEGORIES)
        return tuple(cell for cell in self.cells if cell.category == category)


def plan(options: Options) -> Plan:
    """Return the plan of *options*: every combination of model, task, method and setting that makes sense.

    Raises:
        LookupError: A name is not known.
        ValueError: A value breaks a rule, two cells have one id, or nothing is left to run.
    """
    models = _models(options)
    specs = specs_of(options.task or task_ids())
    _check_samples(options, specs)
    _check_floors(options, specs)
    by_model = _variants(options, models)
    variants = [variant for found in by_model.values() for variant in found]
    if options.k and not any(variant.method.takes_k for variant in variants):
        raise ValueError(
            f"--k must come with a method that has k, got {', '.join(options.unmasking)}; "
            "leave --k out or add --unmasking confidence"
        )
    places, block_notes = _places(options, specs)
    ks, k_notes = _ks(options, places, variants)
    cells = _cells(options, by_model, places, ks)
    missing = () if options.task else _missing_tasks()
    notes = (*_sample_notes(options, specs), *block_notes, *k_notes)
    if not cells:
        reasons = "; ".join(notes) or f"no spec yet for {', '.join(missing)}"
        raise ValueError(
            f"the selection must have at least one item, got none ({reasons}); choose other values"
        )
    _check_ids(cells)
    return Plan(cells=cells, specs=specs, models=models, notes=notes, missing_tasks=missing)


def specs_of(tasks: Iterable[str]) -> tuple[TaskSpec, ...]:
    """Return the specs of *tasks*, each as ``--task`` takes it, in the order of the benchmark.

    A name of `TASK_SETS` stands for all of its tasks.

    Raises:
        LookupError: A task, its file or a parameter is not known.
        ValueError: A file or a parameter breaks a rule.
    """
    points = registry.known(registry.TASKS)
    texts = [one for text in tasks for one in TASK_SETS.get(text, (text,))]
    specs = [spec for text in texts for spec in registry.specs_of(parse_task(text), points)]
    order = {task: index for index, task in enumerate(OWN_IDS)}
    return tuple(sorted(specs, key=lambda spec: order.get(spec.base_id, len(order))))


def _missing_tasks() -> tuple[str, ...]:
    present = task_ids()
    return tuple(task for ids in BENCHMARK_IDS.values() for task in ids if task not in present)


def _models(options: Options) -> tuple[ModelChoice, ...]:
    choices = tuple(parse_model(text) for text in options.model)
    for choice in choices:
        registry.find_model(choice.reference)
    return choices


def _variants(
    options: Options, models: Sequence[ModelChoice]
) -> dict[ModelChoice, tuple[MethodVariant, ...]]:
    """Return what each model is run with: unmasking methods, or `native` for one that owns its loop."""
    choices = [parse_method(text) for text in options.unmasking]
    points = registry.known(registry.METHODS)
    stepped = tuple(v for c in choices if c.reference != NATIVE for v in variants_of(c, points))
    generators = registry.known(registry.GENERATORS)
    owners = [model for model in models if model.reference in generators]
    asked = [choice for choice in choices if choice.reference == NATIVE]
    if asked and not owners:
        raise ValueError(
            f"--unmasking native must come with a model that owns its loop, got {', '.join(options.model)}; "
            f"choose one of {', '.join(generators) or 'none here'}, or another method"
        )
    if owners and not asked and options.unmasking != DEFAULT_UNMASKING:
        raise ValueError(
            f"--unmasking must be native for {owners[0].name}, which owns its loop, got "
            f"{', '.join(options.unmasking)}; leave --unmasking out or add --unmasking native"
        )
    return {
        model: tuple(native_variants(asked, _servers_of(model))) if model in owners else stepped
        for model in models
    }


def _servers_of(model: ModelChoice) -> list[dict[str, Any]]:
    """Return the settings of each server of a table, one without for any other model."""
    return table_settings(model.address) if model.address is not None else [{}]


def _check_samples(options: Options, specs: Sequence[TaskSpec]) -> None:
    most = max((spec.n_samples for spec in specs), default=0)
    if options.samples is not None and specs and options.samples > most:
        raise ValueError(
            f"--samples must be at most {most}, the most any selected task has, got {options.samples}; "
            "leave it out for all"
        )


def _sample_notes(options: Options, specs: Sequence[TaskSpec]) -> tuple[str, ...]:
    if options.samples is None:
        return ()
    smaller = _counts(f"{spec.n_samples} samples" for spec in specs if spec.n_samples < options.samples)
    return (f"samples={options.samples}: all of {smaller}",) if smaller else ()


def _check_floors(options: Options, specs: Sequence[TaskSpec]) -> None:
    names = [task for task, _ in options.floor]
    known = dict.fromkeys([*OWN_IDS, *(spec.id for spec in specs)])
    for name in names:
        if name not in known:
            raise LookupError(f"--pb-floor must name a task, got {name!r}; known: {', '.join(known)}")
        if names.count(name) > 1:
            raise ValueError(f"--pb-floor must be given once per task, got {name!r} twice; keep one")


def _places(options: Options, specs: Sequence[TaskSpec]) -> tuple[list[Place], list[str]]:
    if not options.block_length:
        return [Place(spec, None) for spec in specs], []
    notes = []
    for block in options.block_length:
        undivided = [spec for spec in specs if spec.canvas % block]
        canvases = _counts(f"canvas {spec.canvas}" for spec in undivided)
        if specs and len(undivided) == len(specs):
            raise ValueError(
                f"--block-length must divide the canvas of at least one task, got {block} for {canvases}; "
                "choose a divisor"
            )
        if undivided:
            notes.append(f"block_length={block}: does not divide {canvases}")
    places = [
        Place(spec, None if block == spec.canvas else block)
        for spec in specs
        for block in options.block_length
        if spec.canvas % block == 0
    ]
    return places, notes


def _ks(
    options: Options, places: Sequence[Place], variants: Sequence[MethodVariant]
) -> tuple[dict[Place, tuple[int, ...]], list[str]]:
    """Return the k of every place, and a note for each k that is too large for some."""
    if not any(variant.method.takes_k for variant in variants):
        return {}, []
    wanted = options.k or DEFAULT_KS
    limits = {place: place.k_limit for place in places}
    notes = []
    for k in wanted:
        too_small = _counts(reason for limit, reason in limits.values() if k > limit)
        if too_small:
            notes.append(f"k={k}: not for {too_small}")
    return {place: tuple(k for k in wanted if k <= limit) for place, (limit, _) in limits.items()}, notes


def _counts(reasons: Iterable[str]) -> str:
    """Return ``10 tasks with canvas 32, 1 task with canvas 64``."""
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(f"{n} task{'s' * (n > 1)} with {reason}" for reason, n in counts.items())


def _cells(
    options: Options,
    by_model: Mapping[ModelChoice, Sequence[MethodVariant]],
    places: Sequence[Place],
    ks: Mapping[Place, Sequence[int]],
) -> tuple[Cell, ...]:
    position = itertools.count()
    by_spec = [list(same) for _, same in itertools.groupby(places, key=lambda place: place.spec)]
    return tuple(
        Cell(
            asked=Asked(
                task=place.spec.id,
                data_source=source(place.spec, options.data).name,
                model=model.name,
                method=variant.method.name,
                method_params=canonical(params_of(variant.method)),
                k=k,
                block_length=place.block_length,
                canvas=place.spec.canvas,
                seed=seed,
                **tagged,
            ),
            is_replicate=len(seeds) > 1,
            model=model,
            variant=variant,
            samples=options.samples,
            data=options.data,
            spec=place.spec,
            position=next(position),
        )
        for model, variants in by_model.items()
        for of_server in dict.fromkeys(variant.server for variant in variants)
        for same_spec in by_spec
        for variant in variants
        if variant.server == of_server
        for place in (_own_places(variant.method, same_spec[0].spec, options) or same_spec)
        for k in (ks[place] if variant.method.takes_k else (None,))
        for tagged in _tagged(options)
        for seeds in (_seeds(options, model, variant.method, tagged["temperature"]),)
        for seed in seeds
    )


def _seeds(
    options: Options, model: ModelChoice, method: UnmaskingMethod, temperature: float
) -> tuple[int, ...]:
    """Return the seeds of a cell: all where something is drawn, else the first, as others say the same.

    `ideal` draws which of equally likely tokens and positions it takes.
    """
    draws = temperature > 0.0 or _is_random(method) or model.reference == IDEAL
    return tuple(dict.fromkeys(options.seed)) if draws else options.seed[:1]


def _is_random(method: UnmaskingMethod) -> bool:
    """Return whether *method* draws at random: it says so, or one of its parameters is ``random``."""
    return method_traits(method).is_random or "random" in params_of(method).values()


def _tagged(options: Options) -> list[dict[str, Any]]:
    """Return every combination of what the tagged fields of `Asked` are set to; several of one vary."""
    given = {name: getattr(options, name) for name in TAGS}
    several = [value if isinstance(value, tuple) else (value,) for value in given.values()]
    return [dict(zip(given, values, strict=True)) for values in itertools.product(*several)]


def _own_places(method: UnmaskingMethod, spec: TaskSpec, options: Options) -> list[Place]:
    """Return the places of a method whose knob is the block, where no block length was asked for."""
    blocks: tuple[int, ...] = () if options.block_length else method_traits(method).blocks
    return [Place(spec, block) for block in blocks if spec.canvas % block == 0]


def _check_ids(cells: Sequence[Cell]) -> None:
    owners: dict[str, Cell] = {}
    for cell in cells:
        owner = owners.setdefault(cell.id, cell)
        if owner is not cell:
            raise ValueError(
                f"ids of items must be unique, got {cell.id!r} for ({owner.description}) and for "
                f"({cell.description}); drop one of them or run them apart"
            )
