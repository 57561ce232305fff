"""Workers on GPUs of their own, and runs in parts: what each process sees, and that nothing else changes."""

import pytest

pytest.importorskip("xdist", reason="pytest-xdist is not installed")

MODEL = """
import os, time
from pathlib import Path
from unit_tests.user_parts import Babble

def load(request):
    seen = [os.environ.get(name, "") for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")]
    with Path("seen.txt").open("a") as file:
        file.write(" ".join([os.environ["PYTEST_XDIST_WORKER"], *seen]) + "\\n")
    if os.environ.get("CRASHING") and os.environ["PYTEST_XDIST_WORKER"] == "gw0":
        os._exit(3)
    ends = time.monotonic() + 60 * bool(os.environ.get("CRASHING"))
    while "gw2" not in Path("seen.txt").read_text() and time.monotonic() < ends:
        time.sleep(0.05)  # it leaves work for the one that replaces the first
    return Babble()
"""

RUN = ("--model", "pinned_model:load", "--task", "copy,sort", "--unmasking", "random", "--k", "8,16,32")
RUN += ("--samples", "2", "-p", "xdist")


@pytest.fixture
def seen(suite, monkeypatch):
    """Run with a faked list of GPUs; return the result, and what each worker saw when it loaded its model."""
    suite.pytester.makepyfile(pinned_model=MODEL)
    monkeypatch.delenv("OMP_NUM_THREADS")

    def run(*options, gpus="3,MIG-a,7", **environ):
        for name, value in {"CUDA_VISIBLE_DEVICES": gpus, **environ}.items():
            monkeypatch.setenv(name, value)
        result = suite.run_apart(*RUN, *options)
        log = suite.pytester.path / "seen.txt"
        return result, sorted(set(log.read_text().splitlines())) if log.exists() else []

    return run


@pytest.mark.slow
def test_two_workers_take_two_gpus_and_share_the_threads(seen):
    result, lines = seen("-n", "2")
    assert result.ret == 0
    assert [line.split()[:2] for line in lines] == [["gw0", "3"], ["gw1", "MIG-a"]]
    assert {len(line.split()) for line in lines} == {3}
    result.stdout.fnmatch_lines(["parallelbench: gw0, gw1 on the CPU, 1 thread"])


@pytest.mark.slow
def test_a_worker_that_replaces_another_has_its_gpu(seen):
    result, lines = seen("-n", "auto", "--maxprocesses", "2", CRASHING="1")
    result.assert_outcomes(passed=6)  # what was not decoded when the first ended is decoded by the other
    assert [line.split()[:2] for line in lines] == [["gw0", "3"], ["gw1", "MIG-a"], ["gw2", "3"]]
    result.stdout.fnmatch_lines(["parallelbench: gw0 on GPU 3 (ended before it could name it)"])


def test_more_workers_than_gpus_are_refused_with_the_cure(seen):
    result, lines = seen("-n", "4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: -n must be at most 3 on 3 GPUs (3, MIG-a, 7) with 1 to each, got 4; let more *"]
    )
    assert lines == []


PARTS = ("--task", "copy,sort", "--unmasking", "random", "--k", "4,8,16", "--samples", "5")


def test_shards_merge_into_the_store_of_the_whole_run(suite, capsys):
    from pb_plugin.cli import main

    suite.run(*PARTS).assert_outcomes(passed=6)
    whole, path = suite.summary(), suite.pytester.path
    n_items = []
    for number in (1, 2, 3):
        store = path / f"shard{number}"
        result = suite.run(*PARTS, "--pb-gate", "PB80>=1", f"--pb-shard={number}/3", store=store)
        assert result.ret == 0
        n_items.append(result.parseoutcomes()["passed"])
        result.stdout.fnmatch_lines(
            [f"*shard {number}/3, {n_items[-1]} of 6 items; no gate was judged; after*"]
        )
    assert sum(n_items) == 6
    assert all(n_items)
    merged = path / "merged"
    assert (
        main(["merge", *(str(path / f"shard{number}") for number in (1, 2, 3)), "--into", str(merged)]) == 0
    )
    assert len(suite.records(merged)) == len(suite.records()) == 6 * 5
    result = suite.run(*PARTS, "--pb-gate", "copy:score@k4>=100", store=merged)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["gate passed: *", "6 of 6 items reused; *"])
    assert suite.summary(merged) == whole


def test_an_empty_shard_ends_well_says_so_and_leaves_a_store_that_merges(suite):
    store = suite.pytester.path / "empty"
    result = suite.run(*PARTS, "-k", "copy and k4", "--pb-shard", "1/9", store=store)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*shard 1/9, 0 of 1 items: nothing to do, which is no fault; after all*"])
    assert store.is_dir()
    assert suite.run(*PARTS, "-k", "nothing", "--pb-shard", "1/9").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.slow
@pytest.mark.parametrize(("shard", "n_items"), [("1/9", 0), ("5/9", 1)])
def test_shards_with_workers(suite, shard, n_items):
    result = suite.run_apart(*PARTS, "-k", "copy and k4", "--pb-shard", shard, "-n", "2")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*shard {shard}, {n_items} of 1 items*"])


@pytest.mark.parametrize(
    "options", [("--pb-sweep", "gate", "--pb-gate", "PB80>=1"), ("--pb-save-baseline", "b.json")]
)
def test_what_needs_every_sample_is_refused(suite, options):
    result = suite.run(*PARTS, "--pb-shard", "1/2", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --pb-shard must come without {options[0]}*, got both; *pb merge*"])
