"""Training: recipe -> batches -> loss -> weights, one step after the other; can be killed and resumed.

Legend: B = rows, G = shown canvas positions, V = vocabulary.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decoders.fingerprint import code_hash
from decoders.loading.checkpoint import Config
from tiny_training import layout
from tiny_training.batches import Batch, batch_of
from tiny_training.checkpoint import (
    MODEL_FILES,
    STATE_FILE,
    Standing,
    export,
    read_standing,
    restore,
    save_standing,
    tensors_of,
)
from tiny_training.network import config_json, new_network
from tiny_training.vocabulary import TASK_WORD, TASKS

WARM_UP = 50
SAVE_EVERY_S = 30.0
TELL_EVERY = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What one chooses of a training; with the code of this package it decides the weights, up to rounding.

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
class Progress:
    """What is told while training: steps taken, of how many, seconds so far and still to go, last losses."""

    step: int
    steps: int
    seconds: float
    left: float
    losses: Mapping[str, float]


Tell = Callable[[Progress], None]


def train(
    folder: Path, recipe: Recipe, *, threads: int = 1, compiled: bool = True, tell: Tell = lambda _: None
) -> Standing:
    """Train in *folder* from where it stands to the end of *recipe*, and write the model there.

    Every batch is a function of the seed and its number, so that a training that was killed goes on as if it
    had not been.

    Args:
        folder: Holds the state while training, and the finished checkpoint.
        recipe: What to train.
        threads: CPU threads.
        compiled: Whether the network is compiled first, which takes a C++ compiler and some seconds.
        tell: Told of progress.

    Raises:
        ValueError: *folder* holds a training of another recipe or version, or another checkpoint.
    """
    standing = read_standing(folder)
    _check(folder, recipe, standing)
    config = Config(path=folder / "config.json", values=config_json())
    network = new_network(config, recipe.seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.01, foreach=True
    )
    if standing is not None:
        restore(network, optimizer, standing)
    with _threads(threads):
        standing = _steps(folder, recipe, network, optimizer, standing, compiled, tell)
    export(network, config.values, folder)
    return standing


def _check(folder: Path, recipe: Recipe, standing: Standing | None) -> None:
    """Raise unless *folder* may be trained in: it is new, or was left by the same recipe and code."""
    wanted = asdict(recipe)
    if standing is None:
        taken = [name for name in MODEL_FILES if (folder / name).exists()]
        if taken:
            raise ValueError(
                f"{folder} must be new, or hold a training that was stopped, got {', '.join(taken)} without "
                f"{STATE_FILE}; choose another folder"
            )
    elif standing.recipe != wanted:
        raise ValueError(
            f"{folder} must hold a training of the same recipe, {wanted}, got {dict(standing.recipe)}; "
            "choose another folder, or ask for the same seed and steps to go on"
        )
    elif standing.code != training_code():
        raise ValueError(
            f"{folder} must hold a training begun by this version, code {training_code()[:12]}, got "
            f"{standing.code[:12]}; choose another folder, or go on with the version that began it"
        )


@cache
def training_code() -> str:
    """Return the hash of the modules of this package: of all that decides weights beside the recipe."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256("".join(code_hash(str(path)) for path in modules).encode()).hexdigest()


def _steps(
    folder: Path,
    recipe: Recipe,
    network: Any,
    optimizer: torch.optim.Optimizer,
    begun: Standing | None,
    compiled: bool,
    tell: Tell,
) -> Standing:
    hidden_of: Any = torch.compile(network.model, dynamic=False) if compiled else network.model
    first = 0 if begun is None else begun.step
    before = 0.0 if begun is None else begun.seconds
    losses = [] if begun is None else list(begun.losses)
    started = saved = time.monotonic()
    totals = torch.zeros(2, len(TASKS))

    def standing(step: int) -> Standing:
        return Standing(
            recipe=asdict(recipe),
            code=training_code(),
            step=step,
            seconds=before + time.monotonic() - started,
            losses=tuple(losses),
            tensors=tensors_of(network, optimizer),
        )

    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step)
        batch = batch_of(recipe.seed, step)
        errors = masked_errors(hidden_of, network.lm_head.weight, batch)
        loss = (errors * batch.weights).sum() / batch.weights.sum()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        totals += by_task(errors.detach(), batch)
        if (step + 1) % TELL_EVERY == 0 or step + 1 == recipe.steps:
            losses.append({"step": step + 1, **_means(totals)})
            totals.zero_()
            seconds = time.monotonic() - started
            left = seconds / (step + 1 - first) * (recipe.steps - step - 1)
            tell(
                Progress(
                    step=step + 1,
                    steps=recipe.steps,
                    seconds=before + seconds,
                    left=left,
                    losses=losses[-1],
                )
            )
            if time.monotonic() - saved >= SAVE_EVERY_S:
                save_standing(folder, standing(step + 1))
                saved = time.monotonic()
    done = standing(recipe.steps)
    save_standing(folder, done)
    return done


def masked_errors(hidden_of: Any, head: Tensor, batch: Batch) -> Tensor:
    """Return the cross entropy in nats at every shown canvas position, float32 [B, G]."""
    rows, length = batch.ids.shape
    everyone = torch.zeros(1, 1, length, length).expand(rows, -1, -1, -1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = hidden_of(
            input_ids=batch.ids, attention_mask=everyone, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        logits = hidden[:, layout.PROMPT :] @ head.T
    errors = nn.functional.cross_entropy(
        logits.float().flatten(0, 1), batch.targets.flatten(), reduction="none"
    )
    return errors.view(batch.targets.shape)


def by_task(errors: Tensor, batch: Batch) -> Tensor:
    """Return the sum of the errors at hidden names, digits and letters, and their number, [2, tasks]."""
    counted = (batch.weights == 1.0).float()
    task = batch.ids[:, 0] - TASK_WORD
    sums = torch.zeros(2, len(TASKS))
    sums[0].index_add_(0, task, (errors * counted).sum(dim=1))
    sums[1].index_add_(0, task, counted.sum(dim=1))
    return sums


def _means(totals: Tensor) -> dict[str, float]:
    return {
        task: round(float(total / number), 4)
        for task, total, number in zip(TASKS, *totals, strict=True)
        if number
    }


@contextmanager
def _threads(wanted: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)
