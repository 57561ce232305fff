"""The tasks for people to read: a table of all of them, the facts of one, a sample as a model is asked it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pb_plugin.asking.samples import Question, TaskData
from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.planning import registry
from pb_plugin.planning.option_grammar import parse_int, parse_task
from pb_plugin.report.terminal import table
from task_specs.catalogue import BENCHMARK_IDS, VARIANT_PARAMS, list_op_ids, task_ids
from task_specs.sample import AnswerSet, Enumerated
from task_specs.sources.source import is_export

NO_SPEC = "no spec in this version"
"""Status of a task of the suite that cannot run yet."""

TEXT_RULES: Mapping[str, str] = MappingProxyType(
    {
        "first_eos": "what is scored ends at the first end of text",
        "whole_canvas": "the whole canvas is scored, without special tokens",
    }
)
"""What the text rules of a task mean."""

ONE: Mapping[str, str] = MappingProxyType(
    {"valid": "the only valid one", "in the data": "the only one in the data"}
)
"""What is said of a single answer: only where our rules derive the answers is no other one right."""

LARGEST_COUNT = 10**7
"""Counts from here on are shown as powers of ten; JSON holds them in full."""


def answer_count(answers: AnswerSet | None) -> int | None:
    """Return how many answers are valid; None where the data hold no reference."""
    if answers is None:
        return None
    if isinstance(answers, Enumerated):
        return len(answers.texts)
    return math.factorial(len(answers.items)) - answers.exclude_input


def range_of(counts: Iterable[int | None]) -> dict[str, int] | None:
    """Return the smallest and largest of the numbers in *counts*; None where there is none."""
    known = [count for count in counts if count is not None]
    return {"min": min(known), "max": max(known)} if known else None


def count_text(counts: Mapping[str, int] | None) -> str:
    """Return ``5``, ``5 to 719``, or ``-`` where nothing is known."""
    if counts is None:
        return "-"
    ends = dict.fromkeys((counts["min"], counts["max"]))
    return " to ".join(f"{end:.1e}" if end >= LARGEST_COUNT else str(end) for end in ends)


def all_tasks(origin: Path | None) -> dict[str, Any]:
    """Return a row for every task of the suite, every list operation and every task of other packages.

    Args:
        origin: A checkout of released data, an exported file, or None for the tasks' own samples.

    Raises:
        LookupError: A task of another package cannot be imported.
        ValueError: A data file is malformed.
        OSError: The checkout lacks a file.
    """
    points = registry.known(registry.TASKS)
    category_of = {task: category for category, tasks in BENCHMARK_IDS.items() for task in tasks}
    present = {*task_ids(), *list_op_ids()}
    rows: list[dict[str, Any]] = []
    for task in (*category_of, *list_op_ids(), *points):
        if task in category_of and task not in present:
            rows.append({"task": task, "category": category_of[task], "status": NO_SPEC})
            continue
        for spec in registry.specs_of(parse_task(task), points):
            rows.append(_row(TaskData(planned=spec, data=origin, n_samples=None)))
    return {"data": "own" if origin is None else _published(origin), "tasks": rows}


def all_tasks_lines(data: Mapping[str, Any]) -> list[str]:
    """Return the table of `all_tasks` with a line below it that explains the columns."""
    cells = []
    for row in data["tasks"]:
        if row["status"] is not None:
            cells.append([row["task"], row["category"], "", "", "", "", row["status"]])
            continue
        numbers = [str(row[name]) for name in ("samples", "canvas", "shots")]
        cells.append([row["task"], row["category"], *numbers, row["score"], count_text(row["answers"])])
    return [
        *table(["task", "category", "samples", "canvas", "shots", "score", "answers"], cells),
        "",
        "canvas: positions a model generates; shots: worked examples in the prompt; answers: valid answers",
        "of a sample, fewest to most.",
        "The list operations (list_ops) run only when they are named and enter no average.",
        "Look at one task: pb browse shuffle; at one sample: pb browse shuffle --index 7",
    ]


def one_task(text: str, index: int | None, origin: Path | None) -> dict[str, Any]:
    """Return the facts of the task *text* and its sample number *index*, the first one where it is None.

    Args:
        text: A task as ``--task`` takes it.
        index: Place of the sample in the data, from 0.
        origin: A checkout of released data, an exported file, or None for the task's own samples.

    Raises:
        LookupError: The task, or a parameter of it, is not known.
        ValueError: *text* names several tasks, *index* is beyond the last sample, or a file is malformed.
        OSError: The checkout lacks a file.
    """
    specs = registry.specs_of(parse_task(text), registry.known(registry.TASKS))
    if len(specs) != 1:
        names = ", ".join(spec.id for spec in specs)
        raise ValueError(
            f"task must be one task, got {text!r}, which is {names}; give each parameter one value"
        )
    task = TaskData(planned=specs[0], data=origin, n_samples=None)
    questions = task.questions
    place = index or 0
    if not 0 <= place < len(questions):
        raise ValueError(
            f"--index must be from 0 to {len(questions) - 1}, the samples of {task.spec.id}, got {index!r}; "
            "leave it out for the first"
        )
    has_compact = origin is None and task.spec.prompt_compact is not None
    compact = task.compact_questions[place].messages[0]["content"] if has_compact else None
    return {"task": _facts(task), "sample": _sample(questions[place], place, compact)}


def task_lines(data: Mapping[str, Any]) -> list[str]:
    """Return the facts of one task for people, then its sample."""
    facts = data["task"]
    filled = f", of which {facts['positions']} are to be filled in" if facts["infilling"] else ""
    lengths = " of length " + ", ".join(map(str, facts["lengths"]))
    rows = {
        "category": facts["category"],
        "version": facts["version"],
        "samples": f"{facts['samples']}{lengths} ({facts['data']} data, sha256 {facts['checksum'][:12]})",
        "canvas": f"{facts['canvas']} positions{filled}",
        "shots": facts["shots"],
        "score": f"{facts['score']} of scorer {facts['scorer']}",
        "text": TEXT_RULES[facts["text_rule"]],
        "answers": f"{count_text(facts['answers'])} a sample",
        "floor": facts["floor"],
        "notes": facts["notes"],
    }
    lines = [facts["task"], *(f"  {name:10}{text}" for name, text in rows.items() if text not in (None, ""))]
    for name, rule in facts["parameters"].items():
        lines.append(f"  {'parameter':10}{name}: {rule}")
    return [*lines, "", *sample_lines(data)]


def sample_lines(data: Mapping[str, Any]) -> list[str]:
    """Return one sample for people: the chat, the template, the answers."""
    facts, sample = data["task"], data["sample"]
    header = f"sample {sample['index']} of {facts['task']} (0 to {facts['samples'] - 1})"
    lines = [f"{header}: {sample['id']}, length {sample['length']}"]
    for message in sample["messages"]:
        lines += [f"[{message['role']}]", *_indented(message["content"])]
    if sample["compact"] is not None:
        lines += ["[compact prompt, for a model such as tiny]", *_indented(sample["compact"])]
    if sample["template"] is not None:
        lines += ["[template]", *_indented(sample["template"])]
    n_answers = sample["n_answers"]
    if n_answers is None:
        lines.append("[answers] no reference in the data")
    else:
        count = count_text(range_of([n_answers]))
        what = "valid" if facts["answers_from"] == "derived" else "in the data"
        lines.append(f"[answers] {count} {what}, for example" if n_answers > 1 else f"[answer] {ONE[what]}")
    return [*lines, *_indented(sample["example"] or "")]


def _published(origin: Path) -> str:
    return "exported" if is_export(origin) else "released"


def _row(task: TaskData) -> dict[str, Any]:
    try:
        spec = task.spec
    except LookupError:
        return {"task": task.planned.id, "category": task.planned.category, "status": f"not {task.source}"}
    return {
        "task": spec.id,
        "category": spec.category,
        "status": None,
        "samples": len(task.questions),
        "canvas": spec.canvas,
        "shots": spec.shots,
        "score": spec.score,
        "answers": _answers(task.questions),
    }


def _facts(task: TaskData) -> dict[str, Any]:
    spec = task.spec
    varies = VARIANT_PARAMS.get(spec.base_id, {}) if task.data is None else {}
    return {
        **_row(task),
        "version": spec.version,
        "lengths": sorted({question.sample.length for question in task.questions}),
        "data": task.source,
        "checksum": task.checksum,
        "answers_from": spec.answers,
        "positions": spec.positions,
        "infilling": spec.infilling,
        "scorer": spec.scorer,
        "text_rule": spec.text_rule,
        "floor": spec.floor,
        "notes": spec.notes,
        "is_variant": spec.is_variant,
        "parameters": {name: f"{entry.meaning}, {entry.rule}" for name, entry in varies.items()},
    }


def _answers(questions: Sequence[Question]) -> dict[str, int] | None:
    return range_of(answer_count(question.sample.answers) for question in questions)


def _sample(question: Question, index: int, compact: str | None) -> dict[str, Any]:
    sample = question.sample
    return {
        "index": index,
        "id": sample.id,
        "length": sample.length,
        "messages": [dict(message) for message in question.messages],
        "compact": compact,
        "template": sample.template,
        "n_answers": answer_count(sample.answers),
        "example": sample.example,
    }


def _indented(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in text.splitlines()]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task", nargs="?", metavar="TASK", help="a task as pytest --task takes it; none: a table of all"
    )
    parser.add_argument("--index", metavar="I", help="show only sample number I, from 0")
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=Path,
        help="a checkout of the released files or an exported .jsonl, instead of own data",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    if arguments.task is None:
        if arguments.index is not None:
            raise ValueError(
                f"--index must come with a task, got {arguments.index!r} alone; for example: "
                f"pb browse shuffle --index {arguments.index}"
            )
        return shown(arguments, all_tasks(arguments.data), all_tasks_lines), 0
    index = None if arguments.index is None else parse_int(arguments.index, name="--index", minimum=0)
    data = one_task(arguments.task, index, arguments.data)
    return shown(arguments, data, task_lines if index is None else sample_lines), 0


VERB = Verb(
    what="show the tasks, or one of them as a model is asked it",
    example="browse shuffle:n=15",
    arguments=_arguments,
    run=_run,
)
