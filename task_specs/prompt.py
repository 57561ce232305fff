"""Spec and sample -> chat messages.

A question has a natural prompt, in prose and with worked examples, and perhaps a compact one: a task word,
the arguments and the input, for a small model that was made for these tasks alone.
"""

from __future__ import annotations

from typing import Literal

from task_specs.sample import Sample
from task_specs.spec import TaskSpec
from task_specs.template import fill

PromptStyle = Literal["natural", "compact"]

STYLES: tuple[PromptStyle, ...] = ("natural", "compact")


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
