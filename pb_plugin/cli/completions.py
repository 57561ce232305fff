"""``pb completions``: the code that a stored run decoded, for an evaluator of the user's; nothing is run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pb_plugin.analyses.failures import task_data
from pb_plugin.cli.verb import Outcome, Verb, check_file, shown, stored_run
from pb_plugin.report.stored import StoredReport, read_report
from task_specs.scoring.reference.humaneval import completion_of
from task_specs.scoring.reference.passed_tool import PassedTool


def completions(report: StoredReport, task: str) -> list[dict[str, str]]:
    """Return every distinct completion of *task* in the run, over all its settings, by task id.

    Raises:
        ValueError: The run has no such task, it is none whose completions are evaluated, its samples are
            others today, or nothing was decoded.
    """
    data = task_data(report.run.chosen, task)
    if PassedTool.name not in data.spec.needs:
        raise ValueError(
            f"--task must be a task that needs {PassedTool.name}, such as humaneval, got {task!r}; "
            "make one with pb reference"
        )
    sample_of = {sample.id: sample for sample in data.samples}
    found: dict[tuple[str, str], None] = {}
    for record in _records(report, task):
        sample = sample_of.get(record.parts["sample_id"])
        if sample is None or record.parts["data_checksum"] != data.checksum:
            raise ValueError(
                f"the samples of {task} must be those of the run, got others today; run the suite again"
            )
        text = data.judged(record.text)
        if text.strip():
            found[sample.facts["task_id"], completion_of(text, sample.facts["entry_point"])] = None
    if not found:
        raise ValueError(
            f"the run must hold answers of task {task}, got none; run pytest bench_tests --task {task}"
        )
    return [{"task_id": task_id, "completion": completion} for task_id, completion in found]


def _records(report: StoredReport, task: str) -> Iterator[Any]:
    for cell in report.run.cells:
        for key in cell.keys if cell.asked.task == task else ():
            record = report.index.get(key, cell.score_key) or report.index.get(key)
            if record is not None and not record.failed:
                yield record


def _lines(data: Mapping[str, Any]) -> list[str]:
    return [
        f"written: {data['file']} with {data['completions']} completions of {data['tasks']} tasks",
        "run your own sandboxed evaluator on it, then: pb rescore STORE --passed RESULTS",
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    parser.add_argument("--task", metavar="TASK", default="humaneval", help="the task. Default: humaneval")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the JSONL file to write")


def _run(arguments: argparse.Namespace) -> Outcome:
    check_file(arguments.out, "--out")
    found = completions(read_report(arguments.store, arguments.name), arguments.task)
    arguments.out.write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")
    tasks = len({one["task_id"] for one in found})
    data = {"file": str(arguments.out), "completions": len(found), "tasks": tasks}
    return shown(arguments, data, _lines), 0


VERB = Verb(
    what="write the code that was decoded, for an evaluator of yours",
    example="completions .pb --task humaneval --out samples.jsonl",
    arguments=_arguments,
    run=_run,
)
