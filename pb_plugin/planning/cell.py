"""A cell: task x model x method x setting, one test item; its id, its marks and its group."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pb_plugin.planning.option_grammar import ModelChoice

if TYPE_CHECKING:
    from decoders.state import UnmaskingMethod
    from task_specs.spec import TaskSpec

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_.\-]+")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One item of the plan; equal cells ask for the same records.

    Args:
        model: The model as it was named.
        task: Id of the task's spec.
        unmasking: Name of the method.
        params: The method's parameters that were given or swept, in the order of its signature.
        k: Tokens per step, None for a method without k.
        block_length: None means the canvas.
        temperature: 0 is greedy.
        cache: ``none``, ``prefix``, ``dual`` or ``block``.
        samples: How many samples are asked for, None for all.
        seed: The run's seed.
        data: The checkout of released data, or None for the project's own.
        spec: The task's spec.
        method: The method object.
        position: Place in the plan; items are sorted by it.
    """

    model: ModelChoice
    task: str
    unmasking: str
    params: tuple[tuple[str, Any], ...]
    k: int | None
    block_length: int | None
    temperature: float
    cache: str = "none"
    samples: int | None
    seed: int
    data: Path | None
    spec: TaskSpec = field(compare=False, repr=False)
    method: UnmaskingMethod = field(compare=False, repr=False)
    position: int = field(compare=False, repr=False)

    @cached_property
    def id(self) -> str:
        """The item's id: ``shuffle-llada-confidence-k8``, ``shuffle-llada-threshold-0.9``.

        Several parameters, one that is no number, and those of `native` carry their names
        (``wino-tau1_0.7-tau2_0.9``); the block appears when it is not the canvas (``-b16``), the temperature
        when it is not 0 (``-t1``), the cache when there is one.
        """
        parts = [self.task, self.model.name, self.unmasking]
        one_number = len(self.params) == 1 and type(self.params[0][1]) in (int, float)
        if one_number and self.unmasking != "native":
            parts.append(value_text(self.params[0][1]))
        else:
            parts += [f"{name}_{value_text(value)}" for name, value in self.params]
        if self.k is not None:
            parts.append(f"k{self.k}")
        if self.block_length is not None:
            parts.append(f"b{self.block_length}")
        if self.temperature:
            parts.append(f"t{value_text(self.temperature).removesuffix('.0')}")
        if self.cache != "none":
            parts.append(self.cache)
        return _NOT_IN_IDS.sub("_", "-".join(parts))

    @property
    def group(self) -> tuple[str, ...]:
        """What is decoded in one sweep: model and task.

        A method of another package, and one that needs what a model may not offer, is a group of its own
        there: what goes wrong with it costs no other item.
        """
        is_ours = type(self.method).__module__.partition(".")[0] == "decoders"
        alone = not is_ours or bool(self.method.needs)
        return (self.model.name, self.task, *((self.unmasking,) if alone else ()))

    @property
    def category(self) -> str:
        """The category of the task."""
        return self.spec.category

    @property
    def mark(self) -> Mapping[str, str | int | None]:
        """Arguments of the mark ``pb`` for exact selection: ``-m "pb(task='shuffle', k=8)"``.

        Method parameters and the temperature are texts as in the id (``gamma='0.9'``): ``-m`` compares no
        fractions. A method parameter called like one of the other arguments is left out.
        """
        return {
            **{name: value_text(value) for name, value in self.params},
            "task": self.task,
            "category": self.category,
            "model": self.model.name,
            "unmasking": self.unmasking,
            "k": self.k,
            "block_length": self.block_length,
            "temperature": value_text(self.temperature).removesuffix(".0"),
            "cache": self.cache,
        }

    @property
    def description(self) -> str:
        """The cell with everything an id may hide, for messages."""
        written = ", ".join(f"{name}={value!r}" for name, value in self.params)
        return (
            f"task {self.task} of {self.spec.base_id}, model {self.model.text}, {self.unmasking}({written}) "
            f"of {type(self.method).__module__}, k={self.k}, block_length={self.block_length}, "
            f"temperature={self.temperature}, cache={self.cache}"
        )


def value_text(value: Any) -> str:
    """Return a value as ids show it: truth values and none in lower case, numbers in their shortest form."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
