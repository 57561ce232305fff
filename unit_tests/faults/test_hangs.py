"""What hangs is ended and named: a model, a method, in Python or in C code, in one process or in a worker."""

import json

import pytest

from unit_tests.faults.conftest import RUN
from unit_tests.long_forms import by_hand

TWO = ("--k", "8,32")


@pytest.mark.parametrize("fault", ["sleep", "loop"])
def test_a_model_that_hangs_on_a_sample_fails_that_sample_and_the_next_run_tries_again(faults, fault):
    sample, bad = faults.bad(2)
    faults.set("model", fault, bad)
    result = faults.suite.run(*RUN, *TWO, "--pb-timeout", "0.5")
    result.assert_outcomes(failed=2)
    assert result.ret == 1
    found = faults.failures()
    assert set(found) == {(sample, "confidence", 8), (sample, "confidence", 32)}
    for kind, message in found.values():
        assert kind == "timeout"
        assert "model faulty was not back within 0.5 s; see --pb-timeout" in message
    result.stdout.fnmatch_lines(["failed, 2 items: 1 of 6 samples failed (timeout); first: left out: *"])
    summary = json.loads(faults.suite.summary())
    assert [cell["errors"] for cell in summary["cells"]] == [{"timeout": 1}, {"timeout": 1}]

    kept = faults.suite.run(*RUN, *TWO, "--pb-keep-failures")
    kept.assert_outcomes(failed=2)
    faults.cure()
    faults.suite.run(*RUN, *TWO).assert_outcomes(passed=2)


def test_a_method_that_hangs_on_every_sample_is_left_out_after_two_and_named(faults):
    faults.set("method", "sleep")
    options = (*RUN, "--unmasking", "faulty:Method", "--k", "32")
    result = faults.suite.run(*options, "--pb-timeout", "0.3")
    result.assert_outcomes(failed=1, passed=1)
    reasons = [message for _, message in faults.failures().values()]
    assert len(reasons) == 6
    assert (
        sum(
            "wild k=32 with model faulty:load stopped the decoding with 2 samples" in text for text in reasons
        )
        == 4
    )
    assert all("method wild was not back within 0.3 s" in text for text in reasons)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [pytest.param("hang", marks=by_hand), "hang with the lock"])
def test_a_hang_in_c_code_ends_a_run_in_one_process_and_later_runs_leave_the_row_out(faults, fault):
    """First it is one of several rows, then alone, then it is left out and named, then tried again."""
    sample, bad = faults.bad(2)
    faults.set("model", fault, bad)
    options = (*RUN, "--k", "32", "--pb-timeout", "0.5")
    ended = faults.suite.run_apart(*options)
    assert ended.ret == 1
    assert not faults.suite.records()

    alone = faults.suite.run_apart(*options)
    assert alone.ret == 1
    assert len(faults.suite.records()) == 2, "what is decoded before it is stored"

    named = faults.suite.run_apart(*options)
    named.assert_outcomes(failed=1)
    assert named.ret == 1
    ((found, (kind, message)),) = faults.failures().items()
    assert (found[0], kind) == (sample, "timeout")
    assert "it hung in C code in hang_in_c (faulty.py:" in message
    named.stdout.fnmatch_lines(["a process was ended by a fault*: timeout: it hung in C code in hang_in_c *"])

    faults.cure()
    faults.suite.run_apart(*options).assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_worker_that_hangs_in_c_code_is_replaced_and_the_run_goes_on(faults):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    sample, bad = faults.bad(2)
    faults.set("model", "hang with the lock", bad)
    result = faults.suite.run_apart(*RUN, "--k", "8,32", "--pb-timeout", "0.5", "-n", "1")
    assert result.ret == 1
    result.assert_outcomes(failed=2)
    found = faults.failures()
    assert {key[0] for key in found} == {sample}
    assert {kind for kind, _ in found.values()} == {"timeout"}
    assert len(faults.suite.records()) == 12
