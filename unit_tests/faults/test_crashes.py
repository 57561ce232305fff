"""A process that ends without a word costs the row that ends it, and what always ends it is tried no more than thrice."""

import pytest

from unit_tests.faults.conftest import RUN

pytest.importorskip("xdist", reason="pytest-xdist is not installed")
pytestmark = pytest.mark.slow

SAID = {
    "exit": "it ended without a word (killed, out of memory, or os._exit)",
    "kill": "it ended without a word (killed, out of memory, or os._exit)",
    "segfault": "Segmentation fault in string_at (__init__.py:",
    "assert": "model faulty raised RuntimeError: CUDA error: device-side assert triggered",
}


@pytest.mark.parametrize("fault", SAID)
def test_the_row_that_ends_two_processes_is_named_and_all_others_are_decoded(faults, fault):
    sample, bad = faults.bad(2)
    faults.set("model", fault, bad)
    result = faults.suite.run_apart(*RUN, "--k", "32", "-n", "1")
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    ((found, (kind, message)),) = faults.failures().items()
    assert found[0] == sample
    assert kind == ("model_error" if fault == "assert" else "worker_crash")
    assert SAID[fault] in message
    assert "the last time alone" in message
    assert len(faults.suite.records()) == 6
    result.stdout.fnmatch_lines([f"failed, 1 item: 1 of 6 samples failed ({kind}); first: left out: *"])
    faults.cure()
    faults.suite.run_apart(*RUN, "--k", "32").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("load", "worker_crash: loading it ended 2 processes: it ended without a word"),
        ("model", "model faulty:load stopped the decoding with 2 samples, each alone, and has decoded none"),
    ],
)
def test_a_model_that_always_ends_its_process_is_given_up_with_the_reason(faults, place, said):
    faults.set(place, "exit")
    options = (*RUN, "--unmasking", "random,margin", "--model", "ideal", "--k", "8,32")
    result = faults.suite.run_apart(*options, "-n", "2", "--max-worker-restart", "5")
    assert result.ret == 1
    deaths = sum("replacing crashed worker" in line for line in result.outlines)
    assert deaths <= (2 if place == "load" else 5), "the two workers may both have it in their first try"
    result.stdout.fnmatch_lines([f"*{said}*"])
    result.assert_outcomes(passed=6, **{"errors" if place == "load" else "failed": 6})


def test_a_device_that_is_lost_ends_a_run_in_one_process_with_the_reason(faults):
    _, bad = faults.bad(2)
    faults.set("model", "assert", bad)
    options = (*RUN, "--k", "32", "--pb-batch", "1")
    result = faults.suite.run_apart(*options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*Exit: model_error: model faulty raised RuntimeError: CUDA error: device-side *"])
    result.stdout.fnmatch_lines(["*= parallelbench =*"])
    assert faults.suite.records()
    again = faults.suite.run_apart(*options)
    again.assert_outcomes(failed=1)
    assert len(faults.failures()) == 1
