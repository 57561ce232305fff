"""What a run decodes and scores with: models, tasks, questions with their keys, answer sets and tools."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from decoders.served.client.budget import Spending
from decoders.served.options import ServedOptions, SpendLimits, read_prices
from pb_plugin.asking.models import ModelHandle
from pb_plugin.asking.planned import Planned, plan_samples
from pb_plugin.asking.rows import answer_context
from pb_plugin.asking.samples import TaskData, vocabulary_of
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.options import Options
from pb_plugin.running.scoring import score_key
from pb_plugin.running.tools import Tools

if TYPE_CHECKING:
    from decoders.protocols import Denoiser


class Resources:
    """Made once for each process, each part at its first use.

    Args:
        options: What the user asked for.
        tools: What scorers ask beside the text.
    """

    def __init__(self, options: Options, tools: Tools) -> None:
        self.options = options
        self.tools = tools
        self._models: dict[str, ModelHandle] = {}
        self._of_run: dict[str, Any] = {}
        self._tasks: dict[str, TaskData] = {}
        self._planned: dict[str, tuple[Planned, ...]] = {}
        self._score_keys: dict[str, str] = {}
        self._contexts: dict[str, Any] = {}
        self._contexts_of = ("", "")

    def model(self, cell: Cell) -> ModelHandle:
        """Return the handle of the cell's model; it loads nothing."""
        handle = self._models.get(cell.model.text)
        if handle is None:
            options = self.options
            handle = ModelHandle(
                cell.model,
                dtype=options.dtype,
                device=options.device,
                device_map=options.device_map,
                vocabulary=vocabulary_of(options.data),
                max_rows=max(options.batch, default=None),
                compiled=options.compile,
                allow_code=options.allow_remote_code,
                served=self._served if cell.model.is_served else None,
                session={"spending": self._spending, "of_run": self._of_run}
                if cell.model.is_served
                else None,
            )
            self._models[cell.model.text] = handle
        return handle

    def loaded_models(self) -> Iterator[ModelHandle]:
        """Yield the models that are in memory."""
        yield from [handle for handle in self._models.values() if handle.loaded]

    def release_others(self, handle: ModelHandle) -> None:
        """Let go of the servers that other models than that of *handle* have started."""
        for other in self._models.values():
            if other is not handle:
                other.release()

    @cached_property
    def _served(self) -> ServedOptions:
        """What goes for every model behind a server.

        Raises:
            ValueError: The prices cannot be read.
        """
        options = self.options
        return ServedOptions(
            concurrency=options.concurrency,
            limits=options.budget or SpendLimits(),
            prices={} if options.prices is None else read_prices(options.prices),
            tokenizer=options.tokenizer,
        )

    @cached_property
    def _spending(self) -> Spending:
        """What all models of the run spend together."""
        return Spending(self._served.limits)

    def task(self, cell: Cell) -> TaskData:
        """Return the task of the cell; its samples are read at their first use."""
        if cell.task not in self._tasks:
            self._tasks[cell.task] = TaskData(planned=cell.spec, data=cell.data, n_samples=cell.samples)
        return self._tasks[cell.task]

    def planned(self, cell: Cell) -> tuple[Planned, ...]:
        """Return every sample the cell asks for, with its keys.

        Raises:
            ModelUnavailable: The checkpoint cannot be read.
            ValueError: The task's data cannot be read.
        """
        if cell.id not in self._planned:
            self._planned[cell.id] = plan_samples(cell, self.task(cell), self.model(cell))
        return self._planned[cell.id]

    def keys(self, cell: Cell) -> list[str]:
        """Return the decode key of every sample the cell asks for; see `planned` for errors."""
        return [planned.decode_key for planned in self.planned(cell)]

    def score_key(self, cell: Cell) -> str:
        """Return what a score of the cell depends on.

        Raises:
            LookupError: The task's scorer cannot be found.
            ValueError: A scoring tool that was named does not start.
        """
        if cell.task not in self._score_keys:
            self._score_keys[cell.task] = str(score_key(self.task(cell), self.tools))
        return self._score_keys[cell.task]

    def unscorable(self, cell: Cell) -> str | None:
        """Return why this run cannot score the task for want of a tool; such a task is not decoded."""
        return self.tools.not_decoded(self.task(cell).spec.needs)

    def context(self, cell: Cell, planned: Planned, model: Denoiser) -> Any:
        """Return what the model needs beside the prompt: for an exact model the tokenised answer set.

        Raises:
            NotApplicable: The sample has no reference answers.
            ValueError: They do not fit the canvas.
        """
        owner = (cell.model.text, cell.task)
        if owner != self._contexts_of:
            self._contexts.clear()
            self._contexts_of = owner
        sample_id = planned.question.sample.id
        if sample_id not in self._contexts:
            data = self.task(cell)
            self._contexts[sample_id] = answer_context(
                planned.question, data.spec, model, published=data.origin.is_published
            )
        return self._contexts[sample_id]

    def close(self) -> None:
        """Free every model."""
        for handle in self._models.values():
            handle.close()
