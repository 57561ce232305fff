"""`native`: the only unmasking name of a model that owns its loop; its parameters are the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pb_plugin.planning.methods import MethodVariant
from pb_plugin.planning.option_grammar import MethodChoice, expand
from pb_plugin.records.canonical import canonical_json

if TYPE_CHECKING:
    from decoders.state import StepUpdate, StepView

NAME = "native"


@dataclass(frozen=True, kw_only=True, slots=True)
class Native:
    """Stands where an unmasking method stands for a denoiser; no loop of ours ever calls it.

    Args:
        values: The model's parameters that were given, by name.
    """

    name: ClassVar[str] = NAME
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    values: tuple[tuple[str, Any], ...] = ()

    def init(self, view: StepView) -> None:
        """Never called."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Never called."""
        raise AssertionError("a model that owns its loop is not stepped")


def native_variants(
    choices: Sequence[MethodChoice], served: Sequence[Mapping[str, Any]] = ({},)
) -> list[MethodVariant]:
    """Return the variants that ``--unmasking native[:key=v1,v2;...]`` asks for, or one without parameters.

    A parameter with several values that are all numbers varies along one curve; others make curves.

    Args:
        choices: What was asked for.
        served: The settings of each server of a table, over which the sweep walks.

    Raises:
        ValueError: A parameter is given, and the table has it as well.
    """
    grids = [choice.grid for choice in choices if choice.reference == NAME] or [()]
    varied = {
        name: [settings[name] for settings in served if type(settings.get(name)) in (int, float)]
        for name in served[0]
    }
    of_servers = [
        name for name, values in varied.items() if len(set(values)) > 1 and len(values) == len(served)
    ]
    variants = []
    for grid in grids:
        twice = next((name for name, _ in grid if name in served[0]), None)
        if twice is not None:
            raise ValueError(
                f"--unmasking native must leave {twice} to the table of servers, got it in both; remove one"
            )
        own = [name for name, texts in grid if len(texts) > 1 and all(map(_is_number, texts))]
        for pairs in expand(grid):
            asked = tuple((name, _number(text)) for name, text in pairs)
            for settings in served:
                values = (*settings.items(), *asked)
                knobs = (*of_servers, *own)
                server = canonical_json(settings) if len(served) > 1 else ""
                method = Native(values=values)
                variants.append(MethodVariant(method=method, params=values, knobs=knobs, server=server))
    return variants


def _is_number(text: str) -> bool:
    value = _number(text)
    return isinstance(value, int | float) and not isinstance(value, bool)


def params_of(method: Any) -> dict[str, Any]:
    """Return all parameters of a method as plain data."""
    return dict(method.values) if isinstance(method, Native) else asdict(method)


def _number(text: str) -> int | float | bool | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
