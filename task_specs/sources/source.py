"""Where the samples of a task come from: this project, released files, a user's export or a user's task file.

Which of them is decided here and nowhere else; what a source gives is the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from task_specs.catalogue import RELEASED_WORDS, WORDS
from task_specs.exported import files as exported
from task_specs.load import data_checksum, load_samples
from task_specs.prompt import PromptStyle, messages
from task_specs.released import files as released
from task_specs.sample import Sample
from task_specs.spec import OWN_IDS, TaskSpec


class Source(Protocol):
    """A task with its samples."""

    @property
    def name(self) -> str:
        """``own``, ``user``, ``released`` or ``exported``; part of every key."""

    @property
    def is_published(self) -> bool:
        """Whether prompts and labels are somebody else's and used as they are.

        Labels decide what is right then, there are no compact prompts, and texts are judged with all that is
        around them.
        """

    @property
    def spec(self) -> TaskSpec:
        """The task with the semantics of the source."""

    @property
    def checksum(self) -> str:
        """Of the data behind the samples."""

    def samples(self) -> tuple[Sample, ...]:
        """Return all samples in file order."""

    def chat(self, sample: Sample, style: PromptStyle) -> Sequence[dict[str, str]]:
        """Return the messages that ask the question."""


@dataclass(frozen=True)
class Written:
    """A task file of this project or of a user, with data of its own."""

    spec: TaskSpec
    name: str
    is_published: bool = False

    @property
    def checksum(self) -> str:
        """That of the frozen file, or of what samples are generated from."""
        return data_checksum(self.spec)

    def samples(self) -> tuple[Sample, ...]:
        """See `task_specs.load.load_samples`."""
        return load_samples(self.spec)

    def chat(self, sample: Sample, style: PromptStyle) -> Sequence[dict[str, str]]:
        """See `task_specs.prompt.messages`."""
        return messages(self.spec, sample, style)


@dataclass(frozen=True)
class Released:
    """The published files of one task in *folder*."""

    planned: TaskSpec
    folder: Path
    name: str = "released"
    is_published: bool = True

    @cached_property
    def spec(self) -> TaskSpec:
        """See `task_specs.released.files.released_spec`."""
        return released.released_spec(self.planned, self.folder)

    @property
    def checksum(self) -> str:
        """Of the data file and the template."""
        return released.released_checksum(self.planned, self.folder)

    def samples(self) -> tuple[Sample, ...]:
        """See `task_specs.released.files.load_released`."""
        return released.load_released(self.planned, self.folder)

    def chat(self, sample: Sample, style: PromptStyle) -> Sequence[dict[str, str]]:
        """The published template, filled."""
        return released.released_messages(self.spec, sample)


@dataclass(frozen=True)
class Exported:
    """The lines of one task in the user's *file*."""

    planned: TaskSpec
    file: Path
    name: str = "exported"
    is_published: bool = True

    @cached_property
    def spec(self) -> TaskSpec:
        """See `task_specs.exported.files.exported_spec`."""
        return exported.exported_spec(self.planned, self.file)

    @property
    def checksum(self) -> str:
        """Of the task's lines and how they are read."""
        return exported.exported_checksum(self.planned, self.file)

    def samples(self) -> tuple[Sample, ...]:
        """See `task_specs.exported.files.load_exported`."""
        return exported.load_exported(self.planned, self.file)

    def chat(self, sample: Sample, style: PromptStyle) -> Sequence[dict[str, str]]:
        """The messages in the file."""
        return list(sample.fields["messages"])


def is_export(data: Path) -> bool:
    """Whether *data* is an exported file rather than the folder of released ones."""
    return data.suffix == exported.SUFFIX and not data.is_dir()


def source(planned: TaskSpec, data: Path | None) -> Source:
    """Return where the samples of *planned* come from.

    Args:
        planned: The task as its file or a variant describes it.
        data: What ``--pb-data`` names, or None.

    Raises:
        ValueError: The variant asks for more words than our own data give.
    """
    if data is not None:
        return Exported(planned, data) if is_export(data) else Released(planned, data)
    is_own = planned.base_id in OWN_IDS
    if is_own and planned.words is not None and planned.words > WORDS:
        published = ", ".join(map(str, RELEASED_WORDS))
        raise ValueError(
            f"words of task {planned.base_id} must be a whole number from 1 to {WORDS} for the data of this "
            f"project, got {planned.words}; released data have {published} (--pb-data DIR)"
        )
    return Written(planned, "own" if is_own else "user")
