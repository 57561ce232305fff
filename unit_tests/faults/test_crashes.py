"""A process that ends without a word costs the row that ends it; what always ends it is given up."""

import pytest

from pb_plugin.faults.tries import TRIES
from unit_tests.faults.conftest import KILLED, RUN
from unit_tests.long_forms import by_hand

pytest.importorskip("xdist", reason="pytest-xdist is not installed")
pytestmark = pytest.mark.slow

WORD = "it ended without a word (killed, out of memory, or os._exit)"
SAID = {
    "exit": ("worker_crash", WORD),
    "kill": ("worker_crash", WORD),
    "segfault": ("worker_crash", "Segmentation fault in string_at (__init__.py:"),
    "assert": ("model_error", "model faulty raised RuntimeError: CUDA error: device-side assert triggered"),
}


@pytest.mark.parametrize(
    "ways",
    [("kill", "segfault"), pytest.param(("assert", "exit"), marks=by_hand)],
    ids=["kill and segfault", "assert and exit"],
)
def test_the_row_that_ends_two_processes_is_named_and_all_others_are_decoded(faults, ways):
    """Two samples of six end their process, each in its own way; one worker takes over from the other."""
    (first, one), (second, other) = faults.bad(2), faults.bad(4)
    faults.set("model", ways[0], one, **{ways[1]: other})
    result = faults.suite.run_apart(*RUN, "--k", "32", "-n", "1")
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    found = {sample: said for (sample, _, _), said in faults.failures().items()}
    assert set(found) == {first, second}
    for sample, way in ((first, ways[0]), (second, ways[1])):
        kind, message = found[sample]
        assert kind == SAID[way][0]
        assert SAID[way][1] in message
        assert "the last time alone" in message
    assert len(faults.suite.records()) == 6
    result.stdout.fnmatch_lines(["failed, 1 item: 2 of 6 samples failed (*worker_crash); first: left out: *"])
    result.stdout.fnmatch_lines(["a process was ended by a fault*"])


@pytest.mark.parametrize(
    ("place", "said", "deaths"),
    [
        pytest.param(
            *("load", "worker_crash: loading it ended 2 processes: it ended without a word", 2), marks=by_hand
        ),
        ("model", "confidence k=32 with model faulty:load stopped the decoding with 2 samples", 3),
    ],
)
def test_a_model_that_always_ends_its_process_is_given_up_with_the_reason(faults, place, said, deaths):
    faults.set(place, "exit")
    result = faults.suite.run_apart(*RUN, "--model", "ideal", "--k", "32", "-n", "1")
    assert result.ret == 1
    assert sum("replacing crashed worker" in line for line in result.outlines) == deaths
    reasons = [message for _, message in faults.failures().values()]
    assert any(said in text for text in (*reasons, *result.outlines))
    result.assert_outcomes(passed=1, **{"errors" if place == "load" else "failed": 1})


def test_a_device_that_is_lost_ends_a_run_in_one_process_with_the_reason(faults):
    _, bad = faults.bad(2)
    faults.set("model", "assert", bad)
    options = (*RUN, "--k", "32", "--pb-batch", "1", "--pb-share", "off")
    result = faults.suite.run_apart(*options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*= parallelbench =*"])
    result.stdout.fnmatch_lines(
        ["*Exit: model_error: model faulty raised RuntimeError: CUDA error: device-side *"]
    )
    assert faults.suite.records()
    again = faults.suite.run_apart(*options)
    again.assert_outcomes(failed=1)
    assert len(faults.failures()) == 1


def test_a_worker_that_is_killed_at_no_row_costs_nothing_and_an_item_that_ends_three_is_named(suite):
    """As on Ray: ``unit_tests/pb_plugin/cluster/test_supervisor.py``. The second item meets the last kill."""
    suite.pytester.makeconftest(KILLED)
    (suite.pytester.path / "configure").write_text("1")
    (suite.pytester.path / "setup").write_text(str(TRIES + 1))
    run = ("--task", "copy", "--unmasking", "random", "--samples", "2", "--k", "4,8", "-n", "1")
    result = suite.run_apart(*run)
    result.assert_outcomes(passed=1, failed=1)
    said = (
        f"{TRIES} workers ended while they ran it, the last was worker 'gw{TRIES}': it ended without a word"
    )
    result.stdout.fnmatch_lines([f"{said} *"])
    result.stdout.fnmatch_lines(
        ["failed, 1 item: worker_crash: the worker that ran it ended without a word; *"]
    )
    assert len(suite.records()) == 2


def test_where_no_worker_is_replaced_an_item_is_not_tried_again(suite):
    suite.pytester.makeconftest(KILLED)
    (suite.pytester.path / "setup").write_text("1")
    run = ("--task", "copy", "--unmasking", "random", "--samples", "2", "--k", "4", "-n", "1")
    result = suite.run_apart(*run, "--max-worker-restart", "0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["worker 'gw0' ended, and so many have that nothing is tried again: *"])
