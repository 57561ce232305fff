"""A question becomes a row of the decode loop: prompt ids, template, answer set; and its ids become text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from decoders.traits import model_traits
from pb_plugin.asking.planned import Planned
from pb_plugin.asking.samples import NotApplicable, Question
from pb_plugin.planning.cell import Cell
from pb_plugin.records.record import Record, TokenCounts, token_counts
from task_specs.sample import Enumerated, Permutations
from task_specs.spec import TaskSpec

if TYPE_CHECKING:
    from decoders.protocols import Denoiser, Tokenizer
    from decoders.rows import Decoded, Failed, Row, Setting, Step


def setting_of(cell: Cell) -> Setting:
    """Return how the rows of *cell* are decoded."""
    from decoders.rows import Setting

    asked = cell.asked
    return Setting(method=cell.method, k=asked.k, block_length=asked.block_length, **asked.tagged)


def lacking(model: Any, setting: Setting) -> str | None:
    """Return what *model* lacks for *setting*, or None; a model that owns its loop lacks nothing."""
    from decoders.loop.needs import check_offered
    from decoders.rows import NotSupported

    if model_traits(model).owns_loop:
        return None
    try:
        check_offered(model, setting)
    except NotSupported as error:
        return f"not applicable: {error}"
    return None


def build_row(
    key: int,
    question: Question,
    spec: TaskSpec,
    setting: Setting,
    seed: int,
    model: Denoiser,
    context: Any,
    *,
    history: bool = False,
) -> Row:
    """Return the row that asks *model* the question; with *history* the loop keeps all it does.

    Raises:
        ValueError: The template or a valid answer does not fit the canvas under the model's tokenizer, an
            answer does not come back from it, or the model refuses the prompt; the message names the sample.
    """
    from decoders.rows import Row
    from decoders.theory.answer_sets import template_ids

    sample = question.sample
    name = f"{spec.id}/{sample.id}"
    template = None
    if sample.example is not None and not model.tokenizer.is_fallback and context is None:
        _check_comes_back(model.tokenizer, sample.example, name)
    if spec.infilling and model_traits(model).mask_id is None:
        raise NotApplicable(f"not applicable: {model.name} has no mask and fills in no template")
    if spec.infilling:
        assert sample.template is not None, f"{name} is an infilling sample without a template"
        template = template_ids(
            model.tokenizer,
            sample.template,
            mask_id=model.mask_id,
            gen_length=spec.canvas,
            eos_id=min(model.eos_ids),
            sample=name,
        )
    elif not model.tokenizer.is_fallback and sample.example is not None:
        n_tokens = len(model.tokenizer.encode(sample.example))
        if n_tokens > spec.canvas:
            raise ValueError(
                f"canvas must hold an answer of {name}, got {spec.canvas} positions for {n_tokens} tokens "
                f"under tokenizer {model.tokenizer.name}; give the task a longer one (--task TASK:canvas=N)"
            )
    try:
        prompt_ids = tuple(model.encode_prompt(question.messages))
    except ValueError as error:
        raise ValueError(f"prompt of {name}: {error}") from error
    return Row(
        key=key,
        prompt_ids=prompt_ids,
        gen_length=spec.canvas,
        setting=setting,
        sample_id=name,
        seed=seed,
        template_ids=template,
        context=context,
        history=history,
    )


def answer_context(question: Question, spec: TaskSpec, model: Denoiser, *, published: bool = False) -> Any:
    """Return the tokenised answer set of the question for a model that decodes from it, None for any other.

    Args:
        question: What is asked.
        spec: Its task.
        model: Who is asked.
        published: Whether the answers are somebody else's, which nobody is to shorten.

    Raises:
        NotApplicable: The sample has no reference answers, or they are published and the built-in tokenizer
            needs more positions for one of them than there are.
        ValueError: They do not fit the canvas, do not come back from the tokenizer, or it cuts them in a way
            that has no closed form.
    """
    from decoders.text.tokenizer import PieceTokenizer
    from decoders.theory.answer_sets import enumerated, permutations

    if not model_traits(model).uses_answers:
        return None
    answers = question.sample.answers
    name = f"{spec.id}/{question.sample.id}"
    where = {"gen_length": spec.canvas, "eos_id": min(model.eos_ids)}
    if answers is None:
        raise NotApplicable(f"model {model.name} needs reference answers, and the data hold none for {name}")
    whole = answers.texts if isinstance(answers, Enumerated) else [_given_order(answers)]
    for text in whole:
        if not isinstance(model.tokenizer, PieceTokenizer):  # that one gives back any text
            _check_comes_back(model.tokenizer, text, name)
        elif published and (needed := len(model.tokenizer.encode(text))) > spec.canvas:
            raise NotApplicable(
                f"the built-in tokenizer cannot hold it: {needed} positions needed of {spec.canvas} for "
                f"{name}; take a published tokenizer (--model ideal=FOLDER) or a longer canvas "
                f"(--task {spec.base_id}:canvas=256)"
            )
    if isinstance(answers, Enumerated):
        return enumerated(model.tokenizer, answers.texts, answers.weights, sample=name, **where)
    return permutations(
        model.tokenizer,
        answers.items,
        opening=answers.opening,
        separator=answers.separator,
        closing=answers.closing,
        exclude_input=answers.exclude_input,
        sample=name,
        **where,
    )


def _given_order(answers: Permutations) -> str:
    return answers.opening + answers.separator.join(answers.items) + answers.closing


def _check_comes_back(tokenizer: Tokenizer, text: str, sample: str) -> None:
    """Refuse a tokenizer that loses part of an answer: every output would score 0."""
    back = tokenizer.decode(tokenizer.encode(text))
    if back != text:
        at = next((i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), len(back))
        start = max(0, at - 20)
        raise ValueError(
            f"tokenizer {tokenizer.name} must give back every answer, got {back[start : at + 40]!r} for "
            f"{text[start : at + 40]!r} of {sample}; use the tokenizer the model was trained with"
        )


def trace_json(history: Sequence[Step] | None) -> dict[str, Any] | None:
    """Return what the loop did to a row as plain data; None where nobody asked for it.

    ``commits`` are ``[forward, position, token, confidence]`` with four digits, without what the same forward
    masked again; ``remasks`` are ``[forward, position]``.
    """
    if history is None:
        return None
    commits = [
        [forward, position, token, round(confidence, 4)]
        for forward, step in enumerate(history)
        for (position, token), confidence in zip(step.committed, step.confidence, strict=True)
        if position not in step.remasked
    ]
    remasks = [[forward, position] for forward, step in enumerate(history) for position in step.remasked]
    return {"commits": commits, "remasks": remasks}


def record_of_row(planned: Planned, row: Decoded | Failed, spec: TaskSpec, model: Denoiser) -> Record:
    """Return the record of a row that left the loop, not scored yet; a failed row keeps its error."""
    from decoders.rows import Failed

    if isinstance(row, Failed):
        error = {"class": row.error.kind, "message": str(row.error)}
        return Record(decode_key=planned.decode_key, parts=planned.parts, error=error)
    infilled = spec.infilling and row.commit_step is not None
    masked = [step >= 0 for step in row.commit_step or ()] if infilled else None
    counts: Any = token_counts(row.ids, model.eos_ids, masked)
    if row.served is not None:
        counts = TokenCounts(row.served.tokens, row.served.tokens, row.served.content_tokens)  # type: ignore[arg-type]
    return Record(
        decode_key=planned.decode_key,
        parts=planned.parts,
        ids=row.ids,
        text=output_text(row.ids, model, spec.text_rule),
        nfe=row.nfe,
        nfe_other=row.nfe_other,
        nfe_kind=row.nfe_kind,
        nfe_low=row.nfe_low,
        nfe_high=row.nfe_high,
        commit_step=row.commit_step,
        remasks=row.remasks,
        forwards=row.forwards,
        evaluated_positions=row.evaluated_positions,
        evaluated_canvases=row.evaluated_canvases,
        canvas_tokens=counts.canvas,
        to_eos_tokens=counts.to_eos,
        content_tokens=counts.content,
        finish_reason=row.finish_reason,
        trace=trace_json(row.history),
        served=None if row.served is None else row.served.details,
    )


def output_text(ids: Iterable[int], model: Denoiser, text_rule: str) -> str:
    """Return the text of an output: up to the first end of text, or everything, special tokens dropped."""
    kept: list[int] = []
    for token in ids:
        if token in model.eos_ids:
            if text_rule == "first_eos":
                break
            continue
        kept.append(token)
    return model.tokenizer.decode(kept)
