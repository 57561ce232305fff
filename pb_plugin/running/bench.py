"""One process's share of a run: what it is asked, what it knows, and the model that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from decoders.traits import model_traits
from pb_plugin.asking.models import ModelHandle, ModelUnavailable
from pb_plugin.asking.rows import lacking, setting_of
from pb_plugin.asking.samples import NotApplicable
from pb_plugin.faults.at_work import AtWork
from pb_plugin.faults.background import Background
from pb_plugin.faults.blame import Blame
from pb_plugin.faults.careful import Wanted, carefully
from pb_plugin.faults.ends import Ends
from pb_plugin.faults.guard import Guard
from pb_plugin.measuring.measured import Measured
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.options import Options
from pb_plugin.portions.cost import forwards_of_sample
from pb_plugin.records.record import Record
from pb_plugin.records.store import Store
from pb_plugin.running.batch_check import N_ROWS, BatchCheck, BatchOutcome
from pb_plugin.running.decode import decode_group, missing, sweep, unscored
from pb_plugin.running.known import Known
from pb_plugin.running.pending import Pending, place_of
from pb_plugin.running.progress import Watch
from pb_plugin.running.resources import Resources
from pb_plugin.running.scoring import THREAD, Scoring
from pb_plugin.running.tools import Tools, tools_of
from pb_plugin.running.work import Work

if TYPE_CHECKING:
    from decoders.budget import Filled
    from decoders.protocols import Denoiser


class Bench:
    """Decodes what is not known yet, with one model in memory at a time.

    Args:
        options: What the user asked for.
        store: Where records go and come from.
        tools: What scorers ask beside the text; None for none.
        watch: Who is told of progress.
        checked_rows: How many rows of each network model are decoded again alone.
        at_work: Where it is written down what is being decoded; None for nowhere.
        ends: How processes of this run, or earlier ones, have ended; None: nobody knows.
        ends_process: Whether a hang in C code ends the process.
    """

    def __init__(
        self,
        options: Options,
        store: Store,
        tools: Tools | None = None,
        watch: Watch | None = None,
        checked_rows: int = N_ROWS,
        at_work: AtWork | None = None,
        ends: Ends | None = None,
        ends_process: bool = True,
    ) -> None:
        tools = tools or tools_of(grammar="none", bertscore=None, folder=store.directory)
        self.options = options
        self.resources = Resources(options, tools)
        self.known = Known(store, fresh=options.fresh, keep_failures=options.keep_failures)
        self.guard = Guard(options.timeout, at_work or AtWork(None), ends_process=ends_process)
        self.pending = Pending(self.known)
        self._scorers = Background(THREAD)
        self._ahead: set[tuple[str, ...]] = set()
        self.blame = Blame()
        self._ends = ends
        for ended in () if ends is None else ends.found:
            self.blame.note(ended)
        self.watch = watch or Watch()
        self.work = Work()
        self.batch_check = BatchCheck(
            seed=options.seed[0], n_rows=0 if options.batch == (1,) else checked_rows
        )
        self.measured = Measured()

    def records(self, cell: Cell) -> list[Record | None]:
        """Return the record of every sample of the cell, None where there is no result; see `planned`."""
        score_key = self.resources.score_key(cell)
        return [self.known.record(key, score_key) for key in self.resources.keys(cell)]

    def is_done(self, cell: Cell) -> bool:
        """Return whether every sample of the cell has a result."""
        return not missing(cell, self.resources, self.known)

    def is_scored(self, cell: Cell) -> bool:
        """Return whether every result of the cell was scored in this run's way."""
        return not unscored(cell, self.resources, self.known)

    def decoded_here(self, cell: Cell) -> bool:
        """Return whether this process decoded any sample of the cell."""
        return self.known.decoded_here(self.resources.keys(cell))

    def retry(self, cell: Cell) -> None:
        """Let the samples of the cell that failed in this process be decoded once more."""
        self.known.forget_failures(self.resources.keys(cell))

    def decode(self, cells: Sequence[Cell], most: int | None = None, *, wait: bool = True) -> None:
        """Decode, score and store what is missing of *cells*, all of one model and task, in one sweep.

        A cell whose method asks for what the model does not offer is left out. *most* limits how many samples
        of each cell are decoded. Without *wait* scores that tools owe are left for
        the next call with these cells.

        Raises:
            ModelUnavailable: The model cannot be loaded.
            NotApplicable: The model cannot answer this task.
            ValueError: A sample does not fit the model, or a scoring tool does not start.
        """
        place = place_of(cells[0])
        self.pending.finish(place)
        self.known.refresh()
        handle = self.resources.model(cells[0])
        offered = [cell for cell in cells if self.is_done(cell) or self._lacking(cell) is None]

        from decoders.budget import Filled

        work, filled = Work(), Filled()

        def forward(n_canvases: int) -> None:
            nonlocal work
            work += Work(computed=n_canvases)
            self.watch.forward(n_canvases)

        def decode(wanted: Wanted) -> Iterator[Record]:
            nonlocal work
            n_forwards = sum(forwards_of_sample(cell) for cell, _ in wanted)
            self.watch.begin(f"{cells[0].model.name} on {cells[0].task}", len(wanted), n_forwards)
            self.learn_ends()
            try:
                for record in carefully(
                    wanted,
                    lambda part: self.sweep(part, forward, filled),
                    self.blame,
                    self.guard,
                    handle.name,
                ):
                    work += Work(counted=record.nfe or 0)
                    self.known.note_decoded(record.decode_key)
                    yield record
            finally:
                if handle.loaded and not model_traits(handle.get()).owns_loop:
                    self.work += work + Work(**asdict(filled))
                self.watch.end()

        try:
            if offered:
                decode_group(
                    offered,
                    self.resources,
                    self.known,
                    self.pending,
                    Scoring(
                        self.resources.task(cells[0]), self.resources.tools, self.guard.call, self._scorers
                    ),
                    decode=decode,
                    on_decoded=lambda *decoded: self.batch_check.note(handle, *decoded),
                    on_finished=lambda cell: self.watch.finished(forwards_of_sample(cell)),
                    most=most,
                )
            if wait:
                self.pending.finish(place)
        finally:
            self.guard.rest()

    def decode_ahead(self, groups: Iterable[Sequence[Cell]]) -> None:
        """Decode *groups* before their turn, each once, and do not wait for their scores.

        Why one cannot be decoded is said again, and then raised, when it is its turn.
        """
        for group in groups:
            if group[0].group not in self._ahead:
                self._ahead.add(group[0].group)
                with suppress(ModelUnavailable, NotApplicable, ValueError, LookupError, OSError):
                    if self.resources.unscorable(group[0]) is None:
                        self.decode(group, wait=False)

    def learn_ends(self) -> None:
        """Take in how processes have ended meanwhile."""
        for ended in () if self._ends is None else self._ends.learn():
            self.blame.note(ended)

    def sweep(
        self,
        wanted: Wanted,
        on_step: Callable[[int], None] | None = None,
        filled: Filled | None = None,
    ) -> Iterator[Record]:
        """Yield the record of each sample as soon as it is decoded; see `decode.sweep`.

        Raises:
            ModelUnavailable: The model cannot be loaded.
        """
        handle = self.resources.model(wanted[0][0])
        self.loaded(handle)
        for record in sweep(
            wanted, handle, self.resources, on_step or self.watch.forward, self.guard, filled
        ):
            self.known.note_decoded(record.decode_key)
            yield record

    def loaded(self, handle: ModelHandle) -> Denoiser:
        """Return the model of *handle*, loaded; any other is let go first, so that memory holds one.

        A server that was started for another goes on beside an exact model, which needs no room, and ends by
        itself before another server is started.

        Raises:
            ModelUnavailable: It cannot be loaded.
        """
        for other in self.resources.loaded_models():
            if other is not handle:
                self.check_batches(other)
                other.close()
        if not (handle.is_exact or handle.choice.is_served):
            self.resources.release_others(handle)
        if handle.loaded or handle.is_exact:
            return handle.get()
        self.learn_ends()
        reason = self.blame.loading(handle.name)
        if reason is not None:
            raise ModelUnavailable(f"model {handle.name}: {reason}")
        with self.guard.at_work.loading(handle.name):
            model = handle.get()
        numerics = model_traits(model).numerics
        self.measured += Measured(numerics=() if numerics is None else ((handle.name, numerics),))
        return model

    def check_batches(self, *handles: ModelHandle) -> BatchOutcome:
        """Decode some rows of the models still loaded, or of *handles*, alone; return all counts so far."""
        for handle in handles or self.resources.loaded_models():
            self.batch_check.run(handle, lambda rows: self.sweep(rows, lambda n_rows: None))
        return self.batch_check.outcome

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
        return lacking(self.loaded(self.resources.model(cell)), setting_of(cell))

    def close(self) -> None:
        """Free every model and close the store's file."""
        self.pending.drop()
        self._scorers.close(wait=False)
        self.resources.close()
        self.known.store.close()
        self.guard.close()
