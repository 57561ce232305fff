"""Samples to learn from: drawn as those of a task are, and never one that models are measured on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from task_specs.document import shown
from task_specs.generate import GENERATORS, MAX_DRAWS
from task_specs.generate.draw import source
from task_specs.generate.request import Request
from task_specs.load import load_samples
from task_specs.sample import Sample, Shot
from task_specs.spec import TaskSpec


class Lessons:
    """Samples of some tasks, by number: the tasks take turns, and so do the lengths of a task.

    A sample depends on seed, split and number alone. None holds the question of a sample that a model is
    measured on, of any of the tasks; for lists, none holds the same items, in whatever order.

    Args:
        specs: The tasks.
        seed: Of the draws.

    Raises:
        ValueError: There is no task, or one whose samples are not generated.
    """

    def __init__(self, specs: Iterable[TaskSpec], seed: int) -> None:
        self.specs, self.seed = tuple(specs), seed
        if not self.specs:
            raise ValueError("tasks must be at least one, got none; name one")
        for spec in self.specs:
            if spec.generator is None:
                raise ValueError(
                    f"tasks must have a generator to be learned, got {spec.id}, whose samples were written "
                    "by hand; leave it out"
                )
        self._measured = {
            _question(sample.fields, sample.facts) for spec in self.specs for sample in load_samples(spec)
        }

    def sample(self, split: str, number: int) -> tuple[TaskSpec, Sample]:
        """Return the sample *number* of *split*, and its task; its answer is ``example``.

        Raises:
            ValueError: All that was drawn is asked for in measuring.
        """
        turn, place = divmod(number, len(self.specs))
        spec = self.specs[place]
        lengths = sorted(spec.parameters.get("lengths", [spec.parameters.get("n", 4)]))
        length = lengths[turn % len(lengths)]
        for attempt in range(MAX_DRAWS):
            rng = source("lesson", self.seed, spec.id, split, number, attempt)
            request = Request(
                rng=rng, id=f"{split}-{number}", length=length, shots=spec.shots, parameters=spec.parameters
            )
            record = GENERATORS[str(spec.generator)](request)
            if record is not None and _question(record["fields"], record["facts"]) not in self._measured:
                return spec, _sample(record)
        raise ValueError(
            f"task {shown(spec.id)} must have questions that no model is measured on, got none in "
            f"{MAX_DRAWS} draws; choose a larger variant of it"
        )


def _question(fields: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    items = facts.get("items")
    return repr(sorted(fields.items()) if items is None else sorted(items))


def _sample(record: Mapping[str, Any]) -> Sample:
    return Sample(
        id=record["id"],
        fields=record["fields"],
        facts=record["facts"],
        shots=tuple(Shot(fields=shot["fields"], answer=shot["answer"]) for shot in record["shots"]),
        example=record["example"],
        answers=None,
        template=record.get("template"),
        length=record["length"],
    )
