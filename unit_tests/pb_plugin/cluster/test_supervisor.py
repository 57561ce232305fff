"""Sessions and supervisors that are killed from outside, at every moment of their life, without Ray."""

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter

import pytest

from pb_plugin.cluster import supervisor
from pb_plugin.cluster.messages import Setup
from pb_plugin.faults import tries
from unit_tests.faults.conftest import KILLED

ONE = ("--task", "copy", "--unmasking", "random", "--k", "4", "--samples", "2", "--pb-engine", "ray")
TWO_GROUPS = ("--task", "copy,shuffle", *ONE[2:])


@pytest.fixture
def killed(suite, link):
    """Let sessions be killed so many times at each place."""
    link.places = 1
    suite.pytester.makeconftest(KILLED)

    def times(**places):
        for place, number in places.items():
            (suite.pytester.path / place).write_text(str(number))

    return times


@pytest.mark.slow
def test_sessions_that_are_killed_before_or_between_decoding_cost_nothing(suite, killed, link):
    killed(configure=supervisor.STARTS - 1, setup=tries.TRIES - 1)
    suite.run(*ONE).assert_outcomes(passed=1)
    assert {worker for worker, _, _ in link.runs} == {"ray0"}
    assert set(Counter(record.decode_key for record in suite.records()).values()) == {1}


@pytest.mark.slow
def test_a_session_that_is_always_killed_at_its_start_ends_the_run_with_the_reason(suite, killed):
    killed(configure=100)
    result = suite.run(*ONE)
    result.assert_outcomes(failed=1)
    assert int((suite.pytester.path / "configure").read_text()) == 100 - supervisor.STARTS
    result.stdout.fnmatch_lines(["failed, 1 item: no worker is left: its process was ended by SIGKILL on *"])


@pytest.mark.slow
def test_a_session_that_is_killed_while_it_has_nothing_to_do_blames_no_item(suite, link, monkeypatch):
    monkeypatch.setattr(tries, "TRIES", 1)
    link.places = 1
    run, sessions = link.run, []

    def kill_before(worker, *what):
        process = link.supervisors[worker]._process
        if process is not None:
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            sessions.append(process.pid)
        run(worker, *what)

    monkeypatch.setattr(link, "run", kill_before)
    suite.run(*TWO_GROUPS).assert_outcomes(passed=2)
    assert len(sessions) == 1


def setup_in(folder):
    return Setup(
        args=(), folder=str(folder), nodeids=(), n_workers=1, python_path=(), addopts="", run_id="r"
    ).to_json()


def folders(tmp_path):
    return sorted(path.name for path in tmp_path.glob("pb-*"))


def test_a_supervisor_whose_machine_is_not_used_leaves_nothing_there(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = supervisor.Supervisor("ray0", setup_in(tmp_path / "nowhere"))
    assert len(folders(tmp_path)) == 1
    ((message,),) = found.run([], [], [])
    assert message["kind"] == "unfit"
    assert not folders(tmp_path)


def test_what_a_killed_supervisor_left_is_taken_away_by_the_next_and_nothing_else(tmp_path, monkeypatch):
    code = (
        "import os, sys\nfrom pb_plugin.cluster.supervisor import Supervisor\n"
        f"supervisor = Supervisor('ray0', {setup_in(tmp_path)!r})\n"
        f"os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = folders(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "pb-worker-of-another").mkdir()
    first = supervisor.Supervisor("ray0", setup_in(tmp_path))
    assert left not in folders(tmp_path)
    assert "pb-worker-of-another" in folders(tmp_path)
    second = supervisor.Supervisor("ray1", setup_in(tmp_path))
    assert len(folders(tmp_path)) == 3, "one that is alive keeps its folder"
    for found in (first, second):
        found.leave()
    assert folders(tmp_path) == ["pb-worker-of-another"]
