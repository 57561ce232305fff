"""Whether any of the planned tasks can be asked, told before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pb_plugin.asking.samples import TaskData
from task_specs.spec import TaskSpec


def check_data(specs: Iterable[TaskSpec], directory: Path | None) -> None:
    """Read the tasks up to the first that can be asked; where none can, no item could say more.

    Args:
        specs: The tasks of the plan.
        directory: A checkout of released data, or None.

    Raises:
        ValueError: No task can be asked; says what is wrong with the first.
    """
    problems: list[Exception] = []
    for spec in specs:
        data = TaskData(planned=spec, directory=directory, n_samples=None)
        try:
            if data.source == "own" or data.samples:
                return
        except (ValueError, LookupError, OSError) as error:
            problems.append(error)
    if problems:
        raise ValueError(str(problems[0])) from problems[0]
