"""How good a trained model is: its answers to the frozen samples, one token per step, by confidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from decoders.loop.batching import Budget, sweep
from decoders.models import tiny
from decoders.protocols import ModelRequest
from decoders.state import Failed, Row, Setting
from decoders.unmasking.top_k import confidence
from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.scoring import SCORERS
from task_specs.spec import TaskSpec, builtin_spec
from tiny_training.vocabulary import TASKS

ROWS_AT_ONCE = 128


def evaluate(folder: Path, tell: Callable[[str, float], None] = lambda task, score: None) -> dict[str, float]:
    """Return the mean score of the model in *folder* per task, over the samples every model is measured on.

    Args:
        folder: A finished checkpoint.
        tell: Told of each task as soon as it is known.

    Raises:
        DecodeError: A row could not be decoded.
    """
    model: Any = tiny.load(ModelRequest(name="tiny", source=str(folder)))
    scores = {}
    for task in TASKS:
        scores[task] = _score(model, builtin_spec(task))
        tell(task, scores[task])
    model.close()
    return scores


def _score(model: Any, spec: TaskSpec) -> float:
    samples = {sample.id: sample for sample in load_samples(spec)}
    setting = Setting(method=confidence(), k=1)
    rows = [
        Row(
            key=sample.id,
            prompt_ids=tuple(model.encode_prompt(messages(spec, sample, "compact"))),
            gen_length=spec.canvas,
            setting=setting,
            sample_id=f"{spec.id}/{sample.id}",
        )
        for sample in samples.values()
    ]
    total = 0.0
    for outcome in sweep(model, rows, budget=Budget(tokens=10**9, max_rows=ROWS_AT_ONCE)):
        if isinstance(outcome, Failed):
            raise outcome.error
        text = model.tokenizer.decode(model.answer_ids(outcome.ids))
        score = SCORERS[spec.scorer](text, samples[outcome.key], {}).values[spec.score]
        assert score is not None, f"{spec.id}: an exact scorer gives a score for every text"
        total += score
    return total / len(samples)
