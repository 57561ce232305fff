"""Whether the planned tasks can be asked, told before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pb_plugin.asking.samples import TaskData
from task_specs.sources.source import is_export
from task_specs.spec import TaskSpec

MOST_NAMED = 5
"""Tasks that a message names before it counts the rest."""


def check_data(specs: Iterable[TaskSpec], place: Path | None) -> None:
    """Look for the data of every task, and read the tasks up to the first that can be asked.

    A task that the named data do not hold is refused here, as each of its items would say the same. A fault
    inside a task's data is told by its items, unless it is so with every task.

    Args:
        specs: The tasks of the plan.
        place: What ``--pb-data`` names: a checkout of released data, an exported file, or None.

    Raises:
        ValueError: There is no such place, it lacks a task, or no task can be asked; says what is wrong with
            the first.
    """
    tasks = [TaskData(planned=spec, data=place, n_samples=None) for spec in specs]
    if place is not None:
        _check_place(place)
        _check_held(tasks)
    problems: list[Exception] = []
    for data in tasks:
        try:
            if data.source == "own" or data.samples:
                return
        except (ValueError, LookupError, OSError) as error:
            problems.append(error)
    if problems:
        raise ValueError(str(problems[0])) from problems[0]


def _check_place(place: Path) -> None:
    is_there = place.is_file() if is_export(place) else place.is_dir()
    if not is_there:
        raise ValueError(
            "--pb-data must be a folder of released files, or a file exported as .jsonl, "
            f"got {str(place)!r}; name a checkout of the released files or such a file"
        )


def _check_held(tasks: Iterable[TaskData]) -> None:
    lacking: list[tuple[str, Exception]] = []
    for data in tasks:
        try:
            _ = data.spec
        except (LookupError, FileNotFoundError) as error:
            lacking.append((data.planned.id, error))
        except (ValueError, OSError):
            continue  # told by the task's items
    if lacking:
        first = lacking[0][1]
        others = [task for task, _ in lacking[1:]]
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        rest = f" (so it is with {', '.join(others[:MOST_NAMED])}{more})" if others else ""
        raise ValueError(f"{first.args[0]}{rest}") from first
