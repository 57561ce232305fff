"""From an ``--unmasking`` choice to method objects: parameters from text, and the method's default sweep."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from decoders.rows import METHOD_MEMBERS
from pb_plugin.planning import registry
from pb_plugin.planning.option_grammar import MethodChoice, expand

if TYPE_CHECKING:
    from decoders.state import UnmaskingMethod

FAMILIES = ("static", "adaptive")


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodVariant:
    """A method object and the parameters that were given or swept, in the order of its signature.

    ``knobs`` are the parameters that vary along its curve; None: those of the method's default sweep.
    ``server`` tells the servers of a table apart: all cells of one are decoded before those of the next.
    """

    method: UnmaskingMethod
    params: tuple[tuple[str, Any], ...]
    knobs: tuple[str, ...] | None = None
    server: str = ""


def variants_of(choice: MethodChoice, points: registry.Points) -> tuple[MethodVariant, ...]:
    """Return the method objects of one choice.

    Parameters that were given replace those of the default sweep; the rest of the sweep stays.

    Raises:
        LookupError: The method is not known or cannot be imported.
        ValueError: A parameter is unknown, missing or has a bad value, or the object is not a method.
    """
    prefix = f"{registry.OPTIONS[registry.METHODS]} {choice.text}"
    entry = registry.load(registry.find(registry.METHODS, choice.reference, points))
    annotations = _annotations(entry, prefix)
    unknown = next((key for key, _ in choice.grid if key not in annotations), None)
    if unknown is not None:
        valid = ", ".join(annotations) or "none at all"
        raise ValueError(f"{prefix}: parameter must be one of {valid}, got {unknown!r}; correct or remove it")
    given = [
        {key: _value(text, annotations[key], name=f"{prefix}: {key}") for key, text in pairs}
        for pairs in expand(choice.grid)
    ]
    parameter_sets: list[dict[str, Any]] = []
    for swept in _sweep(entry, prefix) or ({},):
        for explicit in given:
            merged = {**swept, **explicit}
            if merged not in parameter_sets:
                parameter_sets.append(merged)
    order = list(annotations)
    return tuple(
        MethodVariant(
            method=_build(entry, params, prefix),
            params=tuple(sorted(params.items(), key=lambda pair: order.index(pair[0]))),
        )
        for params in parameter_sets
    )


def _annotations(entry: Any, prefix: str) -> dict[str, Any]:
    if not callable(entry):
        raise ValueError(
            f"{prefix} must be a class or function that gives a method, got {entry!r}; name that"
        )
    try:
        signature = inspect.signature(entry, eval_str=True)
    except (NameError, ValueError) as error:
        raise ValueError(
            f"{prefix} must have a signature that can be read, got {error}; import what its annotations name"
        ) from error
    return {name: parameter.annotation for name, parameter in signature.parameters.items()}


def _sweep(entry: Callable[..., Any], prefix: str) -> tuple[Mapping[str, Any], ...]:
    if hasattr(entry, "sweep"):
        return tuple(entry.sweep)
    required = [
        name
        for name, parameter in inspect.signature(entry).parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    if required:
        raise ValueError(
            f"{prefix} must have a sweep or optional parameters only, got a required {required[0]!r}; "
            "give it a default"
        )
    return tuple(getattr(entry(), "sweep", ()))


def _build(entry: Callable[..., Any], params: Mapping[str, Any], prefix: str) -> UnmaskingMethod:
    try:
        inspect.signature(entry).bind(**params)
    except TypeError as error:
        raise ValueError(
            f"{prefix} must have every required parameter and no other, got {dict(params)!r}: {error}; "
            "write NAME:key=value"
        ) from error
    try:
        method: UnmaskingMethod = entry(**params)
    except ValueError as error:
        raise ValueError(f"{prefix}: {error}") from error
    absent = next((name for name in METHOD_MEMBERS if not hasattr(method, name)), None)
    if absent is not None:
        raise ValueError(f"{prefix} must be an unmasking method, got {method!r} without {absent!r}; add it")
    if method.family not in FAMILIES:
        raise ValueError(
            f"{prefix}: family must be one of {', '.join(FAMILIES)}, got {method.family!r}; correct the class"
        )
    return method


def _value(text: str, annotation: Any, *, name: str) -> Any:
    """Return *text* converted by *annotation*: float, int, bool or str, or one of these or None."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        alternatives = [option for option in typing.get_args(annotation) if option is not type(None)]
        if len(alternatives) < len(typing.get_args(annotation)) and text == "none":
            return None
        annotation = alternatives[0] if len(alternatives) == 1 else annotation
    if annotation is str:
        return text
    if annotation is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{name} must be true or false, got {text!r}; write it in lower case")
        return text == "true"
    if annotation not in (int, float):
        raise ValueError(
            f"{name} must be float, int, bool or str to be set by text, got {annotation!r}; leave it out"
        )
    try:
        number = annotation(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        rule = "a whole number" if annotation is int else "a finite number"
        raise ValueError(f"{name} must be {rule}, got {text!r}; write digits")
    return number
