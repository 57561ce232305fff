"""``pb fine-tune``: train a model on tasks, by adapters or all of its weights, to a checkpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from decoders.fingerprint import import_closure_hash
from decoders.protocols import ModelRequest
from decoders.traits import module_traits
from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.planning import registry
from pb_plugin.planning.option_grammar import ModelChoice, parse_int, parse_model, parse_task, split_values
from pb_plugin.running.progress import Line
from task_specs.catalogue import BENCHMARK_IDS, TASK_SETS
from task_specs.document import parse
from task_specs.prompt import PromptStyle, messages
from task_specs.spec import TaskSpec

if TYPE_CHECKING:
    from decoders.training.loop import Progress
    from decoders.tuning.fresh_sedd import Sizes
    from decoders.tuning.settings import Settings

CODE = (
    "pb_plugin.asking.lessons",
    "task_specs.questions.lessons",
    "decoders.tuning.subject",
    "decoders.tuning.loop",
)
"""What decides the weights, with all that they import."""

CARD = "fine_tune.json"
"""Beside the checkpoint: how it was trained."""

NEW_SEDD = "sedd-tiny"
NEW = "new"
"""Section of the configuration that says how large a new SEDD is."""

LOOKED_AT = 64
"""Samples that are measured before anything is loaded."""

NEEDED = ("transformers", "safetensors", "accelerate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the command line asks for."""

    choice: ModelChoice
    module: str
    specs: tuple[TaskSpec, ...]
    settings: Settings
    new: Sizes | None
    device: str | None
    adapter_only: bool


def fine_tune(folder: Path, asked: Asked, out: TextIO) -> dict[str, Any]:
    """Train in *folder*, from where a training that was stopped stands, and return the facts.

    Raises:
        ValueError: Something does not fit, or *folder* holds something else.
    """
    from accelerate import Accelerator

    from decoders.tuning.loop import Course, check_folder, tune
    from decoders.tuning.subject import ADAPTER, open_subject
    from pb_plugin.asking.lessons import draw_of
    from task_specs.questions.lessons import Lessons

    settings = asked.settings
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(
        cpu=asked.device == "cpu",
        mixed_precision="no",  # the losses choose the number type themselves
        log_with=list(settings.trackers) or None,
        project_dir=folder / "training",
    )
    first = accelerator.is_main_process
    _check_processes(settings, accelerator.num_processes)
    request = _request(folder, asked, str(accelerator.device))
    traits = module_traits(import_module(asked.module))
    style: PromptStyle = "compact" if traits.prompt_style == "compact" else "natural"
    lessons = Lessons(asked.specs, settings.seed)
    seen = [lessons.sample("train", number) for number in range(min(LOOKED_AT, settings.train_samples))]
    chats = [(messages(spec, sample, style), spec.canvas) for spec, sample in seen]
    subject = open_subject(request, asked.module, settings, chats)
    course = Course(
        folder=folder,
        settings=settings,
        asked={
            "model": asked.choice.text,
            "fingerprint": str(traits.fingerprint(request)) if traits.fingerprint else None,
            "tasks": [spec.id for spec in asked.specs],
            "specs": [f"{spec.version} {sorted(spec.parameters.items())}" for spec in asked.specs],
        },
        code=import_closure_hash(*CODE),
        draw=draw_of(lessons, subject, style),
        pad_id=subject.pad_id,
        accelerator=accelerator,
        tell=_teller(out),
    )
    begun = check_folder(course, ("config.json", ADAPTER, CARD))
    if first:
        print(_opening(folder, asked, subject, begun, accelerator.num_processes), file=out, flush=True)
    standing = tune(course, subject.objective, begun)
    facts = {
        "folder": str(folder),
        "minutes": round(standing.seconds / 60, 1),
        "processes": accelerator.num_processes,
        "torch": version("torch"),
        "recipe": dict(course.recipe),
        "losses": dict(standing.losses[-1]) if standing.losses else {},
        "use": _use(asked.choice, folder, adapter_only=asked.adapter_only),
    }
    if first:
        from decoders.tuning.subject import write_card

        subject.write(folder, adapter_only=asked.adapter_only)
        write_card(folder, facts)
    accelerator.wait_for_everyone()
    return facts


