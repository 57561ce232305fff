"""Whose turn it is: workers that foresee take what they would take when idle."""

from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.portions.turns import Turn, model_for, next_turn


def test_a_worker_keeps_its_model_else_takes_that_of_the_fewest_workers_with_the_most_left():
    left = {"a": [1], "b": [5, 5], "c": [9]}
    assert model_for("a", left, ["a", "a"]) == "a"
    assert model_for(None, left, []) == "b"
    assert model_for("gone", left, ["b"]) == "c"
    assert model_for(None, left, ["c", "b", "b"]) == "a"


def test_it_foresees_what_the_others_take_first():
    models = {0: "a", 1: "a"}
    assert next_turn(0, {"a": [3, 2, 1]}, {0: 0, 1: 0}, models) == Turn("a", 0)
    assert next_turn(1, {"a": [3, 2, 1]}, {0: 0, 1: 0}, models) == Turn("a", 1)
    assert next_turn(0, {"a": [3, 2, 1]}, {0: 4, 1: 0}, models) == Turn("a", 2)
    assert next_turn(0, {"a": [3, 2, 1]}, {0: 9, 1: 0}, models) is None
    assert next_turn(0, {}, {0: 0}, {0: None}) is None


def run(costs, n_workers, *, ahead):
    """Return when the last worker ends; *ahead* workers choose the next group as they begin one."""
    left, ends, waiting = {"a": list(costs)}, [0] * n_workers, [None] * n_workers
    models = dict.fromkeys(range(n_workers), "a")

    def take(worker):
        if not left["a"]:
            return None
        turn = next_turn(worker, left, dict(enumerate(loads)), models)
        return None if turn is None else left["a"].pop(turn.place)

    now, running, loads = [0] * n_workers, [None] * n_workers, [0] * n_workers
    for worker in range(n_workers):
        running[worker] = left["a"].pop(0) if left["a"] else None
        loads[worker] = running[worker] or 0
    if ahead:
        for worker in range(n_workers):
            waiting[worker] = take(worker)
            loads[worker] += waiting[worker] or 0
    while any(cost is not None for cost in running):
        worker = min(
            (w for w in range(n_workers) if running[w] is not None), key=lambda w: now[w] + running[w]
        )
        passed = running[worker]
        for other in range(n_workers):  # what the others have done meanwhile is unknown to the scheduler
            now[other] = now[other]
        now[worker] += passed
        ends[worker] = now[worker]
        loads[worker] -= passed
        if ahead:
            running[worker] = waiting[worker]
            waiting[worker] = take(worker) if running[worker] is not None else None
            loads[worker] += waiting[worker] or 0
        else:
            running[worker] = left["a"].pop(0) if left["a"] else None
    assert not left["a"]
    return max(ends, default=0)


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 6))
def test_looking_ahead_costs_at_most_one_group(costs, n_workers):
    costs = sorted(costs, reverse=True)
    idle_at_once = run(costs, n_workers, ahead=False)
    assert run(costs, n_workers, ahead=True) <= idle_at_once + max(costs, default=0)
    assert idle_at_once <= sum(costs) / n_workers + max(costs, default=0)
