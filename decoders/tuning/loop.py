"""The steps of a fine-tuning, on one device or several; it can be killed at any moment and goes on."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decoders.training.checkpoint import (
    MOMENTS,
    STATE_FILE,
    Standing,
    read_standing,
    save_standing,
    tensors_of,
)
from decoders.training.loop import Progress, Tell
from decoders.tuning.batches import Chosen, Draw, collate, rows_of_check, rows_of_step
from decoders.tuning.objective import Objective
from decoders.tuning.settings import Settings

TELL_EVERY = 10
"""Steps whose mean loss is one point of the curve."""

LOSSES_FILE = "training/losses.csv"
COLUMNS = ("step", "epoch", "rate", "train", "validation")


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What is trained, on what, and where.

    Args:
        folder: Holds the state.
        settings: What was chosen.
        asked: Model, tasks and all else that decides the weights, as plain values.
        code: Hash of the code that decides them.
        draw: Gives the examples.
        pad_id: The padding token.
        accelerator: The processes of the training (library accelerate).
        tell: Told of progress, by the first process.
    """

    folder: Path
    settings: Settings
    asked: Mapping[str, Any]
    code: str
    draw: Draw
    pad_id: int
    accelerator: Any
    tell: Tell = field(default=lambda _: None)

    @property
    def recipe(self) -> dict[str, Any]:
        """What a training that goes on has to agree in; how often it is saved and told of is free."""
        chosen = {**asdict(self.settings), **self.asked}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in chosen.items()
            if name not in ("save_every_s", "trackers")
        }


def check_folder(course: Course, taken: Sequence[str]) -> Standing | None:
    """Return where the training in the folder of *course* stands, None for a new one.

    Args:
        course: What is to be trained.
        taken: Files that only a finished model has.

    Raises:
        ValueError: The folder holds something else.
    """
    folder, begun = course.folder, read_standing(course.folder)
    found = [name for name in taken if (folder / name).exists()]
    if begun is None:
        if found:
            raise ValueError(
                f"{folder} must be new, or hold a fine-tuning that was stopped, got {', '.join(found)} "
                f"without {STATE_FILE}; choose another folder"
            )
        return None
    wanted = course.recipe
    other = sorted(name for name in {*wanted, *begun.recipe} if wanted.get(name) != begun.recipe.get(name))
    if other:
        name = other[0]
        raise ValueError(
            f"{folder} must hold a fine-tuning with {name}={wanted.get(name)!r}, got "
            f"{begun.recipe.get(name)!r}; choose another folder, or ask for the same to go on"
        )
    if begun.code != course.code:
        raise ValueError(
            f"{folder} must hold a fine-tuning begun by this version, code {course.code[:12]}, got "
            f"{begun.code[:12]}; choose another folder, or go on with the version that began it"
        )
    return begun


def tune(course: Course, objective: nn.Module, begun: Standing | None) -> Standing:
    """Train *objective* from where *begun* stands to the end; it then holds the end's weights.

    Every process computes its share of each step's rows; what a row is, and its noise, depends on the
    settings and the step alone. So neither a stop nor the number of processes changes what is learned, up to
    rounding.
    """
    trained = _Trained(objective)
    settings = course.settings
    optimizer = torch.optim.AdamW(
        [parameter for _, parameter in trained.named_parameters()],
        lr=settings.rate,
        weight_decay=settings.weight_decay,
    )
    if begun is not None:
        _restore(trained, optimizer, begun)
    model = course.accelerator.prepare(objective)
    course.accelerator.init_trackers("pb-fine-tune", config={k: str(v) for k, v in course.recipe.items()})
    run = _Run(course, objective, model, trained, optimizer, begun)  # type: ignore[arg-type]
    done = run.steps(0 if begun is None else begun.step)
    course.accelerator.end_training()
    return done


class _Trained:
    """The parameters that are trained, by name; the others stay what they are and are not saved."""

    def __init__(self, network: nn.Module) -> None:
        self._named = [(name, one) for name, one in network.named_parameters() if one.requires_grad]

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return iter(self._named)


def _restore(trained: _Trained, optimizer: torch.optim.Optimizer, begun: Standing) -> None:
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            parameter.copy_(begun.tensors[name])
            moments = {
                moment: begun.tensors[f"{moment}/{name}"].to(parameter.device).clone() for moment in MOMENTS
            }
            optimizer.state[parameter] = {"step": torch.tensor(float(begun.step)), **moments}