def _check_processes(settings: Settings, processes: int) -> None:
    parts = processes * settings.accumulation
    if settings.batch % parts:
        raise ValueError(
            f"batch must be a multiple of processes times accumulation, {processes} times "
            f"{settings.accumulation}, got {settings.batch!r}; change one of them"
        )


def _request(folder: Path, asked: Asked, device: str) -> ModelRequest:
    """Return the request for the model; a new SEDD is written first, where no earlier start did."""
    choice, source = asked.choice, asked.choice.source
    if asked.new is not None:
        from decoders.tuning.fresh_sedd import write_start
        from task_specs.questions.vocabulary import EOS, SPECIALS, tokenizer_json

        start = folder / "training" / "start"
        if not (start / "model.safetensors").is_file():
            write_start(start, asked.new, tokenizer_json(), SPECIALS[EOS], asked.settings.seed)
        source = str(start)
    return ModelRequest(name=choice.name, source=source, revision=choice.revision, device=device)


def _opening(folder: Path, asked: Asked, subject: Any, begun: Any, processes: int) -> str:
    settings = asked.settings
    learning = sum(one.numel() for one in subject.objective.parameters() if one.requires_grad)
    total = sum(one.numel() for one in subject.objective.parameters())
    start = "the start" if begun is None else f"step {begun.step:,}"
    return (
        f"training {learning:,} of {total:,} numbers of {asked.choice.text} by {settings.way} in {folder}, "
        f"from {start} of {settings.steps:,} steps, on {processes} process{'es' * (processes > 1)}"
    )


def _use(choice: ModelChoice, folder: Path, *, adapter_only: bool) -> str:
    if not adapter_only:
        return f"--model {choice.reference}={folder}"
    return f"--model {choice.reference}={choice.source or ''}+{folder / 'adapter'}"


def _teller(out: TextIO) -> Any:
    line = Line(out, live=out.isatty())

    def tell(progress: Progress) -> None:
        line.tell(partial(progress_text, progress))
        if progress.step == progress.steps:
            line.end()

    return tell


def progress_text(progress: Progress) -> str:
    """Return step, epoch, losses, minutes so far and minutes left."""
    losses = progress.losses
    validation = f", validation {losses['validation']:.4f}" if "validation" in losses else ""
    return (
        f"step {progress.step:,}/{progress.steps:,} ({progress.step / progress.steps:.0%}), epoch "
        f"{losses['epoch']:.2f}, loss {losses['train']:.4f}{validation}, {progress.seconds / 60:.1f} min, "
        f"{progress.left / 60:.1f} min left"
    )


def asked_for(
    model: str,
    tasks: Sequence[str],
    config: Path | None,
    *,
    full: bool,
    device: str | None,
    adapter_only: bool,
) -> Asked:
    """Return what is asked for, checked.

    Raises:
        ValueError: A value breaks its rule.
        LookupError: A model or a task is not known.
    """
    from decoders.tuning.settings import settings_of
    from decoders.tuning.subject import way_of

    choice = parse_model(model, name="MODEL")
    module = registry.find_model(choice.reference).module
    if module.startswith("decoders.served") or choice.reference in ("ideal", "remote"):
        raise ValueError(f"MODEL must have a network that is trained here, got {model!r}; choose another")
    way = way_of(module, full=full)
    values = {} if config is None else dict(parse(_text(config), str(config)).values)
    sizes = values.pop(NEW, None)
    settings = settings_of(way, values)
    if adapter_only and way != "lora":
        raise ValueError(f"--adapter-only must be left out where all weights are trained, got way {way!r}")
    return Asked(
        choice=choice,
        module=module,
        specs=specs_of(tasks),
        settings=settings,
        new=_new_sizes(choice, sizes),
        device=device,
        adapter_only=adapter_only,
    )


