"""Kills runs with SIGKILL at random moments and compares the final report with that of an undisturbed run.

``python -m unit_tests.faults.kill_campaign --kills 100`` is the long form, with ``-n 2`` for runs with two
workers; a slow test makes the short one. A run in one process is a fork of this one, which has everything
imported, so that a kill takes half a second.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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
OPTIONS = [
    "-p",
    "pb_plugin.plugin",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:hypothesispytest",
    "-q",
    "--pb-store=store",
]
OPTIONS += ["--model", "slow_ideal:load", "--task", "copy", "--samples", "8", "--k", "1,4", "test_bench.py"]


def start(folder, options):
    """Start a run in *folder* and return its process id; it leads a process group of its own."""
    command = [sys.executable, "-m", "pytest", *OPTIONS, *options]
    if options:
        output = (folder / "output.txt").open("ab")
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True).pid
    child = os.fork()
    if child:
        return child
    os.setsid()
    os.chdir(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.path.insert(0, str(folder))
    import pytest

    code = 70
    try:
        code = int(pytest.main(OPTIONS))
    finally:
        os._exit(code)


def folder_of(parent, name):
    """Return a new folder with a user's test file and model."""
    folder = parent / name
    folder.mkdir()
    (folder / "slow_ideal.py").write_text(SLOW_IDEAL, encoding="utf-8")
    (folder / "test_bench.py").write_text(TEST, encoding="utf-8")
    return folder


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
    """Return the number of lines in the store, and that of different keys."""
    lines = [
        json.loads(x)
        for f in (folder / "store").glob("*.jsonl")
        for x in f.read_bytes().splitlines(True)
        if x.endswith(b"\n")
    ]
    return len(lines), len({line["decode_key"] for line in lines})


def campaign(kills, options, seed, parent):
    """Kill *kills* runs; return how many stores came to their end, and in how many runs."""
    whole = folder_of(parent, "whole")
    began = time.monotonic()
    process = start(whole, options)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, (whole / "output.txt").read_text()
    longest = time.monotonic() - began
    expected, moments = report(whole), random.Random(seed)
    done = rounds = runs = 0
    folder = None
    while done < kills or folder is not None:
        if folder is None:
            rounds += 1
            folder = folder_of(parent, f"round{rounds}")
        process, runs = start(folder, options), runs + 1
        until = time.monotonic() + moments.uniform(0.0, 0.9 * longest) if done < kills else float("inf")
        ended = 0
        while not ended and time.monotonic() < until:
            time.sleep(0.005)
            ended, status = os.waitpid(process, os.WNOHANG)
        if not ended:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            done += 1
            continue
        assert os.waitstatus_to_exitcode(status) == 0, (folder / "output.txt").read_text()
        assert report(folder) == expected, f"{folder}: {difference(expected, report(folder))}"
        lines, keys = n_records(folder)
        assert lines == keys, f"{folder}: {lines} records of {keys} results: decoded twice"
        assert not list((folder / "store").glob("at_work/*")), f"{folder}: something is left at work"
        folder = None
    return rounds, runs


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-n", dest="workers", type=int, default=0)
    asked = parser.parse_args(argv)
    os.environ["PYTHONPATH"] = str(ROOT)
    import pytest  # noqa: F401  (a fork has it then)
    import torch

    import pb_plugin.controller
    import pb_plugin.report.terminal
    import pb_plugin.session.session  # noqa: F401

    torch.set_num_threads(1)
    options = ["-n", str(asked.workers)] if asked.workers else []
    with tempfile.TemporaryDirectory() as parent:
        began = time.monotonic()
        rounds, runs = campaign(asked.kills, options, asked.seed, Path(parent))
        seconds = time.monotonic() - began
    print(
        f"{asked.kills} kills in {runs} runs over {rounds} stores, seed {asked.seed}: every report is "
        f"that of an undisturbed run, no result decoded twice ({seconds:.0f} s)"
    )


if __name__ == "__main__":
    main()
