"""A run that was killed in the middle: nothing stored is lost, decoded twice, or different afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from unit_tests.long_forms import by_hand

pytestmark = pytest.mark.slow

SLOW_IDEAL = """
import os
import time

from decoders.models import ideal

class SlowIdeal(ideal.Ideal):
    name = "slow"

    def __call__(self, canvas, attend, query, contexts):
        time.sleep(float(os.environ.get("SECONDS_PER_FORWARD", "0")))
        return super().__call__(canvas, attend, query, contexts)

def load(request):
    found = ideal.load(request)
    return SlowIdeal(found.tokenizer, mask_id=found.mask_id, eos_id=1, vocab_size=found.vocab_size)
"""

RUN = ("--model", "slow_ideal:load", "-k", "copy or shuffle", "--samples", "8", "--k", "1,4")
N_CELLS, N_SAMPLES = 24, 8


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing was stored in time"
        time.sleep(0.02)


def n_lines(store):
    return sum(path.read_bytes().count(b"\n") for path in store.glob("*.jsonl"))


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-n", "2"),
        pytest.param(("--pb-batch", "3"), marks=by_hand),
        pytest.param(("--pb-sweep", "isolated"), marks=by_hand),
    ],
    ids=["plain", "two workers", "batch of 3", "isolated"],
)
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(suite, options):
    suite.pytester.makepyfile(slow_ideal=SLOW_IDEAL)
    whole = suite.pytester.path / "whole"
    suite.run_apart(*RUN, store=whole).assert_outcomes(passed=N_CELLS)

    command = [sys.executable, "-m", "pytest", *suite.arguments(*RUN, *options)]
    environment = {**os.environ, "SECONDS_PER_FORWARD": "0.05"}
    with subprocess.Popen(
        command, cwd=suite.pytester.path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        wait_for(lambda: n_lines(suite.store) >= 20 or process.poll() is not None)
        assert process.poll() is None, "the run must not be over yet"
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
    kept = n_lines(suite.store)
    assert 20 <= kept < N_CELLS * N_SAMPLES
    assert not (suite.store / "runs").exists(), "a killed run has no run file"
    assert len(list(suite.store.glob("*.begun"))) == 1

    resumed = suite.run_apart(*RUN, *options)
    resumed.assert_outcomes(passed=N_CELLS)
    keys = Counter(record.decode_key for record in suite.records())
    assert len(keys) == N_CELLS * N_SAMPLES
    assert set(keys.values()) == {1}, "what was stored is not decoded again"
    assert suite.summary() == suite.summary(whole)
    by_key = [{r.decode_key: r.to_json() for r in suite.records(store)} for store in (suite.store, whole)]
    assert by_key[0] == by_key[1]


def test_when_only_the_controller_is_killed_the_workers_leave_and_the_run_resumes(suite):
    suite.pytester.makepyfile(slow_ideal=SLOW_IDEAL)
    command = [sys.executable, "-m", "pytest", *suite.arguments(*RUN, "-n", "2")]
    environment = {**os.environ, "SECONDS_PER_FORWARD": "0.02"}
    with subprocess.Popen(
        command,
        cwd=suite.pytester.path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        wait_for(lambda: n_lines(suite.store) >= 5)
        process.kill()
        process.wait(timeout=60)
    wait_for(lambda: not group_is_alive(process.pid))
    suite.run_apart(*RUN, "-n", "2").assert_outcomes(passed=N_CELLS)
    keys = Counter(record.decode_key for record in suite.records())
    assert len(keys) == N_CELLS * N_SAMPLES
    assert set(keys.values()) == {1}


def test_two_runs_at_once_on_one_store_give_what_one_gives(suite):
    suite.pytester.makepyfile(slow_ideal=SLOW_IDEAL)
    whole = suite.pytester.path / "whole"
    suite.run_apart(*RUN, store=whole).assert_outcomes(passed=N_CELLS)

    environment = {**os.environ, "SECONDS_PER_FORWARD": "0.005"}
    commands = [[sys.executable, "-m", "pytest", *suite.arguments(*RUN)] for _ in range(2)]
    both = [
        subprocess.Popen(command, cwd=suite.pytester.path, env=environment, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    by_key = [{r.decode_key: r.to_json() for r in suite.records(store)} for store in (suite.store, whole)]
    assert by_key[0] == by_key[1]
    assert suite.summary() == suite.summary(whole)
    assert len({path.name.split("-")[-1] for path in suite.store.glob("*.jsonl")}) == 2, "each has its files"


def group_is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
