"""Samples to learn from as token ids: prompt and canvas under the tokenizer of the model that learns them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from task_specs.prompt import PromptStyle, messages
from task_specs.sample import Sample
from task_specs.spec import TaskSpec

if TYPE_CHECKING:
    from decoders.tuning.batches import Draw, Example
    from decoders.tuning.subject import Subject
    from task_specs.questions.lessons import Lessons


def draw_of(lessons: Lessons, subject: Subject, style: PromptStyle) -> Draw:
    """Return what gives the example of a split and a number; *style* is that of the model's prompts."""

    def draw(split: str, number: int) -> Example:
        spec, sample = lessons.sample(split, number)
        return example_of(spec, sample, subject, style)

    return draw


def example_of(spec: TaskSpec, sample: Sample, subject: Subject, style: PromptStyle) -> Example:
    """Return the prompt as a run asks it, and the canvas: the answer, its end, and EOS to the last position.

    Where a template is filled in, only what it leaves open is learned.

    Raises:
        ValueError: The prompt or the answer does not fit, or the template is not one of the answer.
    """
    from decoders.theory.answer_sets import template_ids
    from decoders.tuning.batches import Example

    name, model = f"{spec.id}/{sample.id}", subject.model
    assert sample.example is not None, f"{name}: a drawn sample has an answer"
    answer = model.tokenizer.encode(sample.example)
    if len(answer) > spec.canvas:
        raise ValueError(
            f"canvas must hold an answer of {name}, got {spec.canvas} positions for {len(answer)} tokens; "
            "give the task a longer one (--tasks TASK:canvas=N)"
        )
    learned = [True] * spec.canvas
    if spec.infilling:
        if subject.mask_id is None or sample.template is None:
            raise ValueError(
                f"model must have a mask to fill in the template of {name}, got {model.name!r}; "
                "choose another task"
            )
        # what follows a template is EOS in a run, too
        canvas = answer + [min(model.eos_ids)] * (spec.canvas - len(answer))
        template = template_ids(
            model.tokenizer,
            sample.template,
            mask_id=subject.mask_id,
            gen_length=spec.canvas,
            eos_id=min(model.eos_ids),
            sample=name,
        )
        learned = [token == subject.mask_id for token in template]
        if any(
            not open_ and given != token
            for open_, given, token in zip(learned, template, canvas, strict=True)
        ):
            raise ValueError(
                f"template of {name} must be its answer with a token left out at each mark, got a "
                "tokenizer that cuts them differently; choose another task"
            )
    else:
        canvas = [*answer, subject.end_id, *[subject.fill_id] * spec.canvas][: spec.canvas]
    try:
        prompt = tuple(model.encode_prompt(messages(spec, sample, style)))
    except ValueError as error:
        raise ValueError(f"prompt of {name}: {error}") from error
    return Example(prompt=prompt, canvas=tuple(canvas), learned=tuple(learned))
