"""Our pytest-xdist scheduler: whole groups to workers, longest first, each model on as few as possible.

It replaces ``--dist load`` and ``--dist loadgroup``: the latter relies on an item's private node id, which
pytest 9.2 no longer reads (pytest-dev/pytest-xdist#1386). Nothing here depends on the version of pytest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pb_plugin.faults.ends import UNKNOWN
from pb_plugin.faults.tries import Tries
from pb_plugin.portions.groups import cost_of_item, model_of
from pb_plugin.portions.turns import next_turn
from pb_plugin.workers.cell_files import asks_for_cells
from pb_plugin.workers.xdist_interior import LOOK_AHEAD, difference, most_deaths, n_nodes

if TYPE_CHECKING:
    from pb_plugin.session.session import BenchSession
    from pb_plugin.workers.xdist_interior import WorkerController


@dataclass(kw_only=True, slots=True)
class Worker:
    """What the scheduler knows of a node: items sent and not finished, in order, and the model it has.

    ``costs`` has what a group costs by its first item, which decodes it, until that is finished.
    """

    pending: deque[int] = field(default_factory=deque)
    costs: dict[int, int] = field(default_factory=dict)
    model: str | None = None
    is_ready: bool = False


class PbScheduling:
    """The scheduler protocol of pytest-xdist 3.8 over groups of items.

    Args:
        n_nodes: How many nodes the run starts with.
        label: Gives every node id of a collection the label of its group; called once.
        cost: Gives what a node id costs, for the order of groups.
        report_failure: Publishes a failed collection report: node name, message.
        log: Receives debug messages.
        tries: Decides which item is run again when its node has died.
        blames_item: Says of a node that has died whether it was at no row, so that its item may be why.
        is_last: Says whether no further node is replaced, so that no item is run again.
    """

    def __init__(
        self,
        n_nodes: int,
        *,
        label: Callable[[Sequence[str]], Mapping[str, str]],
        cost: Callable[[str], int],
        report_failure: Callable[[str, str], None],
        log: Callable[..., None],
        tries: Tries,
        blames_item: Callable[[WorkerController], bool],
        is_last: Callable[[], bool],
    ) -> None:
        self._tries = tries
        self._blames_item = blames_item
        self._is_last = is_last
        self._n_nodes = n_nodes
        self._label = label
        self._cost = cost
        self._report_failure = report_failure
        self._log = log
        self._workers: dict[WorkerController, Worker] = {}
        self._collections: dict[str, Sequence[str]] = {}
        self._items: Sequence[str] | None = None
        self._labels: Mapping[str, str] = {}
        self._costs: Sequence[int] = ()
        self._queue: dict[str, deque[deque[int]]] = {}

    @property
    def nodes(self) -> list[WorkerController]:
        """The nodes that have not left."""
        return list(self._workers)

    @property
    def collection_is_completed(self) -> bool:
        """Whether as many nodes have collected as the run started with; stays true when nodes leave."""
        return len(self._collections) >= self._n_nodes

    @property
    def tests_finished(self) -> bool:
        """Whether nothing waits and no node has more than the item it is running."""
        return (
            self.collection_is_completed
            and not self._queue
            and all(len(worker.pending) < LOOK_AHEAD for worker in self._workers.values())
        )

    @property
    def has_pending(self) -> bool:
        """Whether any item waits or runs."""
        return bool(self._queue) or any(worker.pending for worker in self._workers.values())

    def add_node(self, node: WorkerController) -> None:
        """Take in a node that has started; it gets items after its collection has arrived."""
        assert node not in self._workers
        self._workers[node] = Worker()

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take in what a node collected; a late node whose items differ is reported and sent home."""
        worker = self._workers[node]
        name = node.gateway.id
        if self._items is None:
            self._collections[name] = list(collection)
            worker.is_ready = True
            return
        if not self._differs(next(iter(self._collections)), self._items, name, list(collection)):
            worker.is_ready = True
            return
        node.shutdown()
        if all(other.shutting_down for other in self._workers):
            self._queue.clear()

    def schedule(self) -> None:
        """Hand out groups: the first time after all nodes have collected, later to nodes that came in."""
        assert self.collection_is_completed
        if self._items is None:
            first, *others = self._collections.items()
            different = [self._differs(*first, name, collection) for name, collection in others]
            if any(different):
                return
            self._items = first[1]
            self._labels = self._label(self._items)
            self._costs = [self._cost(nodeid) for nodeid in self._items]
            for indices in sorted(self._grouped(range(len(self._items))), key=self._cost_of, reverse=True):
                self._queue.setdefault(self._model(indices), deque()).append(indices)
        self._feed()

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Note that a node has finished an item, and send it more where it runs short."""
        worker = self._workers[node]
        worker.pending.remove(item_index)
        worker.costs.pop(item_index, None)
        if len(worker.pending) < LOOK_AHEAD:
            self._feed()

    def mark_test_pending(self, item: str) -> None:
        """Put an item at the front of the queue again (asked for by plugins that retry crashed items)."""
        assert self._items is not None
        self._push_front([self._items.index(item)])
        self._feed()

    def remove_node(self, node: WorkerController) -> str | None:
        """Let a node go and return the item it crashed in, where that is given up; what it had comes next.

        Raises:
            KeyError: The node never started.
        """
        worker = self._workers.pop(node)
        if not worker.pending:
            return None
        assert self._items is not None
        nodeid = self._items[worker.pending[0]]
        is_over = self._tries.is_over(nodeid, blames_item=self._blames_item(node), is_last=self._is_last())
        if is_over:
            worker.pending.popleft()
        self._push_front(worker.pending)
        self._feed()
        return nodeid if is_over else None

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        """Nothing is ever stolen from a node, so this is never called."""
        raise NotImplementedError

    def _differs(
        self, one: str, collection: Sequence[str], other: str, other_collection: Sequence[str]
    ) -> bool:
        message = difference(one, collection, other, other_collection)
        if message is None:
            return False
        self._log(message)
        self._report_failure(other, message)
        return True

    def _grouped(self, indices: Iterable[int]) -> list[deque[int]]:
        assert self._items is not None
        groups: dict[str, deque[int]] = {}
        for index in indices:
            groups.setdefault(self._labels[self._items[index]], deque()).append(index)
        return list(groups.values())

    def _cost_of(self, indices: Iterable[int]) -> int:
        return sum(self._costs[index] for index in indices)

    def _model(self, indices: Sequence[int]) -> str:
        assert self._items is not None
        return model_of(self._labels[self._items[indices[0]]])

    def _push_front(self, indices: Iterable[int]) -> None:
        for group in reversed(self._grouped(indices)):
            model = self._model(group)
            self._queue = {model: self._queue.pop(model, deque()), **self._queue}
            self._queue[model].appendleft(group)

    def _can_work(self, node: WorkerController) -> bool:
        return self._workers[node].is_ready and not node.shutting_down

    def _feed(self) -> None:
        """Give every node a group before any gets a second one; a node that cannot go on gets its leave."""
        able = [node for node in self._workers if self._can_work(node)]
        for enough in range(1, LOOK_AHEAD + 1):
            for node in able:
                while self._queue and len(self._workers[node].pending) < enough and self._can_work(node):
                    self._send_next(node)
        able = [node for node in able if self._can_work(node)]
        if not self._queue and self._items is not None:
            for node in able:
                if len(self._workers[node].pending) < LOOK_AHEAD:
                    node.shutdown()

    def _send_next(self, node: WorkerController) -> None:
        """Send the group that is the node's next one when all go on at once.

        A node that still runs an item and will find nothing left gets its leave: a group that it took only
        to know its next item would wait for it while others are idle.
        """
        left = {model: [self._cost_of(group) for group in groups] for model, groups in self._queue.items()}
        able = [other for other in self._workers if self._can_work(other)]
        turn = next_turn(
            node,
            left,
            {other: sum(self._workers[other].costs.values()) for other in able},
            {other: self._workers[other].model for other in able},
        )
        if turn is None:
            node.shutdown()
            return
        worker, groups = self._workers[node], self._queue[turn.model]
        group = groups[turn.place]
        del groups[turn.place]
        if not groups:
            del self._queue[turn.model]
        worker.model = turn.model
        worker.costs[group[0]] = self._cost_of(group)
        worker.pending.extend(group)
        node.send_runtest_some(list(group))


class Crashes:
    """Hooks of the controlling process around items whose worker may crash.

    Args:
        tries: Hears which items have begun, and says why one is given up.
    """

    def __init__(self, tries: Tries) -> None:
        self._tries = tries

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note that a worker has begun an item."""
        self._tries.begun(nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """Say why an item is not tried again."""
        report.longrepr = self._tries.why(crashitem, f"worker '{report.node.gateway.id}'", UNKNOWN)


def scheduler_of(
    config: pytest.Config, session: BenchSession, log: Callable[..., None]
) -> PbScheduling | None:
    """Return the scheduler of a session that has cells, None where it is not ours to decide."""
    if not asks_for_cells(config.args):
        return None
    _ = session.plan
    if config.getoption("dist") not in ("load", "loadgroup"):
        return None

    def report_failure(node: str, message: str) -> None:
        report = pytest.CollectReport(node, "failed", longrepr=message, result=[])
        config.hook.pytest_collectreport(report=report)

    tries, most = Tries(), most_deaths(config)
    config.pluginmanager.register(Crashes(tries), "pb-crashes")
    return PbScheduling(
        n_nodes(config),
        label=session.labels,
        cost=lambda nodeid: cost_of_item(nodeid, session.cells),
        report_failure=report_failure,
        log=log,
        tries=tries,
        blames_item=lambda node: node.gateway.id not in session.ends.at_work,
        is_last=lambda: session.ends.n_workers > most,
    )
