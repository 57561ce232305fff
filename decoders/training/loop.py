"""Training: loss of a step -> weights, one step after the other; can be killed and resumed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from decoders import devices
from decoders.fingerprint import code_hash
from decoders.training.checkpoint import (
    MODEL_FILES,
    STATE_FILE,
    Standing,
    read_standing,
    restore,
    save_standing,
    tensors_of,
)

WARM_UP = 50
SAVE_EVERY_S = 30.0
TELL_EVERY = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What one chooses of a training; with the code that trains it decides the weights, up to rounding.

    Args:
        seed: Of the first weights and of every batch.
        steps: Batches of 64 rows.
        rate: The learning rate. It is reached after 50 steps, kept up to half of the first 14 of 19 parts of
            the training and falls to 0 there; the other 5 parts start again from half of it and fall to 0.

    Source: warm restarts (Loshchilov and Hutter, arXiv:1608.03983), here one and linear. After the first
    descent a seed could still mix up two people's names in one task of ten; the second one mends that.
    """

    seed: int = 0
    steps: int = 19_000
    rate: float = 2e-3

    def __post_init__(self) -> None:
        for name, low in (("seed", 0), ("steps", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ValueError(f"{name} must be a whole number from {low} on, got {value!r}; choose one")

    def rate_at(self, step: int) -> float:
        """Return the learning rate of *step*, counted from 0."""
        restart = self.steps * 14 // 19
        if step >= restart:
            return 0.5 * self.rate * (self.steps - step) / (self.steps - restart)
        return self.rate * min(1.0, (step + 1) / WARM_UP) * min(1.0, 2.0 * (1.0 - step / restart))


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """What is trained: all that the loop does not know.

    Args:
        network: Its parameters are trained, and saved by their names.
        loss_of: Gives the loss of a step, and float32 [2, tasks]: the sum of its errors by task and how many
            they are. It is a function of the step and the weights alone, so that a run can be resumed.
        tasks: What errors are told apart by.
        code: Hash of the code of *loss_of* outside this package.
    """

    network: nn.Module
    loss_of: Callable[[int], tuple[Tensor, Tensor]]
    tasks: tuple[str, ...]
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What is told while training: steps taken, of how many, seconds so far and still to go, last losses."""

    step: int
    steps: int
    seconds: float
    left: float
    losses: Mapping[str, float]


Tell = Callable[[Progress], None]


def train(
    folder: Path, recipe: Recipe, learner: Learner, *, threads: int = 1, tell: Tell = lambda _: None
) -> Standing:
    """Train in *folder* from where it stands to the end of *recipe*; *learner* then holds the end's weights.

    Args:
        folder: Holds the state.
        recipe: What to train.
        learner: Untrained.
        threads: CPU threads.
        tell: Told of progress.

    Raises:
        ValueError: *folder* holds a training of another recipe or version, or another checkpoint.
    """
    begun, code = read_standing(folder), training_code(learner.code)
    _check(folder, recipe, code, begun)
    optimizer = torch.optim.AdamW(
        learner.network.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.01, foreach=True
    )
    if begun is not None:
        restore(learner.network, optimizer, begun)
    with devices.threads(threads):
        return _steps(folder, recipe, learner, code, optimizer, begun, tell)


def _check(folder: Path, recipe: Recipe, code: str, begun: Standing | None) -> None:
    """Raise unless *folder* may be trained in: it is new, or was left by the same recipe and code."""
    wanted = asdict(recipe)
    if begun is None:
        taken = [name for name in MODEL_FILES if (folder / name).exists()]
        if taken:
            raise ValueError(
                f"{folder} must be new, or hold a training that was stopped, got {', '.join(taken)} without "
                f"{STATE_FILE}; choose another folder"
            )
    elif begun.recipe != wanted:
        raise ValueError(
            f"{folder} must hold a training of the same recipe, {wanted}, got {dict(begun.recipe)}; "
            "choose another folder, or ask for the same seed and steps to go on"
        )
    elif begun.code != code:
        raise ValueError(
            f"{folder} must hold a training begun by this version, code {code[:12]}, got {begun.code[:12]}; "
            "choose another folder, or go on with the version that began it"
        )


@cache
def training_code(others: str) -> str:
    """Return the hash of what decides weights beside the recipe: this package, and *others*, a hash."""
    return hashlib.sha256((folder_code(Path(__file__).parent) + others).encode()).hexdigest()


def folder_code(folder: Path) -> str:
    """Return the hash of what the modules in *folder* mean."""
    return hashlib.sha256(
        "".join(code_hash(path) for path in sorted(folder.glob("*.py"))).encode()
    ).hexdigest()


def _steps(
    folder: Path,
    recipe: Recipe,
    learner: Learner,
    code: str,
    optimizer: torch.optim.Optimizer,
    begun: Standing | None,
    tell: Tell,
) -> Standing:
    network = learner.network
    first = 0 if begun is None else begun.step
    before = 0.0 if begun is None else begun.seconds
    losses = [] if begun is None else list(begun.losses)
    started = saved = time.monotonic()
    totals = torch.zeros(2, len(learner.tasks))

    def standing(step: int) -> Standing:
        return Standing(
            recipe=asdict(recipe),
            code=code,
            step=step,
            seconds=before + time.monotonic() - started,
            losses=tuple(losses),
            tensors=tensors_of(network, optimizer),
        )

    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step)
        loss, errors = learner.loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        totals += errors
        if (step + 1) % TELL_EVERY == 0 or step + 1 == recipe.steps:
            losses.append({"step": step + 1, **_means(learner.tasks, totals)})
            totals.zero_()
            seconds = time.monotonic() - started
            left = seconds / (step + 1 - first) * (recipe.steps - step - 1)
            told = before + seconds
            tell(Progress(step=step + 1, steps=recipe.steps, seconds=told, left=left, losses=losses[-1]))
            if time.monotonic() - saved >= SAVE_EVERY_S:
                save_standing(folder, standing(step + 1))
                saved = time.monotonic()
    done = standing(recipe.steps)
    save_standing(folder, done)
    return done


def _means(tasks: tuple[str, ...], totals: Tensor) -> dict[str, float]:
    return {
        task: round(float(total / number), 4)
        for task, total, number in zip(tasks, *totals, strict=True)
        if number
    }
