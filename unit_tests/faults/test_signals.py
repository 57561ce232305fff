"""What asks a run to end ends it in order and soon, with the summary of what is there."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unit_tests.faults.conftest import RUN
from unit_tests.long_forms import by_hand

pytestmark = pytest.mark.slow


def start(faults, *options):
    """Start a slow run and return it when it has stored something."""
    faults.set("model", "doze")
    suite = faults.suite
    # a shell's background job ignores SIGINT, and so would its child
    listening = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"import signal, sys, pytest; {listening}; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *suite.arguments(*RUN, "--k", "1", "--pb-batch", "1", *options)]
    environment = {**os.environ, "PYTHONPATH": f"{suite.pytester.path}:{os.environ['PYTHONPATH']}"}
    process = subprocess.Popen(
        command, cwd=suite.pytester.path, env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 90.0
    while not any(path.stat().st_size for path in suite.store.glob("*.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def processor_s(pid):
    """Return the processor time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="the time of a running process is read from /proc")
@pytest.mark.parametrize(
    ("number", "options"),
    [
        (signal.SIGTERM, ()),
        pytest.param(signal.SIGHUP, (), marks=by_hand),
        pytest.param(signal.SIGTERM, ("-n", "1"), marks=by_hand),
    ],
    ids=["SIGTERM", "SIGHUP", "SIGTERM with a worker"],
)
def test_a_signal_ends_the_run_soon_with_its_summary(faults, number, options):
    with start(faults, *options) as process:
        ended_before, spent_before = resource.getrusage(resource.RUSAGE_CHILDREN), processor_s(process.pid)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = ended.ru_utime + ended.ru_stime - ended_before.ru_utime - ended_before.ru_stime - spent_before
        print(f"{took:.1f} s")
        assert took < 5.0, "so long on an idle machine; others can make it wait, not compute"
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert b"= parallelbench =" in said
    assert b"0 of 1 items reused; records in" in said
    kept = len(faults.suite.records())
    assert 0 < kept < 6
    faults.cure()
    faults.suite.run(*RUN, "--k", "1", "--pb-batch", "1").assert_outcomes(passed=1)
    assert len(faults.suite.records()) == 6, "what was decoded before is not decoded again"


def test_a_second_ctrl_c_ends_the_run_at_once():
    """While the first one is being answered, whatever that takes."""
    code = """
import time
from pb_plugin.faults.signals import Signals
signals = Signals()
signals.take()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    signals.end_at_once_next()
    print("first", flush=True)
    time.sleep(60)
"""
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    with subprocess.Popen(
        [sys.executable, "-c", listening + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for word in ("ready", "first"):
            assert process.stdout.readline().strip() == word
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=50) == pytest.ExitCode.INTERRUPTED
        assert "interrupted again, ended at once; what was decoded is stored" in process.stderr.read()