class _Run:
    """One start of a training."""

    def __init__(
        self,
        course: Course,
        objective: Objective,
        model: Callable[..., Tensor],
        trained: _Trained,
        optimizer: torch.optim.Optimizer,
        begun: Standing | None,
    ) -> None:
        self.course, self.settings, self.accelerator = course, course.settings, course.accelerator
        self.objective, self.model, self.trained, self.optimizer = objective, model, trained, optimizer
        self.losses: list[Mapping[str, float]] = [] if begun is None else list(begun.losses)
        self.first = 0 if begun is None else begun.step
        self.before = 0.0 if begun is None else begun.seconds
        self.started = time.monotonic()

    def steps(self, first: int) -> Standing:
        """Take every step from *first* on, save now and then and at the end."""
        settings, saved = self.settings, self.started
        total, count = torch.zeros((), device=self.accelerator.device), 0
        for step in range(first, settings.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = settings.rate_at(step)
            total, count = total + self._learn(step), count + 1
            done = step + 1
            ends_epoch = done % settings.steps_of_epoch == 0
            if done % TELL_EVERY == 0 or ends_epoch:
                self._note(done, total / count, ends_epoch)
                total, count = torch.zeros_like(total), 0
                if done < settings.steps and time.monotonic() - saved >= settings.save_every_s:
                    self._save(done)
                    saved = time.monotonic()
        return self._save(settings.steps)

    def _learn(self, step: int) -> Tensor:
        """Take *step* and return the mean loss of this process's rows."""
        parts = self._parts(rows_of_step(self.settings, step))
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.accelerator.device)
        for place, rows in enumerate(parts):
            last = place + 1 == len(parts)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss = self._loss(rows, self.model).mean() / len(parts)
                self.accelerator.backward(loss)
            total = total + loss.detach()
        self.accelerator.clip_grad_norm_(
            [one for _, one in self.trained.named_parameters()], self.settings.clip
        )
        self.optimizer.step()
        return total

    def _parts(self, rows: list[Chosen]) -> list[list[Chosen]]:
        """Return this process's rows of a step, in the parts that are computed one after the other."""
        processes, mine = self.accelerator.num_processes, self.accelerator.process_index
        size = len(rows) // (processes * self.settings.accumulation)
        starts = range(mine * size, len(rows), processes * size)
        return [rows[start : start + size] for start in starts]

    def _loss(self, rows: Sequence[Chosen], model: Callable[..., Tensor]) -> Tensor:
        examples = [self.course.draw(row.split, row.number) for row in rows]
        noisy = self.objective.noise(collate(examples, self.course.pad_id), rows)
        return model(*(tensor.to(self.accelerator.device) for tensor in noisy))

    def _note(self, done: int, mean: Tensor, ends_epoch: bool) -> None:
        settings = self.settings
        entry = {
            "step": float(done),
            "epoch": round(done / settings.steps_of_epoch, 4),
            "rate": settings.rate_at(done - 1),
            "train": float(self.accelerator.reduce(mean, "mean")),
        }
        if ends_epoch and settings.validation_samples:
            entry["validation"] = self._validation()
        self.losses.append(entry)
        self.accelerator.log({name: value for name, value in entry.items() if name != "step"}, step=done)
        seconds = time.monotonic() - self.started
        left = seconds / (done - self.first) * (settings.steps - done)
        if self.accelerator.is_main_process:
            self.course.tell(
                Progress(
                    step=done, steps=settings.steps, seconds=self.before + seconds, left=left, losses=entry
                )
            )

    @torch.no_grad()
    def _validation(self) -> float:
        """Return the mean loss over the validation samples."""
        rows = rows_of_check(self.settings)
        mine = rows[self.accelerator.process_index :: self.accelerator.num_processes]
        size = max(1, self.settings.batch // (self.settings.accumulation * self.accelerator.num_processes))
        sums = torch.zeros(2, device=self.accelerator.device)
        for start in range(0, len(mine), size):
            losses = self._loss(mine[start : start + size], self.objective)
            sums += torch.stack([losses.sum(), torch.tensor(float(len(losses)), device=losses.device)])
        total, count = self.accelerator.reduce(sums, "sum").tolist()
        return float(total / count)

    def _save(self, step: int) -> Standing:
        standing = Standing(
            recipe=self.course.recipe,
            code=self.course.code,
            step=step,
            seconds=self.before + time.monotonic() - self.started,
            losses=tuple(self.losses),
            tensors={
                name: tensor.detach().contiguous()
                for name, tensor in tensors_of(self.trained, self.optimizer).items()
            },
        )
        if self.accelerator.is_main_process:
            save_standing(self.course.folder, standing)
            (self.course.folder / LOSSES_FILE).write_text(losses_text(standing.losses), encoding="utf-8")
        self.accelerator.wait_for_everyone()
        return standing


def losses_text(losses: Sequence[Mapping[str, float]]) -> str:
    """Return the loss curve as CSV: step, epoch, learning rate, training loss; validation where measured."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for entry in losses:
        writer.writerow({**entry, "step": int(entry["step"])})
    return out.getvalue()
