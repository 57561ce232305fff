"""The grammar of option values: text in, plain choices out; it looks nothing up and knows no pytest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from decoders.served.address import Address, is_served, parse_address

Grid = tuple[tuple[str, tuple[str, ...]], ...]
"""Parameters as written: pairs of a name and its values."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_FOLDER = re.compile(r"=\s*(/|\.\.?/|~)")
_PBX = re.compile(r"PB(?P<x>\d+(\.\d+)?)(\((?P<count>\w+)\))?")
_KEY = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodChoice:
    """One ``--unmasking`` item: what the registry is asked for, and its parameter grid."""

    text: str
    reference: str
    grid: Grid = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskChoice:
    """One ``--task`` item; *is_path* says that *reference* is a YAML file."""

    text: str
    reference: str
    grid: Grid = ()
    is_path: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelChoice:
    """One ``--model`` item: a known name or reference, with the folder or hub id and revision to load.

    *alias* is what a served model is called instead of its scheme.
    """

    text: str
    reference: str
    source: str | None = None
    revision: str | None = None
    alias: str | None = None

    @property
    def name(self) -> str:
        """The name in ids and records."""
        return self.alias or self.reference

    @property
    def is_served(self) -> bool:
        """Whether a server answers; then *reference* is the scheme, and *source* the address with it."""
        return self.address is not None

    @property
    def address(self) -> Address | None:
        """Where the server is, None for a model that runs here."""
        return parse_address(self.source) if self.source is not None and is_served(self.source) else None


def is_reference(text: str) -> bool:
    """Return whether *text* is written ``package.module:attribute``."""
    return _REFERENCE.fullmatch(text) is not None


def split_values(values: Iterable[str], *, name: str) -> tuple[str, ...]:
    """Return the items of a repeatable option: split at commas, but for a value with a colon or a folder.

    A folder is what begins with ``/``, ``./``, ``../`` or ``~`` behind ``=``; it may hold a comma.

    Args:
        values: What was given, one entry per use of the option.
        name: The option, for messages.

    Raises:
        ValueError: An item is empty or given twice.
    """
    items: list[str] = []
    for value in values:
        for item in [value] if ":" in value or _FOLDER.search(value) else value.split(","):
            stripped = item.strip()
            if not stripped:
                raise ValueError(
                    f"{name} must be a list without empty items, got {value!r}; remove the stray comma"
                )
            items.append(stripped)
    repeated = next((item for item in items if items.count(item) > 1), None)
    if repeated is not None:
        raise ValueError(f"{name} must be a list without repetitions, got {repeated!r} twice; give it once")
    return tuple(items)


def parse_method(text: str, *, name: str = "--unmasking") -> MethodChoice:
    """Return the choice written as ``NAME[:PARAMS]`` or ``package.module:attribute[:PARAMS]``.

    Raises:
        ValueError: *text* is neither.
    """
    reference, params = _split_params(text)
    if not _is_name_or_reference(reference):
        raise ValueError(
            f"{name} must be NAME[:PARAMS] or package.module:attribute[:PARAMS], got {text!r}; "
            "PARAMS are written key=v1,v2;key=v, and another method needs its own option"
        )
    return MethodChoice(text=text, reference=reference, grid=_parse_params(params, text=text, name=name))


def parse_task(text: str, *, name: str = "--task") -> TaskChoice:
    """Return the choice: ``NAME``, a ``.yaml`` path or ``package.module:attribute``, each with ``[:PARAMS]``.

    Raises:
        ValueError: *text* is none of these.
    """
    is_plain_path = text.endswith((".yaml", ".yml"))
    reference, params = (text, None) if is_plain_path else _split_params(text)
    is_path = reference.endswith((".yaml", ".yml"))
    if not is_path and not _is_name_or_reference(reference):
        raise ValueError(
            f"{name} must be NAME[:PARAMS], a .yaml path or package.module:attribute, got {text!r}; "
            "PARAMS are written key=v1,v2;key=v, and another task needs its own option"
        )
    grid = _parse_params(params, text=text, name=name)
    return TaskChoice(text=text, reference=reference, grid=grid, is_path=is_path)


def parse_model(text: str, *, name: str = "--model") -> ModelChoice:
    """Return the choice: ``NAME``, ``NAME=DIR_OR_HUB_ID[@REVISION]``, ``package.module:attribute``, a server.

    A source that starts with ``/``, ``./``, ``../`` or ``~`` is a folder and has no revision. A server is
    written ``[NAME=]SCHEME:URL[#MODEL]`` and so on (`decoders.served.address`).

    Raises:
        ValueError: *text* is none of these.
    """
    if is_served(text):
        return _served(text, text, text.replace("http://", "").replace("https://", ""), name=name)
    reference, equals, source = text.partition("=")
    if equals and is_served(source) and _NAME.fullmatch(reference):
        return _served(text, source, reference, name=name)
    if not _is_name_or_reference(reference) or (equals and is_reference(reference)):
        raise ValueError(
            f"{name} must be NAME, NAME=DIR_OR_HUB_ID[@REVISION] or package.module:attribute, got {text!r}; "
            "for example llada, or llada=checkpoints/mine"
        )
    if not equals:
        return ModelChoice(text=text, reference=reference)
    revision = None
    if "@" in source and not source.startswith(("/", "./", "../", "~")):
        source, _, revision = source.rpartition("@")
    if not source or revision == "":
        raise ValueError(
            f"{name} must be NAME=DIR_OR_HUB_ID[@REVISION] with no part empty, got {text!r}; "
            f"write {reference} alone for its preset"
        )
    return ModelChoice(text=text, reference=reference, source=source, revision=revision)


