"""What `pb_plugin.workers.xdist_interior` assumes of the installed pytest-xdist."""

import pytest

pytest.importorskip("xdist", reason="it is about pytest-xdist, which is not installed")

from pb_plugin.workers.xdist_interior import LOOK_AHEAD, difference, n_nodes

ITEMS = """
import pytest

@pytest.mark.parametrize("index", range(4))
def test_item(index):
    pass
"""

HOLDS_BACK = """
from xdist.scheduler import LoadScheduling
from pb_plugin.workers.xdist_interior import n_nodes

class HoldsBack(LoadScheduling):
    sent = 0

    def schedule(self):
        (node,) = self.nodes
        self.collection = self.node2collection[node]
        self.node = node
        self.send({look_ahead})

    def send(self, count):
        self.node.send_runtest_some(list(range(self.sent, self.sent + count)))
        self.sent += count

    def mark_test_complete(self, node, item_index, duration=0):
        print("finished", item_index, "with", self.sent, "known", node.gateway.id)
        if self.sent < 4:
            self.send(1)
        else:
            node.shutting_down or node.shutdown()

    @property
    def tests_finished(self):
        return False

    @property
    def has_pending(self):
        return False

    def remove_node(self, node):
        return None

def pytest_xdist_make_scheduler(config, log):
    print("workers asked for:", n_nodes(config))
    return HoldsBack(config, log)
"""


def test_a_worker_that_knows_the_next_item_goes_on_and_leaves_when_told(pytester):
    """With one item more than it runs it always finishes one; the node has the names that we use."""
    pytester.makepyfile(ITEMS)
    pytester.makeconftest(HOLDS_BACK.replace("{look_ahead}", str(LOOK_AHEAD)))
    result = pytester.runpytest_subprocess("-n", "1", "-s", "-p", "no:cacheprovider", timeout=60)
    result.assert_outcomes(passed=4)
    finished = [f"finished {index} with {min(index + LOOK_AHEAD, 4)} known gw0" for index in range(4)]
    result.stdout.fnmatch_lines(["*workers asked for: 1*", *(f"*{line}*" for line in finished)])


def test_workers_may_be_asked_for_in_the_short_form(pytester):
    assert n_nodes(pytester.parseconfigure("--tx", "2*popen", "--tx", "popen", "-d")) == 3


def test_equal_items_do_not_differ_and_others_are_told():
    assert difference("gw0", ["a", "b"], "gw1", ["a", "b"]) is None
    told = difference("gw0", ["a", "b"], "gw1", ["a", "c"])
    assert "gw0" in told
    assert "gw1" in told
    assert "-b" in told
    assert "+c" in told
