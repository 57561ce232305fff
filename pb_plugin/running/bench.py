"""The data flow of a run on one page: cell -> samples -> rows -> decode -> text -> scores -> records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from decoders.traits import model_traits
from pb_plugin.asking.models import ModelHandle
from pb_plugin.asking.planned import Planned, plan_samples
from pb_plugin.asking.rows import answer_context, build_row, lacking, record_of_row, setting_of
from pb_plugin.asking.samples import NotApplicable, TaskData, vocabulary_of
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.native import params_of
from pb_plugin.planning.options import Options
from pb_plugin.records.record import Record
from pb_plugin.records.store import Store, StoreIndex, StoreLost
from pb_plugin.running.batch_check import N_ROWS, BatchCheck, BatchOutcome
from pb_plugin.running.progress import Watch
from pb_plugin.running.scoring import Decoded, Scoring, score_key
from pb_plugin.running.tools import GRAMMAR, Tools

if TYPE_CHECKING:
    from decoders.protocols import Denoiser


class Bench:
    """One process's share of a run: knows what is stored, decodes what is not, and stores it at once.

    Args:
        options: What the user asked for.
        store: Where records go and come from.
        tools: What scorers ask beside the text; None for none.
        watch: Who is told of progress.
        checked_rows: How many rows of each network model are decoded again alone.
    """

    def __init__(
        self,
        options: Options,
        store: Store,
        tools: Tools | None = None,
        watch: Watch | None = None,
        checked_rows: int = N_ROWS,
    ) -> None:
        self.options = options
        self.store = store
        self.tools = tools or Tools(grammar="none", bertscore=None, folder=store.directory)
        self.watch = watch or Watch()
        self.batch_check = BatchCheck(seed=options.seed, n_rows=0 if options.batch == 1 else checked_rows)
        self.lost: list[str] = []
        self._index: StoreIndex | None = None
        self._records: dict[str, Record] = {}
        self._decoded: set[str] = set()
        self._models: dict[str, ModelHandle] = {}
        self._tasks: dict[str, TaskData] = {}
        self._planned: dict[str, tuple[Planned, ...]] = {}
        self._score_keys: dict[str, str] = {}
        self._contexts: dict[str, Any] = {}
        self._contexts_of = ("", "")

    @property
    def index(self) -> StoreIndex:
        """What was stored before this process started writing; read at the first use."""
        if self._index is None:
            self._index = self.store.index()
        return self._index

    def model(self, cell: Cell) -> ModelHandle:
        """Return the handle of the cell's model; it loads nothing."""
        handle = self._models.get(cell.model.text)
        if handle is None:
            options = self.options
            handle = ModelHandle(
                cell.model,
                dtype=options.dtype,
                device=options.device,
                vocabulary=vocabulary_of(options.data),
                max_rows=options.batch,
                allow_code=options.allow_remote_code,
            )
            self._models[cell.model.text] = handle
        return handle

    def loaded(self, handle: ModelHandle) -> Denoiser:
        """Return the model of *handle*, loaded; any other is let go first, so that memory holds one.

        Raises:
            ModelUnavailable: It cannot be loaded.
        """
        for other in self._models.values():
            if other is not handle and other.loaded:
                self.check_batches(other)
                other.close()
        return handle.get()

    def check_batches(self, *handles: ModelHandle) -> BatchOutcome:
        """Decode some rows of the models still loaded, or of *handles*, alone; return all counts so far."""
        for handle in handles or self._models.values():
            self.batch_check.run(handle, lambda rows: self.sweep(rows, lambda n_rows: None))
        return self.batch_check.outcome

    def task(self, cell: Cell) -> TaskData:
        """Return the task of the cell; its samples are read at their first use."""
        if cell.task not in self._tasks:
            self._tasks[cell.task] = TaskData(planned=cell.spec, directory=cell.data, n_samples=cell.samples)
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

    def score_key(self, cell: Cell) -> str:
        """Return what a score of the cell depends on.

        Raises:
            LookupError: The task's scorer cannot be found.
            ValueError: A scoring tool that was named does not start.
        """
        if cell.task not in self._score_keys:
            self._score_keys[cell.task] = score_key(self.task(cell), self.tools)
        return self._score_keys[cell.task]

    def record_of(self, cell: Cell, planned: Planned) -> Record | None:
        """Return the record of one sample, scored as this run scores where there is one, or None."""
        record = self._records.get(planned.decode_key)
        if record is not None or self.options.fresh:
            return record
        key = planned.decode_key
        return self.index.get(key, self.score_key(cell)) or self.index.get(key)

    def find(self, decode_key: str, score_key: str) -> Record | None:
        """Return what this process knows of a result: decoded here, else stored; failures count too."""
        return self._records.get(decode_key) or self.index.find(decode_key, score_key)

    def missing(self, cell: Cell) -> list[Planned]:
        """Return the samples of the cell that have no result yet; a failure in this process is one."""
        return [planned for planned in self.planned(cell) if self.record_of(cell, planned) is None]

    def retry(self, cell: Cell) -> None:
        """Let the samples of the cell that failed in this process be decoded once more."""
        for planned in self.planned(cell):
            record = self._records.get(planned.decode_key)
            if record is not None and record.failed:
                del self._records[planned.decode_key]

    def unscored(self, cell: Cell) -> list[Decoded]:
        """Return the results of the cell that were not scored in this run's way yet.

        A score that a tool did not give is asked for again, once by each process.
        """
        wanted, needs = self.score_key(cell), self.task(cell).spec.needs
        found = ((planned, self.record_of(cell, planned)) for planned in self.planned(cell))
        return [
            Decoded(record=record, sample=planned.question.sample)
            for planned, record in found
            if record is not None
            and not record.failed
            and (
                record.score_key != wanted
                or (needs and record.score_reasons and record.decode_key not in self._records)
            )
        ]

    def decoded_here(self, cell: Cell) -> bool:
        """Return whether this process decoded any sample of the cell."""
        return any(planned.decode_key in self._decoded for planned in self.planned(cell))

    def decode(self, cells: Sequence[Cell]) -> None:
        """Decode, score and store what is missing of *cells*, all of one model and task, in one sweep.

        A result is stored as soon as it is decoded. Scores that need tools follow in the background.
        What was not decoded when an error or a time limit ends this is still missing.

        Raises:
            ModelUnavailable: The model cannot be loaded.
            NotApplicable: The model cannot answer this task.
            ValueError: A sample does not fit the model, or a scoring tool does not start.
        """
        if self._index is not None and not self.options.fresh:
            self._index = self.store.index(self._index)  # what others stored meanwhile is not decoded again
        offered = [cell for cell in cells if not self.missing(cell) or self._lacking(cell) is None]
        wanted = [(cell, planned) for cell in offered for planned in self.missing(cell)]
        asked = {planned.decode_key: (cell, planned) for cell, planned in wanted}
        data = self.task(cells[0])
        with Scoring(data, self.tools) as scoring:
            for decoded in (decoded for cell in cells for decoded in self.unscored(cell)):
                scoring.add(decoded)
            self.watch.begin(f"{cells[0].model.name} on {cells[0].task}", len(wanted))
            try:
                for record in self.sweep(wanted) if wanted else ():
                    if record.failed:
                        self.keep(record)
                    else:
                        cell, planned = asked[record.decode_key]
                        self.batch_check.note(self.model(cell), cell, planned, record)
                        decoded = Decoded(record=record, sample=planned.question.sample)
                        for kept in scoring.begin(decoded):
                            self.keep(kept)
                    for scored in scoring.ready():
                        self.keep(scored)
                    self.watch.finished()
            finally:
                self.watch.end()
            for scored in scoring.rest():
                self.keep(scored)

    def sweep(
        self, wanted: Sequence[tuple[Cell, Planned]], on_step: Callable[[int], None] | None = None
    ) -> Iterator[Record]:
        """Yield the record of each sample as soon as it is decoded; it is neither scored nor stored yet.

        Raises:
            ModelUnavailable: The model cannot be loaded.
            NotApplicable: The model cannot answer this task.
            LookupError: The task's scorer cannot be found.
            ValueError: A sample does not fit the model.
        """
        from decoders.loop.batching import sweep
        from decoders.loop.generating import generate

        _ = self.task(wanted[0][0]).scorer
        handle = self.model(wanted[0][0])
        model: Any = self.loaded(handle)
        assert handle.budget is not None
        by_sample = sorted(range(len(wanted)), key=lambda i: wanted[i][1].question.sample.id)
        rows = [
            build_row(
                index,
                planned.question,
                self.task(cell).spec,
                setting_of(cell),
                cell.seed,
                model,
                self.context(cell, planned, model),
            )
            for index, (cell, planned) in ((index, wanted[index]) for index in by_sample)
        ]
        budget, on_step = handle.budget, on_step or self.watch.forward
        if model_traits(model).owns_loop:
            outcomes = generate(model, rows, params_of, budget=budget, on_step=on_step)
        else:
            outcomes = sweep(model, rows, budget=budget, on_step=on_step)
        for outcome in outcomes:
            cell, planned = wanted[outcome.key]
            self._decoded.add(planned.decode_key)
            yield record_of_row(planned.parts, outcome, self.task(cell).spec, model)

    def keep(self, record: Record) -> None:
        """Store *record*, unless the store has it already."""
        if self.options.fresh or record != self.index.get(record.decode_key, record.score_key):
            try:
                self.store.append(record)
            except StoreLost as error:
                self._write_again(error)
                self.store.append(record)
        self._records[record.decode_key] = record

    def check_store(self) -> None:
        """Look whether what this process has stored is still there; write it again where it is not."""
        try:
            self.store.check_there()
        except StoreLost as error:
            self._write_again(error)
        gone = [] if self._index is None else [file for file in self._index.files if not file.exists()]
        if gone:
            self.lost.append(
                f"{gone[0]} must stay where it is while a run uses it, got {len(gone)} such files deleted or "
                "moved; run again: what they held is decoded anew"
            )

    def _write_again(self, error: StoreLost) -> None:
        for record in self._records.values():
            self.store.append(record)
        self.lost.append(f"{error} ({len(self._records)} records of this process were written again)")

    def unscorable(self, cell: Cell) -> str | None:
        """Return why this run has no grammar for a task that needs it; such a task is not decoded."""
        if GRAMMAR not in self.task(cell).spec.needs or self.tools.is_later:
            return None
        return self.tools.unscored

    def check_applicable(self, cell: Cell) -> None:
        """Check that the model offers what the cell's method needs.

        Raises:
            ModelUnavailable: The model cannot be loaded.
            NotApplicable: It does not.
        """
        reason = self._lacking(cell)
        if reason is not None:
            raise NotApplicable(reason)

    def _lacking(self, cell: Cell) -> str | None:
        return lacking(self.loaded(self.model(cell)), setting_of(cell))

    def context(self, cell: Cell, planned: Planned, model: Denoiser) -> Any:
        """Return what the model needs beside the prompt: for an exact model the tokenised answer set.

        Raises:
            NotApplicable: The sample has no reference answers.
            ValueError: They do not fit the canvas.
        """
        if not model_traits(model).uses_answers:
            return None
        owner = (cell.model.text, cell.task)
        if owner != self._contexts_of:
            self._contexts.clear()
            self._contexts_of = owner
        sample_id = planned.question.sample.id
        if sample_id not in self._contexts:
            data = self.task(cell)
            self._contexts[sample_id] = answer_context(
                planned.question, data.spec, model, released=data.source == "released"
            )
        return self._contexts[sample_id]

    def close(self) -> None:
        """Free every model and close the store's file."""
        for handle in self._models.values():
            handle.close()
        self.store.close()
