"""The wheel is complete and runs alone in an empty folder; an editable install runs too; no network."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from unit_tests.pages import ROOT, blocks, page

pytestmark = pytest.mark.slow

OURS = "parallelbench"
RESULT = (
    r"(?P<reused>\d+) of \d+ items reused; records in (?P<store>.*)\n"
    r"every task at every setting: pb report .*\n=+ (?P<passed>\d+) passed"
)


def run(*command, cwd, **environment):
    """Run a program outside of this checkout's settings and return what it printed."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**kept, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pip_install(python, *what, cwd, **environment):
    """Install into the environment of *python*, from local files only."""
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, *what, cwd=cwd, **environment)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A folder with every package that is installed here, but not this project."""
    folder = tmp_path_factory.mktemp("others")
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if OURS not in entry.name.lower() and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def python(tmp_path, others):
    """The interpreter of a new environment that has the other packages and not this project."""
    folder = tmp_path / "env"
    venv.create(folder, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "lib" / version / "site-packages" / "others.pth").write_text(f"{others}\n", encoding="utf-8")
    return folder / "bin" / "python"


@pytest.fixture
def empty(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_the_wheel_holds_every_module_and_data_file_of_its_packages(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    for package in ("pb_plugin", "decoders", "task_specs"):
        files = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert files <= inside, sorted(files - inside)
    assert {"task_specs/specs/copy.yaml", "task_specs/data/copy.jsonl"} <= inside
    assert "decoders/checkpoints/tiny/model.safetensors" in inside
    assert {name.split("/")[0] for name in inside if ".dist-info/" not in name} == {
        "pb_plugin",
        "decoders",
        "task_specs",
    }


def test_the_wheel_declares_plugin_command_licence_and_extras(wheel):
    archive = zipfile.ZipFile(wheel)
    (points,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
    assert "[pytest11]\npb_plugin.plugin = pb_plugin.plugin" in archive.read(points).decode()
    assert "pb = pb_plugin.cli:main" in archive.read(points).decode()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in archive.namelist())
    (described,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(archive.read(described))
    extras = {"models", "parallel", "timing", "report", "spread", "cluster", "parquet", "served", "tune"}
    extras |= {"all", "text", "test"}
    assert extras == set(metadata.get_all("Provides-Extra"))


def test_the_test_file_of_the_pages_runs_from_the_wheel_in_an_empty_folder(wheel, python, empty):
    pip_install(python, wheel, cwd=empty)
    where = run(python, "-c", "import pb_plugin, decoders, task_specs; print(pb_plugin.__file__)", cwd=empty)
    assert Path(where).is_relative_to(python.parents[1])
    (source,) = [block for block in blocks("python", page("options")) if "def test_cell" in block]
    (empty / "test_mine.py").write_text(source, encoding="utf-8")
    first, again = (
        re.search(RESULT, run(python, "-P", "-m", "pytest", "--samples", "8", "--k", "1,4", cwd=empty))
        for _ in range(2)
    )
    assert first["reused"] == "0"
    assert again["reused"] == again["passed"] == first["passed"]
    assert first["store"] == str(empty / ".pb")
    assert run(python.parent / "pb", "report", ".pb", cwd=empty).startswith("run ")


def test_an_editable_install_runs_the_suite_and_the_doctor(python, others, empty):
    pytest.importorskip("editables", reason="an editable build needs editables; pip install -e '.[test]'")
    pip_install(python, "-e", ROOT, cwd=empty)
    where = run(python, "-c", "import pb_plugin; print(pb_plugin.__file__)", cwd=empty)
    assert Path(where.strip()) == ROOT / "pb_plugin" / "__init__.py"
    assert "default run: works" in run(python.parent / "pb", "doctor", cwd=empty)
    options = [
        "-k",
        "copy and k32",
        "--samples",
        "2",
        "--pb-store",
        empty / "store",
        "-p",
        "no:cacheprovider",
    ]
    assert "3 passed" in run(python, "-m", "pytest", "bench_tests", *options, cwd=ROOT)
