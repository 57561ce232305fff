"""``pb reference``: GSM8K and HumanEval from the published files that a user has, as tasks of the user's."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pb_plugin.cli.verb import Outcome, Verb, check_parent, shown
from pb_plugin.planning.option_grammar import parse_int
from task_specs.reference.published import NAMES, gsm8k, humaneval


def write_task(name: str, file: Path, into: Path, shots: Path | None, canvas: int) -> dict[str, Any]:
    """Write the task file and its samples and return where they are.

    Raises:
        ValueError: A file is malformed, HumanEval got worked examples, or a file is there already.
        OSError: The folder cannot be written.
    """
    if name not in NAMES:
        raise ValueError(f"NAME must be one of {', '.join(NAMES)}, got {name!r}; choose one")
    if name == "humaneval" and shots is not None:
        raise ValueError("--shots must come with gsm8k, got it with humaneval; leave it out")
    task = gsm8k(file, shots, canvas) if name == "gsm8k" else humaneval(file, canvas)
    check_parent(into, "--into")
    into.mkdir(exist_ok=True)
    written = {into / f"{name}.yaml": task.spec_text, into / f"{name}.jsonl": task.data_text}
    for path in written:
        if path.exists():
            raise ValueError(
                f"--into must be a folder without {path.name}, got {str(into)!r}; remove the old one first"
            )
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    spec = into / f"{name}.yaml"
    return {"task": str(spec), "samples": len(task.samples), "shots": task.spec["shots"], "canvas": canvas}


def _lines(data: Mapping[str, Any]) -> list[str]:
    return [
        f"written: {data['task']} with {data['samples']} samples, {data['shots']} worked examples each, "
        f"canvas {data['canvas']}",
        f"run it: pytest bench_tests --task {data['task']}",
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="gsm8k or humaneval")
    parser.add_argument("file", metavar="FILE", type=Path, help="the published JSONL file")
    parser.add_argument("--into", metavar="DIR", type=Path, required=True, help="where the task is written")
    parser.add_argument(
        "--shots", metavar="FILE", type=Path, help="gsm8k: worked examples in the same format, all are shown"
    )
    parser.add_argument("--canvas", metavar="N", default="256", help="generated positions. Default: 256")


def _run(arguments: argparse.Namespace) -> Outcome:
    canvas = parse_int(arguments.canvas, name="--canvas", minimum=1)
    found = write_task(arguments.name, arguments.file, arguments.into, arguments.shots, canvas)
    return shown(arguments, found, _lines), 0


VERB = Verb(
    what="make a task of GSM8K or HumanEval from the published file",
    example="reference gsm8k test.jsonl --into mine --shots four.jsonl",
    arguments=_arguments,
    run=_run,
)