def _served(text: str, source: str, alias: str, *, name: str) -> ModelChoice:
    """Return the choice of a server; its address is checked here, before anything is asked."""
    address = parse_address(source, name=name)
    return ModelChoice(text=text, reference=address.scheme, source=source, alias=alias)


def expand(grid: Grid) -> list[tuple[tuple[str, str], ...]]:
    """Return every combination of the grid's values, the last key fastest; an empty grid has one."""
    keys = [key for key, _ in grid]
    return [
        tuple(zip(keys, values, strict=True)) for values in itertools.product(*(values for _, values in grid))
    ]


def parse_int(text: str, *, name: str, minimum: int) -> int:
    """Return *text* as a whole number of at least *minimum*.

    Raises:
        ValueError: It is not one.
    """
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < minimum:
        raise ValueError(
            f"{name} must be a whole number of at least {minimum}, got {text!r}; write digits only"
        )
    return number


def parse_sizes(text: str, *, name: str) -> tuple[int, ...]:
    """Return the batch sizes written as ``8`` or ``1,8,64``.

    Raises:
        ValueError: One is no whole number of at least 1, or stands there twice.
    """
    sizes = tuple(parse_int(part, name=name, minimum=1) for part in text.split(","))
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"{name} must give each size once, got {text!r}; remove the repetition")
    return sizes


def parse_float(text: str, *, name: str, low: float, high: float = float("inf")) -> float:
    """Return *text* as a finite number in [low, high].

    Raises:
        ValueError: It is not one.
    """
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high or number == float("inf"):
        rule = f"a number of at least {low:g}" if high == float("inf") else f"a number in [{low:g}, {high:g}]"
        raise ValueError(f"{name} must be {rule}, got {text!r}; write it like 0.9")
    return number


def parse_pbx(text: str, *, name: str) -> tuple[float, str]:
    """Return x and the token count of ``PB80`` or ``PB80(content)``.

    Raises:
        ValueError: *text* is not written so.
    """
    from pb_plugin.records.record import TokenCounts

    match = _PBX.fullmatch(text.strip())
    x, count = (0.0, "") if match is None else (float(match["x"]), match["count"] or "canvas")
    if not 0.0 < x <= 100.0 or count not in TokenCounts._fields:
        raise ValueError(
            f"{name} must be PB<x> with x in (0, 100] and perhaps one of {', '.join(TokenCounts._fields)} in "
            f"brackets, got {text!r}; write PB80 or PB80(content)"
        )
    return x, count


class Shard(NamedTuple):
    """Part *number* (from 1) of *total*."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def parse_shard(text: str, *, name: str = "--pb-shard") -> Shard:
    """Return the shard written as ``2/8``.

    Raises:
        ValueError: *text* is not written so, or there is no such part.
    """
    number, slash, count = (part.strip() for part in text.partition("/"))
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"{name} must be i/n with 1 <= i <= n, got {text!r}; the first of eight is 1/8")
    return Shard(int(number), int(count))


def parse_floor(text: str, *, name: str = "--pb-floor") -> tuple[str, float]:
    """Return the task and the accuracy of ``TASK=0.9``.

    Raises:
        ValueError: *text* is not written so, or the accuracy is outside [0, 1].
    """
    task, equals, accuracy = text.partition("=")
    if not equals or not task.strip():
        raise ValueError(f"{name} must be TASK=ACCURACY, got {text!r}; for example copy=0.9")
    task = task.strip()
    shown = task if task.isprintable() else repr(task)
    return task, parse_float(accuracy.strip(), name=f"{name} {shown}", low=0.0, high=1.0)


def _is_name_or_reference(text: str) -> bool:
    return _NAME.fullmatch(text) is not None or is_reference(text)


def _split_params(text: str) -> tuple[str, str | None]:
    """Split off PARAMS: what follows a colon is PARAMS if and only if it contains ``=``."""
    head, colon, rest = text.partition(":")
    if not colon:
        return head, None
    if "=" in rest.partition(":")[0]:
        return head, rest
    attribute, second_colon, params = rest.partition(":")
    if second_colon and "=" in params:
        return f"{head}:{attribute}", params
    return text, None


def _parse_params(params: str | None, *, text: str, name: str) -> Grid:
    if params is None:
        return ()
    grid: dict[str, tuple[str, ...]] = {}
    for part in params.split(";"):
        key, equals, written = (piece.strip() for piece in part.partition("="))
        values = tuple(value.strip() for value in written.split(","))
        if not equals or not _KEY.fullmatch(key) or not all(values):
            raise ValueError(
                f"{name} must have parameters written key=v1,v2;key=v, got {part!r} in {text!r}; "
                "separate values by commas and parameters by semicolons"
            )
        if key in grid:
            raise ValueError(
                f"{name} must name each parameter once, got {key!r} twice in {text!r}; list its values"
            )
        if len(set(values)) < len(values):
            raise ValueError(
                f"{name} must give each value of {key!r} once, got {text!r}; remove the repetition"
            )
        grid[key] = values
    return tuple(grid.items())
