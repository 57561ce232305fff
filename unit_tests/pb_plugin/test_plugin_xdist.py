"""Runs with pytest-xdist: the same results, each decoded once; crashes cost no more than they must."""

import importlib
from collections import Counter

import pytest

from unit_tests.long_forms import by_hand

pytest.importorskip("xdist", reason="pytest-xdist is not installed")

SMALL = ("--task", "copy,shuffle", "--unmasking", "random", "--unmasking", "threshold:gamma=0.5,0.9")
SMALL += ("--k", "1,4", "--samples", "6")

USER_CODE = """
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.state import StepUpdate

class Babble(HashDenoiser):
    name = "babble"

    def __init__(self):
        super().__init__(vocab_size=300)
        self.tokenizer = ByteTokenizer(vocab_size=300)

    def encode_prompt(self, messages):
        return [2]

def log_load(name):
    with Path("loads.txt").open("a") as file:
        file.write(f"{name} {os.getpid()}\\n")
    return Babble()

def first(request):
    return log_load("first")

def second(request):
    return log_load("second")

@dataclass(frozen=True, kw_only=True)
class Crashing:
    name: ClassVar[str] = "crashing"
    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar = ({},)
    needs: ClassVar = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    def init(self, view):
        return None

    def step(self, view, memory):
        if (view.quota == 4).any():
            os._exit(3)
        rank = view.rank(view.confidence)
        return StepUpdate(unmask=rank < view.quota.unsqueeze(1), tokens=view.proposals), None
"""


def test_two_workers_give_what_one_process_gives_and_decode_nothing_twice(suite):
    suite.run(*SMALL).assert_outcomes(passed=8)
    apart = suite.pytester.path / "apart"
    result = suite.run(*SMALL, "-n", "2", "-v", store=apart)
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["scheduling tests via PbScheduling", "0 of 8 items reused; *"])
    assert suite.summary(apart) == suite.summary()
    keys = Counter(record.decode_key for record in suite.records(apart))
    assert len(keys) == 8 * 6
    assert set(keys.values()) == {1}
    assert len(list(apart.glob("*-gw[01]-*.jsonl"))) == 2
    runs = [next((store / "runs").glob("*.json")).read_text() for store in (suite.store, apart)]
    assert runs[0] == runs[1], "every process makes the same plan"


@pytest.mark.slow
def test_workers_reuse_what_one_process_stored(suite):
    suite.run(*SMALL)
    result = suite.run(*SMALL, "-n", "2")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["8 of 8 items reused; *"])
    assert len(suite.records()) == 8 * 6


@pytest.mark.slow
def test_a_worker_loads_each_of_its_models_once(suite):
    suite.pytester.makepyfile(two_models=USER_CODE)
    options = ("--model", "two_models:first", "--model", "two_models:second", "--task", "copy,sort,reverse")
    options += ("--unmasking", "random,margin", "--k", "8,16", "--samples", "2")
    suite.run_apart(*options, "-n", "2").assert_outcomes(passed=24)
    loads = Counter(suite.pytester.path.joinpath("loads.txt").read_text().splitlines())
    assert set(loads.values()) == {1}, "once for each model and process"
    assert {line.partition(" ")[0] for line in loads} == {"first", "second"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "tasks",
    [pytest.param("copy", marks=by_hand), "copy,sort"],
    ids=["a cell to a group", "groups of cells"],
)
def test_a_crash_in_a_method_is_reported_and_every_other_item_runs(suite, tasks):
    """The items with the rows that crash fail, whichever item was decoding them."""
    suite.pytester.makepyfile(crashing_method=USER_CODE)
    options = ("--task", tasks, "--unmasking", "random", "--unmasking", "crashing_method:Crashing")
    result = suite.run_apart(*options, "--k", "4,8", "--samples", "2", "-n", "2")
    n_tasks = tasks.count(",") + 1
    assert result.ret == 1
    result.assert_outcomes(passed=3 * n_tasks, failed=n_tasks)
    for task in tasks.split(","):
        result.stdout.fnmatch_lines(
            [f"{task} ideal crashing k=4: 2 of 2 samples failed (worker_crash); first: left out: *"]
        )
    keys = Counter(record.decode_key for record in suite.records())
    assert len(keys) == 4 * n_tasks * 2
    assert set(keys.values()) == {1}, "who takes over does not decode again what the dead worker had stored"
    assert not list(suite.store.glob("*.begun"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "scheduling"),
    [("def test_cell(pb_cell, pb_record): ...", "PbScheduling"), ("def test_plain(): ...", "LoadScheduling")],
)
def test_the_scheduler_is_ours_only_where_a_test_file_asks_for_cells(suite, body, scheduling):
    suite.pytester.makepyfile(test_bench=body)
    result = suite.run_apart("--task", "copy", "--unmasking", "random", "-n", "2", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"scheduling tests via {scheduling}"])


@pytest.mark.slow
def test_another_distribution_keeps_results_summary_and_gates(suite):
    suite.run(*SMALL)
    other = suite.pytester.path / "other"
    gate = ("--pb-gate", "copy:score@k1>=100")
    result = suite.run(*SMALL, *gate, "-n", "2", "--dist", "loadfile", store=other)
    result.assert_outcomes(passed=9)
    assert suite.summary(other) == suite.summary()


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_one_reason_over_all_workers(suite):
    result = suite.run(*SMALL, "--model", "llada=./nowhere", "-n", "2")
    assert result.ret == 1
    result.assert_outcomes(errors=8)
    result.stdout.fnmatch_lines(["failed, 8 items: model llada=./nowhere: *"])


def test_a_session_without_xdist_never_imports_its_scheduler(suite):
    assert importlib.util.find_spec("pb_plugin.workers.scheduler")
    suite.run("-p", "no:xdist", *SMALL).assert_outcomes(passed=8)
