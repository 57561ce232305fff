"""``pb train-tiny``: train the shipped model again, with progress, and say how good it became."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.planning.option_grammar import parse_int
from pb_plugin.running.progress import Line

if TYPE_CHECKING:
    from decoders.training.loop import Progress
    from decoders.training.tiny import Lessons
    from task_specs.spec import TaskSpec

COMPILERS = ("g++", "clang++", "c++")
CARD = "card.json"
"""Beside the checkpoint: how it was trained and how good it is."""

MARK_WEIGHT = 0.3
"""Weight in the loss of marks and EOS; a name, digit or letter has 1."""

ROWS_AT_ONCE = 128
"""Samples that are measured together."""


def train_tiny(
    folder: Path, *, seed: int, steps: int | None, threads: int | None, compiled: bool, out: TextIO
) -> dict[str, Any]:
    """Train in *folder*, measure the result, and return the facts, which are also written to `CARD`.

    Args:
        folder: Where the checkpoint goes; a training that was stopped there goes on.
        seed: Of weights and data.
        steps: How many, or None for those of the shipped model.
        threads: CPU threads; None is one for each core, at most 2.
        compiled: Whether to compile the network where there is a C++ compiler.
        out: Where progress is told.

    Raises:
        ValueError: A value breaks its rule, or *folder* holds something else.
    """
    from decoders.loading.checkpoint import need_packages

    need_packages("transformers", "safetensors")
    from decoders.training import tiny
    from decoders.training.checkpoint import read_standing
    from decoders.training.loop import Recipe

    recipe = Recipe(seed=seed) if steps is None else Recipe(seed=seed, steps=steps)
    threads = threads or min(2, os.cpu_count() or 1)
    compiler = next((name for name in COMPILERS if shutil.which(name)), None) if compiled else None
    begun = read_standing(folder)
    way = f"compiled by {compiler}" if compiler else "not compiled, which takes about 1.6 times as long"
    start = f"from step {begun.step:,}" if begun is not None else "from the start"
    print(
        f"training in {folder} {start} on {threads} thread{'s' * (threads > 1)}, {way}", file=out, flush=True
    )
    line = Line(out, live=out.isatty())
    try:
        standing = tiny.train_tiny(
            folder,
            recipe,
            lessons(),
            threads=threads,
            compiled=compiler is not None,
            tell=lambda progress: line.tell(partial(progress_text, progress)),
        )
    except KeyboardInterrupt:
        print(
            "\nstopped; the same command goes on where it last saved, at most 30 s and 50 steps ago", file=out
        )
        raise
    line.end()
    print("measuring one token per step on the frozen samples", file=out, flush=True)
    accuracy = evaluate(folder, lambda task, score: print(f"  {task:16} {score:.1%}", file=out, flush=True))
    card = {
        "recipe": asdict(recipe),
        "minutes": round(standing.seconds / 60, 1),
        "threads": threads,
        "compiled": compiler is not None,
        "torch": version("torch"),
        "parameters": _parameters(folder),
        "accuracy": {task: round(score, 4) for task, score in accuracy.items()},
    }
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return {"folder": str(folder), **card}


def lessons() -> Lessons:
    """Return what `tiny` learns from: the questions of the tasks, for the training of the decoders."""
    import numpy as np

    from decoders.training.loop import folder_code
    from decoders.training.tiny import Lessons
    from task_specs import questions
    from task_specs.questions import layout, vocabulary
    from task_specs.questions.mixture import draw

    is_mark = np.arange(len(vocabulary.PIECES)) <= vocabulary.NEWLINE
    return Lessons(
        draw=draw,
        canvas=layout.CANVAS,
        tokenizer=vocabulary.tokenizer_json(),
        token_weights=np.where(is_mark, MARK_WEIGHT, 1.0).astype(np.float32),
        tasks=vocabulary.TASKS,
        code=folder_code(Path(questions.__path__[0])),
    )


def evaluate(folder: Path, tell: Callable[[str, float], None] = lambda task, score: None) -> dict[str, float]:
    """Return the mean score of the model in *folder* per task, over the samples every model is measured on.

    It writes one token per step, by confidence.

    Args:
        folder: A finished checkpoint.
        tell: Told of each task as soon as it is known.

    Raises:
        DecodeError: A row could not be decoded.
    """
    from decoders.models import tiny
    from decoders.protocols import ModelRequest
    from task_specs.questions.vocabulary import TASKS
    from task_specs.spec import builtin_spec

    model = tiny.load(ModelRequest(name="tiny", source=str(folder)))
    scores = {}
    for task in TASKS:
        scores[task] = _score(model, builtin_spec(task))
        tell(task, scores[task])
    model.close()
    return scores


def _score(model: Any, spec: TaskSpec) -> float:
    from decoders.budget import Budget
    from decoders.loop.batching import sweep
    from decoders.rows import Failed, Row, Setting
    from decoders.unmasking.top_k import confidence
    from task_specs.load import load_samples
    from task_specs.prompt import messages
    from task_specs.scoring import SCORERS

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


def training_lines(data: Mapping[str, Any]) -> list[str]:
    """Return for people what was trained, and how to use it."""
    accuracy = data["accuracy"]
    mean = sum(accuracy.values()) / len(accuracy)
    return [
        f"{data['parameters']:,} parameters, {data['recipe']['steps']:,} steps of seed "
        f"{data['recipe']['seed']} in {data['minutes']} minutes",
        f"{mean:.1%} of the frozen samples are right, one token per step",
        f"use it with: pytest bench_tests --model tiny={data['folder']}",
    ]


def _parameters(folder: Path) -> int:
    import math

    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 (not a mapping)
    return sum(map(math.prod, shapes))


def progress_text(progress: Progress) -> str:
    """Return step, loss (mean over the tasks), minutes so far and minutes left."""
    losses = [value for name, value in progress.losses.items() if name != "step"]
    return (
        f"step {progress.step:,}/{progress.steps:,} ({progress.step / progress.steps:.0%}), "
        f"loss {sum(losses) / len(losses):.3f}, {progress.seconds / 60:.1f} min, "
        f"{progress.left / 60:.1f} min left"
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="DIR", type=Path, help="where the checkpoint goes")
    parser.add_argument("--seed", default="0", metavar="SEED", help="of weights and data. Default: 0")
    parser.add_argument("--steps", metavar="N", help="batches of 64 questions. Default: those of tiny")
    parser.add_argument("--threads", metavar="N", help="CPU threads. Default: one for each core, at most 2")
    parser.add_argument(
        "--no-compile", action="store_true", help="do not compile the network even if there is a C++ compiler"
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    numbers = {
        name: None if given is None else parse_int(given, name=f"--{name}", minimum=low)
        for name, given, low in (("steps", arguments.steps, 1), ("threads", arguments.threads, 1))
    }
    data = train_tiny(
        arguments.out,
        seed=parse_int(arguments.seed, name="--seed", minimum=0),
        **numbers,
        compiled=not arguments.no_compile,
        out=sys.stderr,
    )
    return shown(arguments, data, training_lines), 0


VERB = Verb(
    what="train the model tiny again, or go on with a training that was stopped",
    example="train-tiny my-tiny --seed 1",
    arguments=_arguments,
    run=_run,
)
