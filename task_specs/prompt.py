"""Spec and sample -> chat messages: the only place where a template is filled.

A question has a natural prompt, in prose and with worked examples, and perhaps a compact one: a task word,
the arguments and the input, for a small model that was made for these tasks alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal

from task_specs.sample import Sample

if TYPE_CHECKING:
    from task_specs.spec import TaskSpec


PromptStyle = Literal["natural", "compact"]

STYLES: tuple[PromptStyle, ...] = ("natural", "compact")


def fill(template: str, fields: Mapping[str, Any]) -> str:
    """Return *template* with every ``{name}`` replaced by that field; ``{{`` and ``}}`` are single braces.

    Raises:
        ValueError: The template is malformed or asks for more than a plain name.
        LookupError: It names a field that is not there.
    """
    for name in field_names(template):
        if name not in fields:
            raise LookupError(
                f"a field of the prompt must be one of {', '.join(fields) or 'none'}, got {name!r}; "
                "correct the prompt or add the field to the data"
            )
    return template.format_map(fields)


def field_names(template: str) -> tuple[str, ...]:
    """Return the names in the braces of *template*, in order.

    Raises:
        ValueError: A brace is alone, or holds something other than a plain name.
    """
    cure = "write {field} for a field, {{ and }} for braces"
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"prompt must be a template with paired braces, got {template!r}; {cure}") from error
    names = []
    for _, name, format_spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or format_spec or conversion:
            raise ValueError(
                f"prompt must be a template of plain field names, got {name!r} in braces; {cure}"
            )
        names.append(name)
    return tuple(names)


def messages(spec: TaskSpec, sample: Sample, style: PromptStyle = "natural") -> list[dict[str, str]]:
    """Return the chat: for every shot the same question and its answer, then the question itself.

    A compact prompt is one message without shots.

    Raises:
        LookupError: The prompt names a field that the sample or a shot lacks, or there is no compact prompt.
    """
    if style == "compact":
        if spec.prompt_compact is None:
            raise LookupError(
                f"prompt_compact of task {spec.id} must be given for a model that reads compact prompts, got "
                "none; add the key to the task file or choose another model"
            )
        return [{"role": "user", "content": fill(spec.prompt_compact, sample.fields)}]
    chat = []
    for shot in sample.shots:
        chat.append({"role": "user", "content": fill(spec.prompt, shot.fields)})
        chat.append({"role": "assistant", "content": shot.answer})
    return [*chat, {"role": "user", "content": fill(spec.prompt, sample.fields)}]
