"""An exported file (``--pb-data FILE.jsonl``): any task of ours with prompts and labels from elsewhere.

Such data are a source of their own beside ours and the released files, and results never mix. The scorers are
those of the released files: the label in the file decides where one answer is right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from task_specs.catalogue import BENCHMARK_IDS
from task_specs.document import problem
from task_specs.exported.lines import Line, check_plain_keys, exported_sample
from task_specs.exported.mapping import ExportMapping, mapping_file, read_mapping
from task_specs.sample import Sample
from task_specs.spec import TaskSpec

EXPORTED_VERSION = 1
"""Version of every exported spec: raised when this reader changes a prompt or a sample."""

SUFFIX = ".jsonl"
"""What tells an exported file from the folder of released ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """A line of the file with its place."""

    number: int
    where: str
    content: Line


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """An exported file, read: its lines by the task they are, as ``--task`` takes it."""

    mapping: ExportMapping
    lines_of: Mapping[str, tuple[Numbered, ...]]


def variant_text(task: str) -> str:
    """Return the id of the task or variant written ``shuffle:n=15,canvas=64``: ``shuffle_n15_canvas64``.

    The parts of a task with several parameters are in the order of the id.
    """
    name, _, parameters = task.partition(":")
    parts = [part.partition("=") for part in parameters.replace(";", ",").split(",") if part]
    return "_".join([name, *(key.strip() + value.strip() for key, _, value in parts)])


def read_export(file: Path) -> Export:
    """Return the content of the exported *file*.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It, or the mapping beside it, is malformed.
    """
    if not file.is_file():
        raise FileNotFoundError(f"--pb-data must be a file that exists, got {str(file)!r}; check the path")
    beside = mapping_file(file)
    stamps = tuple(
        (found.stat().st_mtime_ns, found.stat().st_size) for found in (file, beside) if found.is_file()
    )
    return _read_export(file, stamps)


@lru_cache(maxsize=4)
def _read_export(file: Path, stamps: tuple[tuple[int, int], ...]) -> Export:
    """Read the file once for all tasks of a run; *stamps* change where it does."""
    mapping = read_mapping(file)
    lines_of: dict[str, list[Numbered]] = {}
    for numbered in _lines(file):
        check_plain_keys(numbered.where, numbered.content, mapping)
        name = mapping.value(numbered.content, "task") if mapping.task is None else mapping.task
        if not isinstance(name, str) or not name.strip():
            cure = "add it to the line, or write 'task: NAME' in the mapping beside the file"
            raise problem(numbered.where, "task", "the name of a task", name, cure)
        lines_of.setdefault(variant_text(mapping.tasks.get(name, name)), []).append(numbered)
    return Export(mapping=mapping, lines_of={task: tuple(lines) for task, lines in lines_of.items()})


def _lines(file: Path) -> Iterable[Numbered]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: the file must be UTF-8 text, got byte {error.start}; save it as UTF-8"
        ) from error
    found = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not found:
        raise ValueError(f"{file}: the file must hold one JSON object a line, got none; export it again")
    for number, line in found:
        where = f"{file}, line {number}"
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise problem(where, "the line", "JSON", line[:60], f"{error}; export it again") from error
        if not isinstance(content, Mapping):
            raise problem(where, "the line", "a JSON object", content, "export it again")
        yield Numbered(number=number, where=where, content=content)


def lines_of(spec: TaskSpec, file: Path) -> tuple[ExportMapping, tuple[Numbered, ...]]:
    """Return the mapping of *file* and its lines of *spec*'s task.

    Raises:
        FileNotFoundError: There is no such file.
        LookupError: It holds no line of the task, or the task is none of the 17.
        ValueError: It is malformed.
    """
    export = read_export(file)
    if spec.base_id not in (task for tasks in BENCHMARK_IDS.values() for task in tasks):
        raise LookupError(
            f"task must be one of the 17 of the benchmark for exported data, got {spec.id!r}; "
            "describe any other task by a YAML file of its own (--task FILE.yaml)"
        )
    if spec.id not in export.lines_of:
        held = ", ".join(export.lines_of)
        raise LookupError(
            f"task must be one that {str(file)!r} holds, got {spec.id!r}; it holds {held} "
            f"(choose with --task; names that are not ours are mapped in {mapping_file(file).name}, tasks:)"
        )
    return export.mapping, export.lines_of[spec.id]


def exported_checksum(spec: TaskSpec, file: Path) -> str:
    """Return the sha256 of the task's lines and of how they are read.

    Raises:
        As `lines_of` does.
    """
    mapping, lines = lines_of(spec, file)
    read = {"keys": dict(mapping.keys), "text_rule": mapping.text_rule}
    found = [read, *({"number": line.number, "line": line.content} for line in lines)]
    return sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def exported_spec(spec: TaskSpec, file: Path) -> TaskSpec:
    """Return *spec* with the samples of the file, the scorer of released data and the file's text rule.

    Raises:
        As `lines_of` does.
    """
    mapping, lines = lines_of(spec, file)
    return replace(
        spec,
        version=EXPORTED_VERSION,
        prompt="",
        prompt_compact=None,
        shots=0,
        scorer=f"released_{spec.scorer.removeprefix('released_')}",
        text_rule=mapping.text_rule,
        floor=None,
        n_samples=len(lines),
        answers="stored",
        generator=None,
        seed=None,
        parameters={},
        answer_marker=None,
        data=file.name,
        checksum=exported_checksum(spec, file),
        path=str(file),
        folder=file.parent,
    )


def load_exported(spec: TaskSpec, file: Path) -> tuple[Sample, ...]:
    """Return the samples of *spec*'s task in file order.

    Raises:
        As `lines_of` does, and ValueError for a line that breaks a rule or an id that is there twice.
    """
    mapping, lines = lines_of(spec, file)
    samples: dict[str, Sample] = {}
    for line in lines:
        sample = exported_sample(spec.base_id, line.number, line.where, line.content, mapping)
        if sample.id in samples:
            raise problem(line.where, "id", "there once for a task", sample.id, "rename one of the two")
        samples[sample.id] = sample
    return tuple(samples.values())
