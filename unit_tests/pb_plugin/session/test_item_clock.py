"""Runs with pytest-timeout: what items share has the time of all of them, and a hang is still cut."""

import time

import pytest

pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed; pip install -e '.[test]'")

GROUP = ("--task", "copy", "--unmasking", "random", "--k", "1,4,16", "--samples", "2")
LIMIT = ("--timeout", "1.5")


def sleeps_once(function, seconds):
    """Return *function* with a pause before its first call."""
    pauses = iter([seconds])

    def slow(*arguments, **named):
        time.sleep(next(pauses, 0.0))
        return function(*arguments, **named)

    return slow


@pytest.mark.parametrize(
    ("shared", "func_only"),
    [("decode", "false"), ("decode", "true"), ("loaded", "false"), ("check_batches", "false")],
)
def test_what_a_group_shares_has_the_time_of_all_its_items(suite, monkeypatch, shared, func_only):
    from pb_plugin.running.bench import Bench

    monkeypatch.setattr(Bench, shared, sleeps_once(getattr(Bench, shared), 2.0))
    result = suite.run(*GROUP, *LIMIT, "-o", f"timeout_func_only={func_only}")
    result.assert_outcomes(passed=3)


def test_a_hang_is_cut_and_costs_its_own_item_and_the_first(suite, monkeypatch):
    """The first item of a group decodes the group; once that is cut, the others decode each on its own."""
    from decoders.unmasking.top_k import TopK

    step = TopK.step

    def hanging(self, view, memory):
        if (view.quota == 4).any():
            time.sleep(60)
        return step(self, view, memory)

    with monkeypatch.context() as patch:
        patch.setattr(TopK, "step", hanging)
        result = suite.run(*GROUP, *LIMIT)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["failed, 1 item: Timeout (>4.5s) from pytest-timeout.", "failed, 1 item: Timeout (>1.5s) *"]
    )
    suite.run(*GROUP, *LIMIT).assert_outcomes(passed=3)
    keys = [record.decode_key for record in suite.records()]
    assert len(keys) == len(set(keys)) == 3 * 2
