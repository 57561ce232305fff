"""Names to objects: our own table, entry points of other packages, and ``module:attribute`` references."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from decoders.models import GENERATOR_LOADERS, LOADERS
from decoders.served import SERVED_LOADERS
from pb_plugin.pages import PAGES
from pb_plugin.planning.option_grammar import TaskChoice, expand, is_reference
from task_specs.catalogue import list_op_ids, task_ids
from task_specs.spec import OWN_IDS, TaskSpec, builtin_spec, read_spec

METHODS = "pb.methods"
MODELS = "pb.models"
TASKS = "pb.tasks"
GENERATORS = "pb.generators"

OPTIONS: Mapping[str, str] = MappingProxyType(
    {METHODS: "--unmasking", MODELS: "--model", TASKS: "--task", GENERATORS: "--model"}
)
"""Entry point group to the option that names its members."""

PAGE_OF: Mapping[str, str] = MappingProxyType(
    {
        METHODS: PAGES["methods"],
        MODELS: PAGES["models"],
        TASKS: PAGES["tasks"],
        GENERATORS: PAGES["models"],
    }
)
"""Entry point group to the page that describes its members."""

BUILTIN: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        METHODS: {
            "random": "decoders.unmasking.top_k:random",
            "left_to_right": "decoders.unmasking.top_k:left_to_right",
            "confidence": "decoders.unmasking.top_k:confidence",
            "margin": "decoders.unmasking.top_k:margin",
            "entropy": "decoders.unmasking.top_k:entropy",
            "threshold": "decoders.unmasking.threshold:Threshold",
            "factor": "decoders.unmasking.factor:Factor",
            "dus": "decoders.unmasking.dus:DUS",
            "slowfast": "decoders.unmasking.slowfast:SlowFast",
            "eb": "decoders.unmasking.eb:EB",
            "pc_sampler": "decoders.unmasking.pc_sampler:PCSampler",
            "rcr": "decoders.unmasking.rcr:RCR",
            "remdm": "decoders.unmasking.remdm:ReMDM",
            "klass": "decoders.unmasking.klass:KLASS",
            "wino": "decoders.unmasking.wino:WINO",
            "credit": "decoders.unmasking.credit:Credit",
            "hierarchy": "decoders.unmasking.hierarchy:Hierarchy",
            "hierarchy_remask": "decoders.unmasking.hierarchy_remask:HierarchyRemask",
            "prophet": "decoders.unmasking.prophet:Prophet",
            "sub_blocks": "decoders.unmasking.sub_blocks:SubBlocks",
            "adablock": "decoders.unmasking.adablock:AdaBlock",
            "freedave": "decoders.unmasking.freedave:FreeDave",
            "lopa": "decoders.unmasking.lopa:LoPA",
            "dawn": "decoders.unmasking.dawn:DAWN",
            "dapd": "decoders.unmasking.dapd:DAPD",
            "dream_schedule": "decoders.unmasking.dream_schedule:DreamSchedule",
        },
        MODELS: LOADERS,
        TASKS: {},
        GENERATORS: GENERATOR_LOADERS,
    }
)
"""Group to name to reference, imported on first use only. Our own tasks are files of ``task_specs``."""

Points = Mapping[str, EntryPoint]


def builtin_names(group: str) -> tuple[str, ...]:
    """Return our own names in *group*."""
    return (*task_ids(), *list_op_ids()) if group == TASKS else tuple(BUILTIN[group])


def known(group: str) -> dict[str, EntryPoint]:
    """Return what other packages and our table offer in *group*, by name; our tasks are not in it.

    Raises:
        ValueError: A name is claimed twice.
    """
    served = SERVED_LOADERS if group == GENERATORS else {}
    points = {
        name: EntryPoint(name, reference, group) for name, reference in {**BUILTIN[group], **served}.items()
    }
    ours = {*builtin_names(group), *served}
    for point in _entry_points(group, tuple(sys.path)):
        if point.name in points and points[point.name].value == point.value:
            continue
        if point.name in points or point.name in ours:
            holder = repr(points[point.name].value) if point.name in points else "this project"
            raise ValueError(
                f"{group} must have one owner per name, got {point.name!r} claimed by {holder} and by "
                f"{point.value!r}; rename or uninstall one of them"
            )
        points[point.name] = point
    return points


@lru_cache(maxsize=16)
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return what the packages on *path*, which is ``sys.path``, offer in *group*; each of them is read."""
    return tuple(sorted(entry_points(group=group)))


