"""The scheduler, driven as pytest-xdist drives it, with nodes that run nothing."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("xdist", reason="the scheduler is for pytest-xdist, which is not installed")

from pb_plugin.faults.tries import TRIES, Tries
from pb_plugin.workers.scheduler import Crashes, PbScheduling
from unit_tests.pb_plugin.workers.fake_nodes import FakeNode, Session


def items_of(**groups):
    return [
        f"{label.replace('_', '|')}::t[{index}]"
        for label, n_items in groups.items()
        for index in range(n_items)
    ]


def loads(done):
    """Count how often any node took up a model it did not have."""
    count = 0
    for items in done:
        models = [item.partition("|")[0] for item in items]
        count += sum(1 for before, after in zip([None, *models], models, strict=False) if before != after)
    return count


GROUPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 7)), min_size=0, max_size=12)


def items_from(groups):
    return [
        f"{model}|{number}::t[{i}]" for number, (model, n_items) in enumerate(groups) for i in range(n_items)
    ]


@given(groups=GROUPS, n_nodes=st.integers(1, 5), seed=st.integers(0, 99))
def test_every_item_runs_once_and_the_nodes_leave(groups, n_nodes, seed):
    items = items_from(groups)
    session = Session(items, n_nodes)
    done = session.run(random.Random(seed))
    assert sorted(item for node in done for item in node) == sorted(items)
    assert all(node.shutting_down for node in session.all_nodes)
    assert session.sched.tests_finished
    assert not session.sched.has_pending


@given(groups=GROUPS, n_nodes=st.integers(1, 5), seed=st.integers(0, 99))
def test_without_crashes_a_group_stays_on_one_node_in_its_order(groups, n_nodes, seed):
    items = items_from(groups)
    for node in Session(items, n_nodes).run(random.Random(seed)):
        for label in {item.partition("::")[0] for item in node}:
            on_node = [item for item in node if item.startswith(f"{label}::")]
            assert on_node == [item for item in items if item.startswith(f"{label}::")]
            start = node.index(on_node[0])
            assert node[start : start + len(on_node)] == on_node


@given(
    groups=GROUPS,
    n_nodes=st.integers(1, 4),
    seed=st.integers(0, 999),
    crashes=st.integers(0, 6),
    is_last=st.booleans(),
)
def test_after_crashes_every_item_has_run_once_and_the_ones_given_up_never(
    groups, n_nodes, seed, crashes, is_last
):
    items = items_from(groups)
    session = Session(items, n_nodes, is_last=is_last)
    done = session.run(random.Random(seed), crashes)
    assert is_last or len(session.crashed) <= crashes // TRIES
    assert sorted([item for node in done for item in node] + session.crashed) == sorted(items)
    assert session.sched.tests_finished


def test_a_node_keeps_its_model_and_a_free_node_takes_the_model_with_the_fewest_workers():
    items = items_of(x_1=3, x_2=3, x_3=3, y_1=3, y_2=3, y_3=3, z_1=3, z_2=3, z_3=3)
    done = Session(items, 2).run()
    assert loads(done) == 4  # 3 models on 2 nodes: the least is 3, and both nodes share the last model


def test_a_node_finishes_its_model_before_it_takes_up_what_a_crashed_node_left():
    session = Session(items_of(x_1=5, y_1=2, y_2=2), 2, is_last=True)
    first, second = session.nodes
    assert session.sched.remove_node(first) == "x|1::t[0]"
    session.finish_one(second)
    assert second.queue == [6, 7, 8]


def test_each_node_gets_a_group_before_any_gets_a_second_one():
    session = Session(items_of(x_1=1, x_2=1, x_3=1), 3)
    assert [node.queue for node in session.nodes] == [[0], [1], [2]]
    assert all(node.shutting_down for node in session.nodes)


def test_a_node_is_fed_when_it_has_one_item_left():
    session = Session(items_of(x_1=3, x_2=3), 1)
    node = session.nodes[0]
    assert node.queue == [0, 1, 2]
    session.finish_one(node)
    assert node.queue == [1, 2]
    session.finish_one(node)
    assert node.queue == [2, 3, 4, 5]


def test_the_longest_group_comes_first_and_the_model_with_the_most_left():
    session = Session(items_of(x_1=2, y_1=2, y_2=4, x_2=1), 1)
    assert session.nodes[0].queue == [4, 5, 6, 7]
    assert session.run() == [[f"{label}::t[{i}]" for label, n in ORDERED for i in range(n)]]


ORDERED = (("y|2", 4), ("y|1", 2), ("x|1", 2), ("x|2", 1))


def test_a_node_that_the_others_will_not_need_again_leaves_and_keeps_no_group_from_them():
    """Each group is one item: with a look-ahead for both nodes the last group would wait for the first."""
    session = Session(["x|1::t", "x|2::t", "x|3::t"], 2, cost={"x|1::t": 9, "x|2::t": 2, "x|3::t": 1}.get)
    assert [node.queue for node in session.nodes] == [[0], [1, 2]]
    assert session.nodes[0].shutting_down


def test_more_nodes_than_groups_sends_the_others_home():
    session = Session(items_of(x_1=3), 3)
    assert [node.queue for node in session.nodes] == [[0, 1, 2], [], []]
    assert [node.shutting_down for node in session.nodes] == [False, True, True]


def test_the_rest_of_a_crashed_node_comes_next_with_its_groups_apart():
    session = Session(items_of(x_1=3, x_2=3, y_1=2, x_3=2), 1, is_last=True)
    node = session.nodes[0]
    session.finish_one(node)
    session.finish_one(node)
    assert node.queue == [2, 3, 4, 5]
    session.finish_one(node)
    fresh = session.crash(node)
    assert session.crashed == ["x|2::t[0]"]
    assert fresh.queue == [4, 5]
    session.finish_one(fresh)
    assert fresh.queue == [5, 8, 9]  # it has x now, so x|3 comes before y|1


def test_a_crash_between_two_groups_gives_up_one_item_at_most_and_keeps_the_models_apart():
    session = Session(items_of(x_1=3, y_1=2, z_1=1), 1, is_last=True)
    node = session.nodes[0]
    session.finish_one(node)
    session.finish_one(node)
    assert node.queue == [2, 3, 4]
    fresh = session.crash(node)
    assert session.crashed == ["x|1::t[2]"]
    assert fresh.queue == [3, 4]


def test_a_living_node_with_work_left_takes_over_from_a_crashed_one():
    session = Session(items_of(x_1=3, x_2=3), 2, is_last=True)
    first, second = session.nodes
    session.nodes.remove(first)
    assert session.sched.remove_node(first) == "x|1::t[0]"
    session.finish_one(second)
    session.finish_one(second)
    assert second.queue == [5, 1, 2]


def test_an_item_that_was_given_up_runs_again_only_when_a_plugin_asks_for_it():
    session = Session(items_of(x_1=3), 1, is_last=True)
    fresh = session.crash(session.nodes[0], retry=True)
    done = session.run()
    assert sorted(done[1]) == sorted(session.items)
    assert fresh.done[0] == 0


def test_a_late_replacement_is_used_although_all_first_nodes_have_left():
    session = Session(items_of(x_1=4), 2)
    first, second = session.nodes
    session.is_last = True
    assert second.shutting_down
    session.nodes.remove(second)
    assert session.sched.remove_node(second) is None
    assert session.sched.collection_is_completed
    fresh = session.crash(first)
    assert session.sched.collection_is_completed
    assert fresh.queue == [1, 2, 3]


def test_a_node_that_never_started_raises_key_error_as_xdist_expects():
    session = Session([], 1)
    with pytest.raises(KeyError):
        session.sched.remove_node(FakeNode("gw9"))


def test_a_node_gets_nothing_before_it_has_collected():
    session = Session(items_of(x_1=2, x_2=2), 1)
    late = FakeNode("gw1")
    session.sched.add_node(late)
    session.sched.schedule()
    assert late.queue == []
    session.collect(late, session.items)
    assert late.queue == [2, 3]


def test_nothing_starts_before_all_first_nodes_have_collected():
    sched = PbScheduling(
        2,
        label=lambda ids: dict.fromkeys(ids, "x"),
        cost=lambda nodeid: 1,
        report_failure=lambda *_: None,
        log=lambda *_: None,
        tries=Tries(),
        blames_item=lambda node: True,
        is_last=lambda: False,
    )
    first, second = FakeNode("gw0"), FakeNode("gw1")
    sched.add_node(first)
    sched.add_node(second)
    sched.add_node_collection(first, ["a", "b"])
    assert not sched.collection_is_completed
    assert not sched.tests_finished
    sched.add_node_collection(second, ["a", "b"])
    assert sched.collection_is_completed
    assert sched.nodes == [first, second]


def test_nodes_that_collected_different_items_fail_the_run_and_nothing_runs():
    session = Session(["a", "b"], 2, [["a", "b"], ["b", "a"]])
    ((node, message),) = session.failures
    assert node == "gw1"
    assert "Different tests were collected between gw0 and gw1. The difference is:" in message
    assert session.sched.tests_finished
    assert [node.queue for node in session.nodes] == [[], []]


def test_a_late_node_with_different_items_is_reported_and_sent_home():
    session = Session(items_of(x_1=2, x_2=2), 1)
    late = FakeNode("gw1")
    session.sched.add_node(late)
    session.collect(late, ["other"])
    assert "Different tests were collected between gw0 and gw1" in session.failures[0][1]
    assert late.shutting_down
    assert late.queue == []
    assert session.run()[0] == session.items


def test_items_nobody_can_run_any_more_do_not_keep_the_run_alive():
    session = Session(items_of(x_1=3), 1)
    session.nodes.clear()
    session.sched.remove_node(session.all_nodes[0])
    late = FakeNode("gw1")
    session.sched.add_node(late)
    assert not session.sched.tests_finished
    session.collect(late, ["other"])
    assert session.failures
    assert session.sched.tests_finished


def test_stealing_is_refused():
    with pytest.raises(NotImplementedError):
        Session([], 1).sched.remove_pending_tests_from_node(FakeNode("gw0"), [0])


def test_ten_thousand_items_are_handed_out_without_quadratic_work():
    items = [f"m|{index // 10}::t[{index}]" for index in range(10_000)]
    done = Session(items, 4).run()
    assert sum(map(len, done)) == len(items)


def test_an_item_that_was_running_when_its_node_died_comes_first_until_it_is_given_up():
    session = Session([f"m:a::{index}" for index in range(3)], 1)
    for _ in range(TRIES - 1):
        session.crash(session.nodes[0])
        assert session.crashed == []
        assert session.nodes[0].queue[0] == 0, "the item that crashed comes first"
    session.crash(session.nodes[0])
    assert session.crashed == ["m:a::0"]
    report = SimpleNamespace(node=FakeNode("gw7"), longrepr="worker 'gw7' crashed while running 'm:a::0'")
    Crashes(session.tries).pytest_handlecrashitem("m:a::0", report)
    assert report.longrepr.startswith(
        "3 workers ended while they ran it, the last was worker 'gw7': it ended "
    )


def test_an_item_of_which_rows_were_in_work_or_that_had_not_begun_is_not_to_blame():
    """The first is found by its rows, which are left out; the last was only the next one."""
    for at_rows, begun in ((True, True), (False, False)):
        session = Session([f"m:a::{index}" for index in range(3)], 1, at_rows=at_rows)
        for _ in range(2 * TRIES):
            session.crash(session.nodes[0], begun=begun)
            assert session.nodes[0].queue[0] == 0
        assert session.crashed == []
        session.is_last = True
        session.crash(session.nodes[0])
        assert session.crashed == ["m:a::0"], "nobody will run it"
