"""The real LanguageTool: what it finds, and that it can be started beside others."""

import os

import pytest

from task_specs.scoring.languagetool import server as languagetool_server
from task_specs.scoring.languagetool.backend import find_java
from task_specs.scoring.languagetool.checker import (
    Grammar,
    launch,
    resolve,
)
from task_specs.scoring.languagetool.server import start_server
from unit_tests.task_specs.scoring.languagetool.launches import SHARED, is_open, port_of

pytest.importorskip("language_tool_python", reason="needs language-tool-python")


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
