"""A run that a campaign disturbs: its folder, how it is started, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

SLOW_IDEAL = """
import time
from decoders.models import ideal

class SlowIdeal(ideal.Ideal):
    name = "slow"

    def __call__(self, canvas, attend, query, contexts):
        time.sleep(0.004)
        return super().__call__(canvas, attend, query, contexts)

def load(request):
    found = ideal.load(request)
    return SlowIdeal(found.tokenizer, mask_id=found.mask_id, eos_id=1, vocab_size=found.vocab_size)
"""
TEST = """
def test_cell(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
"""
OPTIONS = ["-p", "pb_plugin.plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q"]
OPTIONS += ["--pb-store=store", "--model", "slow_ideal:load", "--samples", "8", "test_bench.py"]


def folder_of(parent, name):
    """Return a new folder with a user's test file and model."""
    folder = parent / name
    folder.mkdir()
    (folder / "slow_ideal.py").write_text(SLOW_IDEAL, encoding="utf-8")
    (folder / "test_bench.py").write_text(TEST, encoding="utf-8")
    return folder


def spawned(folder, options):
    """Start a run in *folder* as a process of its own, which leads a process group."""
    command = [sys.executable, "-m", "pytest", *OPTIONS, *options]
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)


class Forked:
    """A run in *folder*: a fork of this process, which has everything imported; it leads a process group."""

    def __init__(self, folder, options):
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.setsid()
            os.chdir(folder)
            output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            for stream in (1, 2):
                os.dup2(output, stream)
            sys.path.insert(0, str(folder))
            import pytest

            code = int(pytest.main([*OPTIONS, *options]))
        finally:
            os._exit(code)

    def poll(self):
        """Return the exit code, minus the signal that ended it, or None while it runs."""
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None


def kill_group(run):
    """Kill the process of a run with all that it has started and that did not leave its group."""
    os.killpg(run.pid, signal.SIGKILL)


def processes(folder):
    """Return the processes that work in *folder*: those of a run, on whatever machine of ours."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue
    return found


def report(folder):
    """Return what ``pb report`` says of the store, as JSON and as text.

    Without the time of the run, and without how many rows its last process decoded again alone as a check.
    """
    from pb_plugin.report.stored import read_report

    before = Path.cwd()
    os.chdir(folder)
    try:
        found = read_report(Path("store"), None)
        values, lines = found.to_json(), found.lines()
    finally:
        os.chdir(before)
    for name in ("created", "batch_check", "file"):
        del values["run"][name]
    told = [line for line in lines if not line.startswith(("run ", "batch check: "))]
    assert len(told) >= len(lines) - 2
    return (json.dumps(values, sort_keys=True) + "\n".join(told)).encode()


def difference(expected, found):
    """Return the first bytes in which two reports differ."""
    at = next((i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), 0)
    near = slice(max(0, at - 80), at + 80)
    return f"undisturbed {expected[near]!r}, after kills {found[near]!r}"


def n_records(folder):
    """Return the number of results in the store, and that of different keys; failures are no results."""
    lines = [
        json.loads(x)
        for f in (folder / "store").glob("*.jsonl")
        for x in f.read_bytes().splitlines(True)
        if x.endswith(b"\n")
    ]
    results = [line for line in lines if line.get("error") is None]
    return len(results), len({line["decode_key"] for line in results})
