"""What one pytest session knows of its run: options, plan, selected items, and the conclusion at its end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Any

from pb_plugin.asking.models import ModelUnavailable
from pb_plugin.comparing import baseline
from pb_plugin.comparing.side import Side, side_of
from pb_plugin.faults.at_work import AtWork
from pb_plugin.faults.careful import ProcessSpoilt, end_process
from pb_plugin.faults.ends import Ends
from pb_plugin.faults.signals import Signals
from pb_plugin.gates.grammar import parse_gate
from pb_plugin.gates.judge import judge
from pb_plugin.measuring.measured import Measured
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import Plan, plan
from pb_plugin.portions.ahead import ahead_of
from pb_plugin.portions.cost import forwards_of_sample
from pb_plugin.portions.groups import cell_id_of, label_items
from pb_plugin.records.begun import Mark
from pb_plugin.records.canonical import canonical_json
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import Run, describe, save, summarise
from pb_plugin.running.batch_check import N_ROWS, BatchOutcome
from pb_plugin.running.bench import Bench
from pb_plugin.running.decode import missing
from pb_plugin.running.known import Known
from pb_plugin.running.progress import Watch
from pb_plugin.running.tools import Tools, tools_of
from pb_plugin.running.work import Work
from pb_plugin.session.baselines import held_against, written
from pb_plugin.session.checked_data import check_data
from pb_plugin.session.conclusion import Conclusion
from pb_plugin.session.gate_run import GateRun, check_gate_sweep
from pb_plugin.session.item_clock import ItemClock
from pb_plugin.session.served import check_served
from task_specs.spec import TaskSpec


class BenchSession:
    """One per process of a session.

    Args:
        options: What the user asked for.
        worker: ``main``, or the worker's id under pytest-xdist.
        n_workers: How many processes share the items.
        tools: What the controlling process hands on of the scoring tools that it has started for its workers.
        run: What sets this run apart from all others, the same in all of its processes; None: this process.
        ends_process: Whether a hang in C code ends the process (not where pytest watches for hangs itself).
    """

    def __init__(
        self,
        options: Options,
        *,
        worker: str = "main",
        n_workers: int = 1,
        tools: Mapping[str, Mapping[str, Any]] | None = None,
        run: str | None = None,
        ends_process: bool = True,
    ) -> None:
        self.options = options
        self.watch = Watch()
        self.clock = ItemClock()
        self.batch_outcome = BatchOutcome()
        self.work = Work()
        self.measured = Measured()
        self.signals = Signals()
        self.ends = Ends(options.store, run or f"{os.getpid()}_{time.time_ns()}")
        self._ends_process = ends_process
        self._worker = worker
        self._n_workers = n_workers
        self._shared_tools = tools
        self._groups: dict[str, list[Cell]] = {}
        self._label: dict[str, str] = {}
        self._begun: set[str] = set()
        self._mark: Mark | None = None
        self._has_told = False
        self.baseline_note: str | None = None
        self.gates = tuple(parse_gate(text) for text in options.gate)
        check_gate_sweep(options, self.gates)

    def check(self) -> None:
        """Make the plan and look at the folders that were named.

        Raises:
            LookupError: A name is not known.
            ValueError: A value breaks a rule, nothing is left to run, a folder is no folder, no task's data
                can be read, or a scoring tool that was named cannot be used.
        """
        _ = self.plan, self.store
        check_served(self.plan.models, self.options, self._n_workers)
        self.check_tools(self.plan.specs)
        check_data(self.plan.specs, self.options.data)
        _ = self.baseline

    @cached_property
    def baseline(self) -> Side | None:
        """What this run is held against, or None.

        Raises:
            ValueError: It cannot be read.
        """
        return None if self.options.baseline is None else baseline.load(self.options.baseline)

    def check_tools(self, specs: Iterable[TaskSpec]) -> None:
        """Look at what was named for the scores of *specs*.

        Raises:
            ValueError: It cannot be used.
        """
        self.tools.check({tool for spec in specs for tool in spec.needs})

    @cached_property
    def plan(self) -> Plan:
        """The plan of the options."""
        return plan(self.options)

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """The plan's cells by id."""
        return {cell.id: cell for cell in self.plan.cells}

    @cached_property
    def store(self) -> Store:
        """Where this process's records go.

        Raises:
            ValueError: The store is a file.
        """
        return Store(self.options.store, worker=self._worker)

    @cached_property
    def tools(self) -> Tools:
        """The scoring tools of this process, or those that the controlling process has started."""
        options = self.options
        return tools_of(
            grammar=options.grammar,
            bertscore=options.bertscore,
            folder=options.store,
            shared=self._shared_tools,
        )

    @property
    def needs(self) -> frozenset[str]:
        """The tools that the scores of the planned tasks need."""
        return frozenset(tool for spec in self.plan.specs for tool in spec.needs)

    @cached_property
    def bench(self) -> Bench:
        """This process's share of the run.

        Raises:
            ValueError: The store can not be written.
        """
        self.store.prepare()
        share = -(-N_ROWS // self._n_workers)
        return Bench(
            self.options,
            self.store,
            self.tools,
            self.watch,
            checked_rows=share,
            at_work=AtWork(self.options.store, self.ends.name(self._worker)),
            ends=self.ends,
            ends_process=self._ends_process,
        )

    @property
    def floors(self) -> dict[str, float]:
        """Lowest acceptable score by task id, from ``--pb-floor``."""
        return dict(self.options.floor)

    def select(self, nodeids: Sequence[str]) -> None:
        """Take in the items that are left after every deselection."""
        labels = self.labels(nodeids)
        for nodeid in nodeids:
            cell = self.cells.get(cell_id_of(nodeid)) if self._may_be_cell(nodeid) else None
            if cell is not None and cell.id not in self._label:
                self._label[cell.id] = labels[nodeid]
                self._groups.setdefault(labels[nodeid], []).append(cell)

    def labels(self, nodeids: Sequence[str]) -> dict[str, str]:
        """Return the group of every item; a session without cells keeps every item on its own."""
        if not any(map(self._may_be_cell, nodeids)):
            return {nodeid: nodeid for nodeid in nodeids}
        return label_items(nodeids, self.cells, self._n_workers, for_gates=self.options.sweep == "gate")

    @property
    def selected(self) -> list[Cell]:
        """The selected cells."""
        return [cell for group in self._groups.values() for cell in group]

    def begin(self, cell: Cell) -> None:
        """Note that this process runs *cell*; the first of a group lets it decode the group together.

        What is left of a group whose worker crashed has another first cell, so it is decoded item by item and
        a second crash costs no more than the item it belongs to.
        """
        label = self._label.get(cell.id)
        if label is not None and self._groups[label][0].id == cell.id:
            self._begun.add(label)

    def companions(self, cell: Cell) -> list[Cell]:
        """Return the cells that are decoded in one sweep with *cell*, itself included."""
        label = self._label.get(cell.id, "")
        if self.options.sweep == "isolated" or label not in self._begun:
            return [cell]
        if self.options.sweep == "gate" and self._n_workers <= 1:
            return [other for other in self.selected if other.model == cell.model]
        return self._groups[label]

    def shared_time(self, cell: Cell) -> AbstractContextManager[None]:
        """Return a context in which an item may take the time of all items of its group."""
        return self.clock.shared_by(len(self.companions(cell)))

    def decode(self, cell: Cell) -> None:
        """Decode what is missing of *cell* with its companions.

        Where that is cut short, by a time limit or an error, the rest of the group goes item by item.

        Raises:
            ModelUnavailable: The model cannot be loaded.
            NotApplicable: The model cannot answer this task.
            ValueError: A sample does not fit the model, or a scoring tool does not start.
        """
        try:
            with self.shared_time(cell):
                if self.gate_run is not None:
                    self.gate_run.settle(self.companions(cell))
                if not self.is_wanted(cell):
                    return
                self.tell_plan()
                if not self.bench.is_done(cell):
                    self.bench.check_applicable(cell)
                if self._n_workers <= 1 and self.options.sweep == "group":
                    self.bench.decode_ahead(ahead_of(cell, self._groups.values()))
                self.bench.decode(self.companions(cell) if self.gate_run is None else [cell])
        except ProcessSpoilt as error:
            end_process(str(error), is_worker=self._worker != "main")
        except BaseException:
            self._begun.discard(self._label.get(cell.id, ""))
            raise

    @cached_property
    def gate_run(self) -> GateRun | None:
        """What ``--pb-sweep gate`` decodes; None where the run decodes everything."""
        return GateRun(self.gates, self.selected, self.bench) if self.options.sweep == "gate" else None

    def is_wanted(self, cell: Cell) -> bool:
        """Return whether a sample of *cell* is to be decoded or scored."""
        if self.bench.is_done(cell):
            return not self.bench.is_scored(cell)
        return self.gate_run is None or self.gate_run.wants(cell)

    def left_out(self, cell: Cell) -> str | None:
        """Return why *cell* is not decoded whole, where the run decodes for its gates alone."""
        return None if self.gate_run is None else self.gate_run.left_out(cell)

    def left(self) -> tuple[int, int]:
        """Return how many samples of the selected cells have no result yet, and the forwards known of them.

        A cell that cannot be asked for has none: its item says why.
        """
        counts = [(self._n_left_of(cell, self.bench.known), cell) for cell in self.selected]
        return sum(n for n, _ in counts), sum(n * forwards_of_sample(cell) for n, cell in counts)

    def n_left_for_workers(self) -> int:
        """Return how many samples are `left`, and leave the store unread: what workers add comes later."""
        known = Known(Store(self.options.store), fresh=self.options.fresh)
        return sum(self._n_left_of(cell, known) for cell in self.selected)

    def _n_left_of(self, cell: Cell, known: Known) -> int:
        try:
            if self.bench.resources.unscorable(cell) is not None:
                return 0
            if self.gate_run is not None and not self.gate_run.wants(cell):
                return 0
            return len(missing(cell, self.bench.resources, known))
        except (ModelUnavailable, ValueError, LookupError, OSError):
            return 0

    def mark_begin(self) -> None:
        """Leave a mark in the store until `conclude`, so that a run cut off in between shows; once a session.

        A store that cannot be made is the reason of every item that needs it, and of no other.

        Raises:
            ValueError: The store takes no mark.
        """
        if self._mark is None and self.selected:
            try:
                self.store.prepare()
            except ValueError:
                return
            self._mark = Mark(self.options.store)
            self.ends.collect()
            self.signals.take()

    def tell_plan(self) -> None:
        """Leave in the store what this run is about to do, once, for `pb view`; items tell of a full disk."""
        if self._mark is not None and not self._has_told:
            self._has_told = True
            with suppress(OSError):
                self._mark.tell(canonical_json(self._described().to_json()) + "\n")

    def _described(self, *notes: str) -> Run:
        return describe(
            self.bench.resources,
            self.selected,
            missing_tasks=self.plan.missing_tasks,
            notes=(*self.plan.notes, *notes),
        )

    @property
    def unfinished(self) -> list[str]:
        """A line for every earlier run in the store that did not reach its end."""
        return [] if self._mark is None else [run.line for run in self._mark.others]

    def check_batches(self) -> None:
        """Decode some rows again alone, at the end of the last item, in the time of all."""
        with self.clock.shared_by(len(self.selected)):
            self.batch_outcome = self.bench.check_batches()
        self.work, self.measured = self.bench.work, self.bench.measured

    def conclude(self, *, judge_gates: bool = True) -> Conclusion:
        """Write the run's file, summarise what is stored of it, and judge the gates.

        Args:
            judge_gates: False for an interrupted run, whose part of the data says nothing about a gate.

        Raises:
            ValueError: The store cannot be read or written.
        """
        self.bench.known.check_store()
        decided, notes = self.gate_run.conclude() if judge_gates and self.gate_run else ([], [])
        run = self._described(*notes)
        path = save(run, self.options.store)
        if self._mark is not None:
            self._mark.finish()
            if judge_gates:
                self.ends.forget()
        summary, problem = None, None
        try:
            summary = summarise(run, self.bench.known.find)
        except ValueError as error:
            problem = str(error)
        problem = "; ".join([*self.bench.known.lost, *([problem] if problem else [])]) or None
        gates = self.gates if judge_gates else ()
        verdicts = [verdict for gate in gates for verdict in (judge(gate, summary) if summary else ())]
        if verdicts and decided:
            verdicts = decided
        comparison = None
        compares = self.baseline is not None or self.options.save_baseline is not None
        if judge_gates and summary is not None and compares:
            side = side_of("this run", run, self.bench.known.find, self.options.store)
            if self.baseline is not None:
                of_baseline, comparison = held_against(self.baseline, side, self.options, self.plan.specs)
                verdicts += of_baseline
            if self.options.save_baseline is not None:
                self.baseline_note, unsaved = written(side, self.options.save_baseline)
                problem = "; ".join(filter(None, [problem, unsaved])) or None
        return Conclusion(
            run=run,
            path=path,
            summary=summary,
            problem=problem,
            verdicts=tuple(verdicts),
            comparison=comparison,
        )

    @property
    def disagreements(self) -> int:
        """How many questions of this process a server answered differently than before."""
        return len(self.bench.known.answered_otherwise) if "bench" in self.__dict__ else 0

    def close(self) -> None:
        """End the scoring tools of this process, and let go of the run's mark and of signals."""
        self.signals.give_back()
        if self._mark is not None:
            self._mark.release()
        if "tools" in self.__dict__:
            self.tools.close()

    def is_cell(self, nodeid: str) -> bool:
        """Return whether *nodeid* is an item of this run."""
        return cell_id_of(nodeid) in self.cells

    def _may_be_cell(self, nodeid: str) -> bool:
        return nodeid.endswith("]") and ("plan" in self.__dict__) and cell_id_of(nodeid) in self.cells
