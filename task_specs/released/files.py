"""The published ParallelBench files (``--pb-data DIR``): prompts and samples come from there at run time.

**Source**: the layout of furiosa-ai/ParallelBench: ``DIR/<group>/<name>.jsonl`` beside
``DIR/<group>/task_config.yaml``, whose key ``<group>/<name>`` holds the prompt template; DIR may be the root
of a checkout too (`checkout`). Nothing of those files is part of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from task_specs.catalogue import BENCHMARK_IDS, LONG_LINE, RELEASED_WORDS
from task_specs.document import parse
from task_specs.released.checkout import LAYOUT, groups_folder
from task_specs.released.lines import file_text, released_lines, sample_of, shot_lines
from task_specs.released.text_lines import text_sample
from task_specs.sample import Sample
from task_specs.spec import TaskSpec
from task_specs.template import field_names

RELEASED_VERSION = 1
"""Version of every released spec: raised when this reader changes a prompt or a sample."""

RELEASED_FILES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **{task: ("waiting_line", task) for task in BENCHMARK_IDS["waiting_line"]},
        "paraphrasing": ("paraphrase_summarize", "chatgpt-paraphrases"),
        "summarization": ("paraphrase_summarize", "samsum"),
        "w2s_easy": ("words_to_sentence", "easy"),
        "w2s_medium": ("words_to_sentence", "medium"),
        "w2s_hard": ("words_to_sentence", "hard"),
        "latin_square": ("puzzle", "latin_square_n4"),
        "sudoku": ("puzzle", "sudoku_n4_12"),
    }
)
"""Task id to group and file name.

A waiting line of 15 people is in the group ``waiting_line_n15``, a sentence of 3 words in ``easy_n3``.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasedTask:
    """The files of one task and the prompt template they hold."""

    data: Path
    config: Path
    template: str


def released_task(spec: TaskSpec, directory: Path) -> ReleasedTask:
    """Return where the released files of *spec*'s task are, and their template.

    Raises:
        LookupError: The task, or this variant of it, was not released.
        FileNotFoundError: The folder or a file of it is missing.
        ValueError: The file of templates is malformed or has none for this task.
    """
    group, name = _files_of(spec)
    folder = groups_folder(directory)
    if not (folder / group).is_dir():
        raise FileNotFoundError(
            f"released data of {spec.id} must be in the folder {group!r} of {str(folder)!r}, "
            f"got no such folder; {LAYOUT}"
        )
    data, config = folder / group / f"{name}.jsonl", folder / group / "task_config.yaml"
    for path in (data, config):
        if not path.is_file():
            raise FileNotFoundError(
                f"released data of {spec.id} must hold the file {str(path)!r}, got none; {LAYOUT}"
            )
    document = parse(file_text(config), str(config))
    key = f"{group}/{name}"
    entry = document.values.get(key)
    template = entry.get("prompt") if isinstance(entry, Mapping) else None
    if not isinstance(template, str):
        cure = "restore the published file"
        raise document.problem(f"{key}.prompt", "the template of a prompt", template, cure)
    try:
        field_names(template)
    except ValueError as error:
        raise ValueError(f"{config}, line {document.lines[f'{key}.prompt']}: {error}") from error
    return ReleasedTask(data=data, config=config, template=template)


def released_checksum(spec: TaskSpec, directory: Path) -> str:
    """Return the sha256 of the task's data file followed by its template.

    Raises:
        LookupError: The task was not released.
        FileNotFoundError: A file is missing.
        ValueError: A file is malformed.
    """
    task = released_task(spec, directory)
    return sha256(task.data.read_bytes() + task.template.encode()).hexdigest()


def released_spec(spec: TaskSpec, directory: Path) -> TaskSpec:
    """Return *spec* with the released prompt, samples, scorer and text rule in place of our own.

    Args:
        spec: The spec of one of our tasks, or its variant of 15 people or of another number of words.
        directory: The folder given as ``--pb-data``.

    Raises:
        LookupError: The task, or this variant of it, was not released.
        FileNotFoundError: A file is missing.
        ValueError: A file is malformed.
    """
    task = released_task(spec, directory)
    lines = list(released_lines(task.data))
    return replace(
        spec,
        version=RELEASED_VERSION,
        prompt=task.template,
        shots=max(len(shot_lines(where, line)) for where, line in lines),
        scorer=f"released_{spec.scorer.removeprefix('released_')}",
        text_rule="whole_canvas",
        floor=None,
        n_samples=len(lines),
        answers="stored",
        generator=None,
        seed=None,
        parameters={},
        data=task.data.name,
        checksum=released_checksum(spec, directory),
        path=str(task.config),
        folder=task.data.parent,
    )


def released_messages(spec: TaskSpec, sample: Sample) -> list[dict[str, str]]:
    """Return the chat of a released sample: a user and an assistant turn for every shot, then the question.

    The template is filled by ``str.format``; then every backslash followed by an n becomes a newline.
    """
    chat = []
    for shot in sample.shots:
        chat.append({"role": "user", "content": _filled(spec.prompt, shot.fields)})
        chat.append({"role": "assistant", "content": shot.answer})
    return [*chat, {"role": "user", "content": _filled(spec.prompt, sample.fields)}]


def load_released(spec: TaskSpec, directory: Path) -> tuple[Sample, ...]:
    """Return the released samples of *spec*'s task in file order; the id is the line (``line-001``).

    Answer sets: the file's label where one answer is right, the references of a text task (None where a line
    holds none), else the set that our rules derive.

    Args:
        spec: Our own spec or the released one.
        directory: The folder given as ``--pb-data``.

    Raises:
        LookupError: The task, or this variant of it, was not released.
        FileNotFoundError: A file is missing.
        ValueError: A file is malformed; names file, line, key, rule, value and cure.
    """
    task = released_task(spec, directory)
    names = field_names(task.template)
    read = text_sample if spec.base_id in BENCHMARK_IDS["text_writing"] else sample_of
    return tuple(
        read(spec.base_id, number, where, line, names)
        for number, (where, line) in enumerate(released_lines(task.data), start=1)
    )


def _files_of(spec: TaskSpec) -> tuple[str, str]:
    if spec.base_id not in RELEASED_FILES:
        raise LookupError(
            f"task must be one that was released, got {spec.id!r}; released are {', '.join(RELEASED_FILES)}"
        )
    group, name = RELEASED_FILES[spec.base_id]
    changes = [part for part in spec.id.removeprefix(spec.base_id).split("_") if part]
    changes = [part for part in changes if not part.startswith("canvas")]
    match group, changes:
        case _, []:
            return group, name
        case "waiting_line", [change] if change == f"n{LONG_LINE}":
            return f"{group}_n{LONG_LINE}", name
        case "words_to_sentence", [change] if change in {f"words{n}" for n in RELEASED_WORDS}:
            return group, f"{name}_n{change.removeprefix('words')}"
    raise LookupError(
        f"variant of a released task must be n={LONG_LINE} of a waiting line or "
        f"words={','.join(map(str, RELEASED_WORDS))} of words-to-sentence, got {spec.id!r}; "
        "leave its parameters out"
    )


def _filled(template: str, fields: Mapping[str, Any]) -> str:
    return template.format(**fields).replace("\\n", "\n")
