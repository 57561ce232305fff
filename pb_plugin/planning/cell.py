"""A cell: task x model x method x setting, one test item; its id, its marks and its group."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pb_plugin.planning.methods import MethodVariant
from pb_plugin.planning.native import NAME as NATIVE
from pb_plugin.planning.option_grammar import ModelChoice
from pb_plugin.records.asked import Asked, tags, value_text

if TYPE_CHECKING:
    from decoders.state import UnmaskingMethod
    from task_specs.spec import TaskSpec

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_.\-]+")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One item of the plan; equal cells ask for the same records.

    Args:
        asked: What is asked for, as plain data.
        model: The model as it was named.
        variant: The method object with the parameters that were given or swept.
        samples: How many samples are asked for, None for all.
        data: The checkout of released data or the exported file, or None for the project's own.
        spec: The task's spec.
        position: Place in the plan; items are sorted by it.
        is_replicate: Whether other cells differ in the seed alone, so that its id has it.
    """

    asked: Asked
    model: ModelChoice
    variant: MethodVariant = field(compare=False, repr=False)
    samples: int | None
    data: Path | None
    spec: TaskSpec = field(compare=False, repr=False)
    position: int = field(compare=False, repr=False)
    is_replicate: bool = field(default=False, compare=False, repr=False)

    @property
    def task(self) -> str:
        """Id of the task."""
        return self.asked.task

    @property
    def method(self) -> UnmaskingMethod:
        """The method object."""
        return self.variant.method

    @cached_property
    def id(self) -> str:
        """The item's id: ``shuffle-llada-confidence-k8``, ``shuffle-llada-threshold-0.9``.

        Several parameters, one that is no number, and those of `native` carry their names
        (``wino-tau1_0.7-tau2_0.9``); the block appears when it is not the canvas (``-b16``), and what else is
        not the default (``-t1``), and the seed where there are several (``-seed1``).
        """
        asked, params = self.asked, self.variant.params
        parts = [asked.task, asked.model, asked.method]
        one_number = len(params) == 1 and type(params[0][1]) in (int, float)
        if one_number and asked.method != NATIVE:
            parts.append(value_text(params[0][1]))
        else:
            parts += [f"{name}_{value_text(value)}" for name, value in params]
        if asked.k is not None:
            parts.append(f"k{asked.k}")
        if asked.block_length is not None:
            parts.append(f"b{asked.block_length}")
        parts += tags(asked.tagged)
        parts += [f"seed{asked.seed}"] if self.is_replicate else []
        return _NOT_IN_IDS.sub("_", "-".join(parts))

    @property
    def words(self) -> str:
        """The cell for a sentence: ``shuffle llada confidence k=8``."""
        asked = self.asked
        parts = [asked.task, asked.model, asked.method]
        parts += [f"{name}={value_text(value)}" for name, value in self.variant.params]
        own = {"k": asked.k, "block_length": asked.block_length}
        parts += [f"{name}={value}" for name, value in own.items() if value is not None]
        return " ".join([*parts, *tags(asked.tagged)])

    @property
    def group(self) -> tuple[str, ...]:
        """What is decoded in one sweep: model and task.

        A method of another package, and one that needs what a model may not offer, is a group of its own
        there: what goes wrong with it costs no other item. So is each server of a table, as one may have to
        be started before it and stopped behind it.
        """
        is_ours = type(self.method).__module__.partition(".")[0] == "decoders"
        alone = not is_ours or bool(self.method.needs)
        server = self.variant.server
        apart = (*((self.asked.method,) if alone else ()), *((server,) if server else ()))
        return (self.asked.model, self.task, *apart)

    @property
    def category(self) -> str:
        """The category of the task."""
        return self.spec.category

    @property
    def mark(self) -> Mapping[str, str | int | None]:
        """Arguments of the mark ``pb`` for exact selection: ``-m "pb(task='shuffle', k=8)"``.

        Method parameters and fractions are texts as in the id (``gamma='0.9'``): ``-m`` compares no
        fractions. A method parameter called like one of the other arguments is left out.
        """
        asked = self.asked
        return {
            **{name: value_text(value) for name, value in self.variant.params},
            "task": asked.task,
            "category": self.category,
            "model": asked.model,
            "unmasking": asked.method,
            "k": asked.k,
            "block_length": asked.block_length,
            "seed": asked.seed,
            **{name: value_text(value).removesuffix(".0") for name, value in asked.tagged.items()},
        }

    @property
    def description(self) -> str:
        """The cell with everything an id may hide, for messages."""
        asked = self.asked
        written = ", ".join(f"{name}={value!r}" for name, value in self.variant.params)
        rest = ", ".join(f"{name}={value}" for name, value in {**asked.tagged, "seed": asked.seed}.items())
        return (
            f"task {asked.task} of {self.spec.base_id}, model {self.model.text}, {asked.method}({written}) "
            f"of {type(self.method).__module__}, k={asked.k}, block_length={asked.block_length}, {rest}"
        )