def find(group: str, name: str, points: Points) -> EntryPoint:
    """Return the entry point called *name* in *points*, or the reference it is, without loading it.

    Raises:
        LookupError: Nothing is called so; the message has the nearest and all known names.
    """
    if is_reference(name):
        return EntryPoint(name, name, group)
    if name not in points:
        raise LookupError(unknown_name(group, name, points))
    return points[name]


def find_model(name: str) -> EntryPoint:
    """Return the entry point of the model called *name*: a denoiser, or one that owns its loop.

    Raises:
        LookupError: No model is called so.
        ValueError: A name is claimed twice.
    """
    generators = known(GENERATORS)
    denoisers = known(MODELS)
    twice = sorted(generators.keys() & denoisers.keys())
    if twice:
        raise ValueError(
            f"a model must be in {MODELS} or in {GENERATORS}, got {twice[0]!r} in both; remove one of them"
        )
    return find(MODELS, name, {**denoisers, **generators})


def unknown_name(group: str, name: str, points: Points) -> str:
    """Return the message for a *name* that is neither in *points* nor one of ours."""
    names = sorted({*points, *builtin_names(group)})
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"{OPTIONS[group]} must be a known name or package.module:attribute, got {name!r}; "
        f"{hint}Known: {', '.join(names)}; see {PAGE_OF[group]}"
    )


def load(point: EntryPoint) -> Any:
    """Return the object behind *point*.

    Raises:
        LookupError: Its module or attribute cannot be imported.
    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise LookupError(
            f"{OPTIONS[point.group]} must be importable, got {point.name!r} ({point.value}): {error}; "
            "install its package or correct the reference"
        ) from error


def resolve(group: str, name: str) -> Any:
    """Return the object called *name*: a name of our table or an entry point, or a reference.

    Raises:
        LookupError: Nothing is called so, or it cannot be imported.
        ValueError: A name of *group* is claimed twice.
    """
    return load(find(group, name, known(group)))


def specs_of(choice: TaskChoice, points: Points) -> tuple[TaskSpec, ...]:
    """Return the specs of one ``--task`` choice, one per combination of its parameters.

    An entry point or reference gives the path of a YAML file, a spec, or a callable without arguments that
    returns one of these; a spec takes no parameters.

    Raises:
        LookupError: The task, its file or a parameter is not known.
        ValueError: The file or a parameter breaks a rule, or the reference gives something else.
    """
    prefix = OPTIONS[TASKS] if choice.is_path else f"{OPTIONS[TASKS]} {choice.text}"
    combinations = [dict(pairs) for pairs in expand(choice.grid)]
    is_ours = choice.reference in OWN_IDS
    source = choice.reference if is_ours or choice.is_path else _offered(choice.reference, points)
    try:
        if is_ours:
            return tuple(builtin_spec(choice.reference, params) for params in combinations)
        if isinstance(source, str | Path):
            return tuple(read_spec(source, params) for params in combinations)
    except (LookupError, FileNotFoundError) as error:
        raise LookupError(f"{prefix}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{prefix}: {error}") from error
    if not isinstance(source, TaskSpec):
        raise ValueError(
            f"{prefix} must give the path of a YAML file, a TaskSpec or a callable that returns one, "
            f"got {source!r}; correct the reference"
        )
    if choice.grid:
        raise ValueError(
            f"{prefix} must have no parameters, got {choice.grid[0][0]!r}; only a YAML file takes them"
        )
    return (source,)


def _offered(name: str, points: Points) -> Any:
    found = load(find(TASKS, name, points))
    return found() if callable(found) else found
