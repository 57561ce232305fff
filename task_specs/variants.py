"""The parameters of a variant: read, checked and applied to the values of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from task_specs.catalogue import (
    BENCHMARK_IDS,
    MOST_TRACED,
    RELEASED_WORDS,
    Parameter,
    canvas_for,
    parameters_of,
    trace_length,
)
from task_specs.document import did_you_mean

ParameterValue = str | int | bool

_SWITCH = {"true": True, "false": False}


def vary(values: Mapping[str, Any], params: Mapping[str, ParameterValue]) -> dict[str, Any]:
    """Return the fields of a `TaskSpec` from the checked values of a file with *params* applied.

    A parameter that says what the task already is changes nothing. Every other one adds its suffix to the
    id. A variant generates its samples in memory, unless only the canvas or the number of words differs. A
    chain of thought has so many times the canvas of its plain question as it has without other parameters.

    Raises:
        LookupError: The task has no such parameter.
        ValueError: A value breaks its rule.
    """
    given = _read(values, params)
    changes = {name: value for name, value in given.items() if not _is_default(name, value, values)}
    parameters = dict(values["parameters"])
    n, cot = changes.get("n"), values["cot"] if "cot" in changes else None
    canvas = values["canvas"]
    if n is not None:
        parameters |= {"n": n} if values["generator"] == "list_ops" else {"lengths": [n]}
        longest = n + (values["generator"] == "waiting_line" and parameters["operation"].startswith("insert"))
        canvas = canvas_for(values["generator"], n, longest)
    if "blanks" in changes:
        parameters["blanks"] = changes["blanks"]
    if cot is not None:
        parameters["cot"] = cot["marker"]
        if cot["trace"] is not None:
            parameters["trace"] = cot["trace"]
            _check_traced(values["id"], parameters["n"])
        canvas = cot["canvas"] * canvas // values["canvas"]
    if given.get("canvas") not in (None, canvas):
        canvas = changes["canvas"] = given["canvas"]
    resampled = changes.keys() - {"canvas", "words"}
    return {
        "id": "".join([values["id"], *(f"_{_suffix(name, value)}" for name, value in changes.items())]),
        "base_id": values["id"],
        "prompt": values["prompt"] if cot is None else cot["prompt"],
        "prompt_compact": (values if cot is None else cot)["prompt_compact"],
        "version": values["version"] if cot is None else max(values["version"], cot["version"]),
        "canvas": canvas,
        "positions": _positions(values, parameters, canvas),
        "n_samples": changes.get("samples", values["samples"]),
        "parameters": parameters,
        "data": None if resampled else values["data"],
        "checksum": None if resampled else values["checksum"],
        "is_variant": bool(changes),
        "words": changes.get("words", values["words"]),
        "needs": frozenset(values["needs"]),
        "answer_marker": None if cot is None else cot["marker"],
        **{key: values[key] for key in _UNCHANGED},
    }


_UNCHANGED = (
    "category",
    "shots",
    "infilling",
    "text_rule",
    "scorer",
    "score",
    "answers",
    "generator",
    "seed",
    "floor",
    "notes",
)


def _read(values: Mapping[str, Any], params: Mapping[str, ParameterValue]) -> dict[str, Any]:
    """Return the checked values of *params* in the order of the id's suffixes."""
    known = parameters_of(
        values["generator"],
        values["parameters"].get("operation"),
        cot=values["cot"] is not None,
        words=values["words"],
        most_words=max(RELEASED_WORDS) if values["id"] in BENCHMARK_IDS["text_writing"] else None,
    )
    for name in params:
        if name not in known:
            cure = f"{did_you_mean(name, known)}leave it out or correct it"
            raise LookupError(
                f"parameter of task {values['id']} must be one of {', '.join(known)}, got {name!r}; {cure}"
            )
    return {name: _value(values["id"], known[name], params[name]) for name in known if name in params}


def _value(task_id: str, parameter: Parameter, value: ParameterValue) -> int | bool:
    if parameter.low is None or parameter.high is None:
        switch = _SWITCH.get(value) if isinstance(value, str) else value
        if isinstance(switch, bool):
            return switch
    else:
        whole = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        if type(whole) is int and parameter.low <= whole <= parameter.high:
            return whole
    cure = f"it sets: {parameter.meaning}"
    raise ValueError(f"{parameter.name} of task {task_id} must be {parameter.rule}, got {value!r}; {cure}")


def _is_default(name: str, value: int | bool, values: Mapping[str, Any]) -> bool:
    """Whether a parameter says what holds without it; the canvas is judged last, as others move it."""
    default = {
        "n": values["parameters"].get("n", values["parameters"].get("lengths")),
        "blanks": values["parameters"].get("blanks"),
        "words": values["words"],
        "cot": False,
        "canvas": value,
        "samples": values["samples"],
    }[name]
    return default in (value, [value])


def _suffix(name: str, value: int | bool) -> str:
    return name if value is True else f"{name}{value}"


def _positions(values: Mapping[str, Any], parameters: Mapping[str, Any], canvas: int) -> int:
    if not values["infilling"]:
        return canvas
    if values["generator"] is None:
        given: int = values["positions"]
        return given
    n: int = parameters["n"]
    return n + (trace_length(parameters["trace"], parameters["operation"], n) if "trace" in parameters else 0)


def _check_traced(task_id: str, n: int) -> None:
    if n > MOST_TRACED:
        raise ValueError(
            f"n of task {task_id} must be at most {MOST_TRACED} with cot, got {n}; all answers are listed, "
            "ask for fewer or leave cot out"
        )
