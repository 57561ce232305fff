"""Which of several right answers a model chose: the distribution metrics of the random tasks of a run.

Records hold texts, and a choice is read off a text and its question. So the questions are read again by what
the run file says was asked; a record of another question than today's has no choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pb_plugin.asking.samples import TaskData
from pb_plugin.planning.plan import specs_of
from pb_plugin.records.record import Record
from task_specs.scoring.distribution import ChoiceDistribution, choice_distribution
from task_specs.scoring.lists import RANDOM_OPERATIONS


@dataclass(frozen=True, kw_only=True)
class RandomTasks:
    """The random tasks among those that a run asked for; each is read at its first use.

    Args:
        asked: The tasks as ``--task`` takes them.
        data: The checkout of released data, or None.
        samples: How many samples of each task, or None for all.
    """

    asked: tuple[str, ...]
    data: str | None
    samples: int | None

    def choices(self, task: str, decoded: Sequence[Record]) -> ChoiceDistribution | None:
        """Return how the right answers among *decoded* spread over the choices; None for any other task.

        Args:
            task: Task id.
            decoded: Records of it under one setting, without failed ones.
        """
        data = self._tasks.get(task)
        if data is None:
            return None
        try:
            styles = {record.parts["prompt_style"] for record in decoded}
            asked = {(s, question.sample.id): question for s in styles for question in data.asked(s)}
            checksum = data.checksum
        except (ValueError, LookupError, OSError) as error:
            return _unknown(f"the samples of {task} cannot be read: {error}")
        outputs = []
        for record in decoded:
            question = asked.get((record.parts["prompt_style"], record.parts["sample_id"]))
            parts = (record.parts["input_hash"], record.parts["data_checksum"])
            if question is None or parts != (question.input_hash, checksum):
                return _unknown(f"the samples of {task} are others today; run the suite again")
            outputs.append((question.sample, data.answer(record.text)))
        return choice_distribution(outputs) if outputs else _unknown("no sample was decoded")

    @cached_property
    def _tasks(self) -> dict[str, TaskData]:
        found = {}
        for text in self.asked:
            try:
                specs = specs_of((text,))
            except (ValueError, LookupError):
                continue  # a file or package of the user that is not here any more
            for spec in specs:
                if spec.parameters.get("operation") in RANDOM_OPERATIONS:
                    directory = None if self.data is None else Path(self.data)
                    found[spec.id] = TaskData(planned=spec, data=directory, n_samples=self.samples)
        return found


def _unknown(reason: str) -> ChoiceDistribution:
    return ChoiceDistribution(
        p_value=None, entropy_ratio=None, entropy_ratio_unbiased=None, n_right=0, n_used=0, reason=reason
    )
