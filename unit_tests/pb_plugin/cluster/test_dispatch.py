"""Groups to workers: everything runs once, whatever is lost; what always takes its worker along is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.cluster.dispatch import Dispatch
from pb_plugin.faults.tries import TRIES, Tries

GROUPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), max_size=8)


def labels_of(groups):
    return {
        f"{model}{number}[{i}]": f"{model}|{number}"
        for number, (model, n_items) in enumerate(groups)
        for i in range(n_items)
    }


def dispatch_of(groups, tries=None):
    return Dispatch(labels_of(groups), lambda nodeid: 1, tries or Tries())


def test_the_longest_group_comes_first_and_a_worker_keeps_its_model():
    dispatch = dispatch_of([("a", 1), ("b", 3), ("a", 2)])
    assert dispatch.take("w") == ["b1[0]", "b1[1]", "b1[2]"]
    for nodeid in ("b1[0]", "b1[1]", "b1[2]"):
        dispatch.ended("w", nodeid)
    assert dispatch.take("w") == ["a2[0]", "a2[1]"]
    assert not dispatch.is_finished
    assert dispatch.take("v") == ["a0[0]"]
    assert dispatch.take("v") is None


@pytest.mark.parametrize("n_lost", range(TRIES))
def test_a_crash_costs_nothing_unless_the_item_ends_the_next_sessions_too(n_lost):
    """A worker that is lost counts like a session."""
    tries = Tries()
    dispatch = dispatch_of([("a", 3), ("a", 2)], tries)
    dispatch.take("w")
    dispatch.ended("w", "a0[0]")
    for time in range(TRIES - 1):
        tries.begun("a0[1]")
        assert (dispatch.lost if time < n_lost else dispatch.crashed)("w") is None
        assert dispatch.take("w") == ["a0[1]", "a0[2]"]
    assert dispatch.crashed("w") is None, "it had begun in another session"
    dispatch.take("w")
    tries.begun("a0[1]")
    assert dispatch.crashed("w") == "a0[1]"
    assert dispatch.take("w") == ["a0[2]"]
    assert dispatch.crashed("w", is_last=True) == "a0[2]"
    assert dispatch.crashed("idle") is None


def test_a_lost_worker_costs_nothing_unless_the_item_takes_the_next_one_along_too():
    tries = Tries()
    dispatch = dispatch_of([("a", 2)], tries)
    for _ in range(TRIES - 1):
        dispatch.take("w")
        tries.begun("a0[0]")
        assert dispatch.lost("w") is None
    assert dispatch.take("v") == ["a0[0]", "a0[1]"]
    tries.begun("a0[0]")
    assert dispatch.lost("v") == "a0[0]"
    assert dispatch.take("u") == ["a0[1]"]


def test_what_could_not_begin_is_given_back_and_what_nobody_can_run_is_given_up():
    dispatch = dispatch_of([("a", 2), ("b", 1)])
    dispatch.take("w")
    dispatch.unfit("w")
    assert dispatch.n_left == 3
    assert sorted(dispatch.give_up()) == ["a0[0]", "a0[1]", "b1[0]"]
    assert dispatch.is_finished


@given(GROUPS, st.integers(1, 4), st.randoms(use_true_random=False), st.integers(0, 6))
def test_every_item_ends_once_whatever_happens(groups, n_workers, rng, n_faults):
    tries, ended, at_work = Tries(), [], {}
    dispatch = dispatch_of(groups, tries)
    names = iter(range(1000))
    workers = [f"w{next(names)}" for _ in range(n_workers)]
    while not dispatch.is_finished:
        for worker in workers:
            if not at_work.get(worker):
                at_work[worker] = list(dispatch.take(worker) or ())
        worker = rng.choice([name for name in workers if at_work[name]])
        fault = rng.choice(["crashed", "lost", "unfit"]) if n_faults and rng.random() < 0.5 else None
        if fault is None:
            nodeid = at_work[worker].pop(0)
            dispatch.ended(worker, nodeid)
            ended.append(nodeid)
            continue
        n_faults -= 1
        if rng.random() < 0.5:
            tries.begun(at_work[worker][0])
        failed = getattr(dispatch, fault)(worker)
        ended += [] if failed is None else [failed]
        del at_work[worker]
        workers[workers.index(worker)] = f"w{next(names)}"
    assert sorted(ended) == sorted(labels_of(groups))