def _text(config: Path) -> str:
    if not config.is_file():
        raise ValueError(f"--config must be a YAML file that exists, got {str(config)!r}; correct the path")
    return config.read_text(encoding="utf-8")


def _new_sizes(choice: ModelChoice, given: Any) -> Sizes | None:
    """Return how large a new SEDD is; None for a model that exists."""
    from decoders.tuning.fresh_sedd import Sizes

    is_new = choice.reference == NEW_SEDD and choice.source is None
    if not is_new:
        if given is not None:
            raise ValueError(
                f"{NEW} must be left out for a model that exists, got {choice.text!r}; it is for {NEW_SEDD}"
            )
        return None
    known = [item.name for item in fields(Sizes)]
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"{NEW} must be a mapping of {', '.join(known)}, got {given!r}; correct it")
    for key in given or {}:
        if key not in known:
            raise ValueError(f"{NEW} must be of {', '.join(known)}, got {key!r}; correct or remove it")
    return Sizes(**(given or {}))


def specs_of(tasks: Sequence[str]) -> tuple[TaskSpec, ...]:
    """Return the specs of *tasks*, written as ``--task`` takes them, or the name of a category or a set.

    Raises:
        LookupError: A task is not known.
        ValueError: A value breaks a rule.
    """
    points = registry.known(registry.TASKS)
    sets = {**BENCHMARK_IDS, **TASK_SETS}
    texts = [one for text in split_values(tasks, name="--tasks") for one in sets.get(text, (text,))]
    found = [spec for text in texts for spec in registry.specs_of(parse_task(text, name="--tasks"), points)]
    return tuple(found)


def tuned_lines(data: Mapping[str, Any]) -> list[str]:
    """Return for people what was trained, and how to use it."""
    losses = data["losses"]
    validation = f", {losses['validation']:.4f} on validation samples" if "validation" in losses else ""
    return [
        f"trained in {data['minutes']} minutes; loss {losses['train']:.4f}{validation}",
        f"use it with: pytest bench_tests {data['use']}",
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="as --model takes it; sedd-tiny alone starts a new one"
    )
    parser.add_argument("out", metavar="DIR", type=Path, help="where the checkpoint goes")
    parser.add_argument(
        "--tasks",
        action="append",
        metavar="TASKS",
        help="tasks, as --task takes them, or waiting_line or puzzles. Default: waiting_line",
    )
    parser.add_argument("--full", action="store_true", help="train all weights, not LoRA adapters")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML with settings; see docs/tuning.md")
    parser.add_argument(
        "--device", metavar="DEVICE", help="cpu; default: the GPUs of accelerate launch, or one"
    )
    parser.add_argument("--threads", metavar="N", help="CPU threads. Default: those of torch")
    parser.add_argument(
        "--adapter-only", action="store_true", help="write the adapter, not the checkpoint it is merged into"
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    from decoders.devices import threads
    from decoders.loading.checkpoint import need_packages

    need_packages(*NEEDED, extra="tune", purpose="train models")
    if arguments.device not in (None, "cpu"):
        raise ValueError(
            f"--device must be cpu or left out, got {arguments.device!r}; CUDA_VISIBLE_DEVICES chooses GPUs"
        )
    wanted = arguments.threads and parse_int(arguments.threads, name="--threads", minimum=1)
    asked = asked_for(
        arguments.model,
        arguments.tasks or ["waiting_line"],
        arguments.config,
        full=arguments.full,
        device=arguments.device,
        adapter_only=arguments.adapter_only,
    )
    try:
        with threads(wanted) if wanted else nullcontext():
            data = fine_tune(arguments.out, asked, sys.stderr)
    except KeyboardInterrupt:
        every = asked.settings.save_every_s
        print(
            f"\nstopped; the same command goes on where it last saved, at most {every:g} s ago",
            file=sys.stderr,
        )
        raise
    return shown(arguments, data, tuned_lines), 0


VERB = Verb(
    what="train a model on tasks, with LoRA adapters or all weights; one that was stopped goes on",
    example="fine-tune llada my-llada --tasks waiting_line",
    arguments=_arguments,
    run=_run,
)
