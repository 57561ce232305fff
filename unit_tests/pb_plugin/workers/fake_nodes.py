"""Workers that run nothing, and what the controller of pytest-xdist does around a scheduler of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

from pb_plugin.faults.tries import Tries
from pb_plugin.workers.scheduler import Crashes, PbScheduling


@dataclass(eq=False)
class FakeNode:
    """A worker that starts an item only when it knows the next one or was told to leave, as xdist's do."""

    name: str
    queue: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    shutting_down: bool = False

    @property
    def gateway(self):
        return SimpleNamespace(id=self.name)

    def send_runtest_some(self, indices):
        assert not self.shutting_down, "a node that was told to leave takes nothing"
        assert all(type(index) is int for index in indices)
        self.queue.extend(indices)

    def shutdown(self):
        self.shutting_down = True

    @property
    def can_run(self):
        return len(self.queue) >= 2 or (self.shutting_down and bool(self.queue))


class Session:
    """What xdist's controller does around a scheduler.

    ``at_rows``: whether nodes die while they have rows in work; ``is_last``: whether none is replaced.
    """

    def __init__(self, items, n_nodes, collections=None, cost=lambda nodeid: 1, at_rows=False, is_last=False):
        self.items = items
        self.is_last = is_last
        self.tries = Tries()
        self.failures = []
        self.crashed = []
        self.sched = PbScheduling(
            n_nodes,
            label=lambda nodeids: {nodeid: nodeid.partition("::")[0] for nodeid in nodeids},
            cost=cost,
            report_failure=lambda node, message: self.failures.append((node, message)),
            log=lambda *_: None,
            tries=self.tries,
            blames_item=lambda node: not at_rows,
            is_last=lambda: self.is_last,
        )
        self.nodes = [FakeNode(f"gw{index}") for index in range(n_nodes)]
        self.all_nodes = list(self.nodes)
        for node in self.nodes:
            self.sched.add_node(node)
        for node, collection in zip(self.nodes, collections or [items] * n_nodes, strict=True):
            self.collect(node, collection)

    def collect(self, node, collection):
        self.sched.add_node_collection(node, collection)
        if self.sched.collection_is_completed:
            self.sched.schedule()

    def finish_one(self, node):
        index = node.queue.pop(0)
        node.done.append(index)
        self.sched.mark_test_complete(node, index)

    def crash(self, node, *, retry=False, begun=True):
        self.nodes.remove(node)
        if begun and node.queue:
            Crashes(self.tries).pytest_runtest_logstart(self.items[node.queue[0]])
        item = self.sched.remove_node(node)
        if item is not None:
            self.crashed.append(item)
            if retry:
                self.sched.mark_test_pending(item)
        return self.replace()

    def replace(self):
        fresh = FakeNode(f"gw{len(self.all_nodes)}")
        self.nodes.append(fresh)
        self.all_nodes.append(fresh)
        self.sched.add_node(fresh)
        self.collect(fresh, self.items)
        return fresh

    def leave_if_finished(self):
        if self.sched.tests_finished:
            for node in self.sched.nodes:
                node.shutdown()

    def run(self, rng=None, crashes=0):
        """Run to the end, the nodes in turn or at random; returns what each node did, in order."""
        turn = 0
        while True:
            self.leave_if_finished()
            able = [node for node in self.nodes if node.can_run]
            if not able:
                break
            node = rng.choice(able) if rng else able[turn % len(able)]
            turn += 1
            if rng and crashes and rng.random() < 0.2:
                crashes -= 1
                self.crash(node)
            else:
                self.finish_one(node)
        for node in list(self.nodes):
            assert self.sched.remove_node(node) is None
        return [[self.items[index] for index in node.done] for node in self.all_nodes]
