"""A real server, and kills of client and server: equal answers, and no stored answer asked for again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from unit_tests.decoders.served.tiny_ar import write_tiny_ar
from unit_tests.pages import ROOT

for package in ("openai", "fastapi", "uvicorn", "accelerate"):
    pytest.importorskip(package, reason=f"a real server needs {package}: pip install -e '.[test]'")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loaded_libraries")]

SERVE = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
SCRIPTED = """
import json, sys, time
sys.path.insert(0, {root!r})
from unit_tests.decoders.served.scripted import Engine, serving, stream
log = open(sys.argv[2], "a", buffering=1)
def reply(number, body):
    asked = body["messages"][-1]["content"]
    log.write(json.dumps(asked) + "\\n")
    time.sleep(0.05)
    return stream(asked[asked.rindex("[") : asked.rindex("]") + 1], extra={{"nfe": 4}})
with serving(Engine(reply), int(sys.argv[1])):
    time.sleep(300)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=90):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come in time"
        time.sleep(0.05)


def listens(port):
    """Return whether the port is open; a server with a full queue of connections lets one wait."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    except TimeoutError:
        return True
    return True


@contextmanager
def running(*command, port):
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: listens(port) or process.poll() is not None)
            assert process.poll() is None, "the server ended"
            yield process
        finally:
            process.kill()


@pytest.fixture
def scripted_server(tmp_path):
    """Return a function that runs the scripted server in a process of its own, and its log of questions."""
    script, log = tmp_path / "scripted_server.py", tmp_path / "questions"
    script.write_text(SCRIPTED.format(root=str(ROOT)))
    log.touch()

    def run(port):
        return running(sys.executable, str(script), str(port), str(log), port=port)

    run.questions = lambda: Counter(log.read_text().splitlines())
    return run


def n_lines(store):
    return sum(path.read_bytes().count(b"\n") for path in store.glob("*.jsonl"))


def test_the_server_of_transformers_gives_the_answers_of_the_same_checkpoint_here(suite, tmp_path):
    folder, port = write_tiny_ar(tmp_path / "tiny-ar"), free_port()
    samples = ("--task", "copy:canvas=96", "--task", "shuffle:canvas=96", "--samples", "4")
    suite.run(*samples, "--model", f"ar={folder}").assert_outcomes(passed=2)
    options = ("serve", str(folder), "--port", str(port), "--device", "cpu", "--dtype", "float32")
    with running(sys.executable, "-c", SERVE, *options, port=port):
        model = f"served=plain:http://127.0.0.1:{port}/v1#{folder}"
        result = suite.run(*samples, "--model", model)
    result.assert_outcomes(passed=2)
    here = {(r.parts["task"], r.parts["sample_id"]): r for r in suite.records() if r.parts["model"] == "ar"}
    there = {(r.parts["task"], r.parts["sample_id"]): r for r in suite.records() if r.served is not None}
    assert len(here) == len(there) == 8
    assert len({record.text for record in here.values()}) > 4, "random weights say different things"
    equal = [key for key in here if here[key].text == there[key].text]
    assert len(equal) == 8, [(here[key].text, there[key].text) for key in here if key not in equal]
    assert {record.nfe_kind for record in there.values()} == {"counted"}
    steps = {key: (there[key].nfe, here[key].nfe) for key in here}
    assert all(told in (own, own - 1) for told, own in steps.values()), "the end may not be among those told"


def test_a_killed_client_asks_no_question_again_whose_answer_was_stored(suite, scripted_server):
    port = free_port()
    options = ("--task", "copy,shuffle", "--samples", "40", "--model", f"m=diffulex:http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "pytest", *suite.arguments(*options, "--pb-concurrency", "2")]
    with scripted_server(port):
        process = subprocess.Popen(
            command, cwd=suite.pytester.path, stdout=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(lambda: n_lines(suite.store) >= 10)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        stored = len(suite.records())
        asked = sum(scripted_server.questions().values())
        assert 10 <= stored < 80
        suite.run(*options).assert_outcomes(passed=2)
    again = sum(scripted_server.questions().values()) - asked
    assert again == 80 - stored, "what was stored is not asked again, and everything else is"
    assert len(suite.records()) == 80


def test_a_killed_server_fails_what_is_open_and_the_next_run_asks_for_the_rest(suite, scripted_server):
    port = free_port()
    options = ("--task", "copy", "--samples", "60", "--model", f"m=diffulex:http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "pytest", *suite.arguments(*options, "--pb-concurrency", "2")]
    with scripted_server(port) as server:
        process = subprocess.Popen(command, cwd=suite.pytester.path, stdout=subprocess.PIPE, text=True)
        wait_for(lambda: n_lines(suite.store) >= 10)
        server.kill()
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cannot be reached" in said or "cut the connection" in said
    answered = {r.decode_key for r in suite.records() if not r.failed}
    assert 10 <= len(answered) < 60
    asked = sum(scripted_server.questions().values())
    with scripted_server(port):
        suite.run(*options).assert_outcomes(passed=1)
    assert sum(scripted_server.questions().values()) - asked == 60 - len(answered)
    assert len({r.decode_key for r in suite.records() if not r.failed}) == 60


def test_a_started_server_goes_when_the_run_that_started_it_is_killed(suite, tmp_path):
    script, port_file = tmp_path / "server.py", tmp_path / "port"
    script.write_text(
        f"import sys, time\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from unit_tests.decoders.served.scripted import Engine, serving, stream\n"
        f"open({str(port_file)!r}, 'w').write(sys.argv[1])\n"
        "with serving(Engine([stream('text', delay=0.2)]), int(sys.argv[1])):\n    time.sleep(300)\n"
    )
    (suite.pytester.path / "served.yaml").write_text(
        f"servers:\n- start: {sys.executable} {script} {{port}}\n"
    )
    options = ("--task", "copy", "--samples", "60", "--model", "m=plain:served.yaml")
    command = [sys.executable, "-m", "pytest", *suite.arguments(*options)]
    with subprocess.Popen(command, cwd=suite.pytester.path, stdout=subprocess.DEVNULL) as process:
        wait_for(lambda: n_lines(suite.store) >= 1)
        port = int(port_file.read_text())
        assert listens(port)
        process.kill()
    wait_for(lambda: not listens(port))
