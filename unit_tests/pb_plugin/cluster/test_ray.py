"""Runs on a Ray cluster of two machines, here two on one: nothing lost, nothing twice, no hang."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed; pip install 'parallelbench-pytest[cluster]'")

pytestmark = pytest.mark.slow

MODEL = ("--model", "user_code:load", "--task", "copy,sort", "--unmasking", "random", "--samples", "3")
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two machines; RAY_ADDRESS says where, as after ``ray start``."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        found = Cluster(initialize_head=True, head_node_args=NODE)
        found.add_node(**NODE)
        patch.setenv("RAY_ADDRESS", found.address)
        yield found
        found.shutdown()


def keys(suite, store=None):
    return Counter(record.decode_key for record in suite.records(store) if not record.failed)


def raylet(node):
    (info,) = node.all_processes["raylet"]
    return info.process.pid


def test_an_item_always_crashes_an_actor_is_killed_a_machine_is_killed_and_all_else_is_as_ever(
    cluster, user_code
):
    _, second = cluster.list_all_nodes()
    (user_code.pytester.path / "kill_supervisor").write_text("")
    (user_code.pytester.path / "kill_node").write_text(str(raylet(second)))
    options = (*MODEL[:-1], "1", "--unmasking", "user_code:Crashing", "--k", "2,4,8")
    options += ("-k", "not (sort and crashing)", "--pb-gate", "copy:score@k8>=0")
    result = user_code.run_apart(*options, "--pb-engine", "ray", "--pb-ray-address", "auto")
    assert result.ret == 1
    result.assert_outcomes(passed=8 + 2, failed=1, deselected=3)
    result.stdout.fnmatch_lines(["parallelbench: Ray 2.*, 2 machines, 2 CPUs, 0 GPUs"])
    result.stdout.fnmatch_lines(["failed, 1 item: *worker_crash*", "gate passed: *"])
    for name in ("kill_supervisor", "kill_node"):
        assert not (user_code.pytester.path / name).exists(), "it was killed"
    found = keys(user_code)
    assert len(found) == 8
    assert set(found.values()) == {1}


def test_a_controller_that_is_killed_is_resumed(cluster, user_code):
    options = (*MODEL, "--k", "1,2,4,8,16,32", "--pb-engine", "ray", "--pb-ray-workers", "1")
    command = [sys.executable, "-m", "pytest", *user_code.arguments(*options)]
    run = subprocess.Popen(command, cwd=user_code.pytester.path, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(stored_lines(user_code.store)):
        assert time.monotonic() < until
        time.sleep(0.02)
    run.kill()
    run.wait()
    n_before = len(keys(user_code))
    result = user_code.run_apart(*options)
    assert result.ret == 0
    result.assert_outcomes(passed=12)
    found = keys(user_code)
    assert len(found) == 12 * 3 >= n_before
    assert set(found.values()) == {1}


def stored_lines(store: Path):
    for file in store.glob("*.jsonl"):
        yield from file.read_bytes().splitlines()
