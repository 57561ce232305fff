"""A server that a run starts: how it begins, is found, and ends, whatever happens to the run."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from task_specs.scoring.languagetool import server as languagetool_server
from task_specs.scoring.languagetool.checker import (
    Grammar,
    launch,
    resolve,
)
from task_specs.scoring.languagetool.server import ServerStartError
from unit_tests.task_specs.scoring.languagetool.launches import (
    ROOT,
    checked,
    ends_within,
    is_open,
    launched,
    port_of,
    starts_of,
)

pytest.importorskip("language_tool_python", reason="needs language-tool-python")


def test_a_server_answers_and_is_gone_with_its_files_after_close(jars, java, tmp_path):
    backend = resolve(str(jars), {"PATH": str(java.parent)})
    running, server = launch(backend, directory=tmp_path / "logs", env=dict(os.environ))
    assert (running.url, running.version) == (server.url, "fake")
    assert Grammar(running).check(["a"]) == [checked(version="fake")]
    settings = (server.folder / "server.properties").read_text().splitlines()
    assert "pipelineCaching=true" in settings
    assert next(int(line.partition("=")[2]) for line in settings if line.startswith("maxCheckThreads")) >= 4
    (start,) = starts_of(java)
    given = [*languagetool_server.JAVA_OPTIONS, "-cp", f"{jars}/*", "org.languagetool.server.HTTPServer"]
    assert start["arguments"][: len(given)] == given
    server.close()
    assert not is_open(port_of(server))
    assert list((tmp_path / "logs").iterdir()) == []
    server.close()


def test_a_server_that_ends_at_once_is_told_with_the_tail_of_its_log(jars, java, tmp_path):
    (java.parent / "mode").write_text("broken")
    with pytest.raises(
        ServerStartError, match=r"(?s)must start with .*it ended with code 1.*Could not find main class"
    ):
        launched(jars, java, tmp_path)
    assert len(starts_of(java)) == 1


def test_a_java_that_cannot_be_run_is_told(jars, tmp_path):
    with pytest.raises(ServerStartError, match=r"(?s)it ended with code 1.*No such file or directory"):
        launched(jars, tmp_path / "nowhere" / "java", tmp_path)


def test_a_server_that_never_answers_is_ended_after_the_time_limit(jars, java, tmp_path):
    (java.parent / "mode").write_text("silent")
    with pytest.raises(ServerStartError, match=r"no answer within 3 s"):
        launched(jars, java, tmp_path, timeout_s=3.0)
    (start,) = starts_of(java)
    with pytest.raises(ProcessLookupError):
        os.kill(start["pid"], 0)


def test_a_server_that_answers_without_matches_is_ended(jars, java, tmp_path):
    (java.parent / "mode").write_text("mute")
    with pytest.raises(ServerStartError, match=r"a reply without software.version"):
        launched(jars, java, tmp_path)


def test_a_port_that_was_taken_meanwhile_is_recovered_from(jars, java, tmp_path):
    (java.parent / "mode").write_text("taken-twice")
    with launched(jars, java, tmp_path):
        assert len(starts_of(java)) == 3


def test_a_port_that_is_always_taken_ends_after_a_few_tries(jars, java, tmp_path, monkeypatch):
    monkeypatch.setattr(languagetool_server, "PORT_TRIES", 2)
    (java.parent / "mode").write_text("taken-twice")
    with pytest.raises(ServerStartError, match="BindException"):
        launched(jars, java, tmp_path)
    assert len(starts_of(java)) == 2


def test_another_server_on_the_port_is_not_taken_for_ours(jars, java, tmp_path, stand_in, monkeypatch):
    """Without the line in its own log, the first start would be believed: the stand-in is healthy."""
    other = stand_in()
    ports = [other.server.server_port, languagetool_server._free_port()]
    monkeypatch.setattr(languagetool_server, "_free_port", lambda: ports.pop(0))
    with launched(jars, java, tmp_path, timeout_s=60.0) as server:
        assert server.url != other.url
        assert server.version == "fake"


def test_two_runs_at_once_have_a_server_each(jars, java, tmp_path):
    with launched(jars, java, tmp_path) as one:
        with launched(jars, java, tmp_path) as two:
            assert one.url != two.url
        assert is_open(port_of(one))
        assert not is_open(port_of(two))


def test_the_log_of_a_server_that_died_is_kept(jars, java, tmp_path):
    server = launched(jars, java, tmp_path)
    os.kill(starts_of(java)[0]["pid"], signal.SIGKILL)
    server.process.wait(60.0)
    server.close()
    assert "Server started" in server.log.read_text()


def test_a_server_that_is_not_healthy_yet_is_waited_for(jars, java, tmp_path):
    (java.parent / "mode").write_text("slow")
    with launched(jars, java, tmp_path) as server:
        assert server.version == "fake"


def test_an_interrupted_start_leaves_no_server(jars, java, tmp_path, monkeypatch):
    def interrupt(process, port, log, timeout_s):
        deadline = time.monotonic() + 60.0
        while not is_open(port):
            assert time.monotonic() < deadline
        ports.append(port)
        raise KeyboardInterrupt

    ports = []
    monkeypatch.setattr(languagetool_server, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        launched(jars, java, tmp_path)
    assert not is_open(ports[0])


def test_a_supervisor_that_hangs_is_killed_with_the_server(jars, java, tmp_path, monkeypatch):
    server = launched(jars, java, tmp_path)
    monkeypatch.setattr(languagetool_server, "END_TIMEOUT_S", 0.2)
    os.kill(server.process.pid, signal.SIGSTOP)
    server.close()
    assert ends_within(60.0, port_of(server))


@contextmanager
def a_run(jars, java, tmp_path):
    """Yield another process that started a server, its supervisor's pid and the server's port."""
    code = (
        "import os, sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from task_specs.scoring.languagetool.server import start_server\n"
        f"server = start_server(Path({str(jars)!r}), java=Path({str(java)!r}), "
        f"directory=Path({str(tmp_path)!r}), env=dict(os.environ))\n"
        "if os.fork() == 0:\n"
        "    time.sleep(20)\n"  # a forked child holds the pipe open
        "    os._exit(0)\n"
        "print(server.process.pid, server.url, flush=True)\n"
        "time.sleep(600)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        pid, url = run.stdout.readline().split()
        yield run, int(pid), int(url.rstrip("/").rpartition(":")[2])
    finally:
        run.kill()
        run.wait()
        run.stdout.close()


def test_no_server_is_left_after_kill_9_of_the_run(jars, java, tmp_path):
    with a_run(jars, java, tmp_path) as (run, _, port):
        assert is_open(port)
        run.kill()
        assert ends_within(60.0, port)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_no_server_is_left_after_kill_9_of_the_run_and_its_supervisor(jars, java, tmp_path):
    with a_run(jars, java, tmp_path) as (run, supervisor, port):
        os.kill(supervisor, signal.SIGKILL)
        run.kill()
        assert ends_within(60.0, port)


def test_a_supervisor_that_is_told_to_end_takes_the_server_along(jars, java, tmp_path):
    server = launched(jars, java, tmp_path)
    server.process.terminate()
    assert ends_within(60.0, port_of(server))
    server.close()
