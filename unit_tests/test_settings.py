"""Settings of pytest: a user's run in the checkout is not held to what this project's tests are held to."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.filterwarnings("default")  # or the runs inside would inherit "error" from this one

LAX = """
import warnings
import pytest

warnings.warn("at import", FutureWarning)

def test_warns():
    warnings.warn("of a library", FutureWarning)

@pytest.mark.slow
@pytest.mark.known_to_the_user
def test_a_mark_of_the_users_own():
    pass

@pytest.mark.xfail
def test_better_than_expected():
    pass
"""

OURS = """
import warnings
import pytest

def test_warns():
    warnings.warn("of a library", FutureWarning)

@pytest.mark.filterwarnings("ignore:of a library")
def test_expects_it():
    warnings.warn("of a library", FutureWarning)

@pytest.mark.slow
def test_slow():
    pass
"""


@pytest.fixture
def checkout(pytester):
    """A folder with this checkout's settings, its own tests in ``ours`` and a user's file beside."""
    shutil.copy(ROOT / "pyproject.toml", pytester.path)
    for folder in ("ours", "bench"):
        pytester.path.joinpath(folder).mkdir()
    shutil.copy(ROOT / "unit_tests" / "conftest.py", pytester.path / "ours")
    pytester.path.joinpath("ours", "test_ours.py").write_text(OURS, encoding="utf-8")
    pytester.path.joinpath("bench", "test_bench.py").write_text(LAX, encoding="utf-8")
    return pytester


def test_a_users_run_is_not_strict(checkout):
    result = checkout.runpytest_inprocess("bench")
    result.assert_outcomes(passed=2, xpassed=1, warnings=3)


def test_warnings_are_errors_and_slow_tests_left_out_in_our_tests_alone(checkout):
    result = checkout.runpytest_inprocess("ours", "bench")
    result.assert_outcomes(passed=3, failed=1, xpassed=1, deselected=1, warnings=3)
    result.stdout.fnmatch_lines(["FAILED ours/test_ours.py::test_warns - FutureWarning: of a library"])


def test_slow_tests_run_when_asked_for(checkout):
    result = checkout.runpytest_inprocess("ours", "-m", "slow")
    result.assert_outcomes(passed=1, deselected=2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("warnings.warn('at import', FutureWarning)", "*FutureWarning: at import"),
        ("pytest.mark.slwo", "*PytestUnknownMarkWarning: Unknown pytest.mark.slwo *"),
    ],
)
def test_warnings_at_import_of_our_tests_are_errors(checkout, line, message):
    checkout.path.joinpath("ours", "test_ours.py").write_text(f"{OURS}\n{line}\n", encoding="utf-8")
    result = checkout.runpytest_inprocess("ours")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_misspelt_key_is_an_error(checkout):
    path = checkout.path / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[tool.pytest]\n", "[tool.pytest]\npb_sampels = 3\n"), encoding="utf-8")
    result = checkout.runpytest_inprocess("bench")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: Unknown config option: pb_sampels"])


@pytest.mark.parametrize(
    ("words", "by_file"),
    [
        (["ours", "--dist", "load"], True),
        (["ours/test_ours.py", "--dist", "load"], False),
        (["ours", "bench", "--dist", "load"], False),
        (["ours", "--dist", "worksteal"], False),
    ],
    ids=["a folder", "a file", "with a bench", "another distribution"],
)
def test_workers_are_given_whole_files_of_our_tests_alone(checkout, words, by_file):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    from xdist.scheduler import LoadFileScheduling

    config = checkout.parseconfig(*words, "--tx", "2*popen", "-p", "no:pb_plugin.plugin")
    made = config.hook.pytest_xdist_make_scheduler(config=config, log=None)
    assert isinstance(made, LoadFileScheduling) == by_file
