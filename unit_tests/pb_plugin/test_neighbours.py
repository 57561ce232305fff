"""The plugins that users have beside this one, all at once: the same items, order and results."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("xdist", reason="pytest-xdist is not installed; pip install -e '.[test]'")
pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed; pip install -e '.[test]'")

ROOT = Path(__file__).resolve().parents[2]
NEIGHBOURS = Path(sys.prefix) / "neighbours"
NAMES = ("asyncio", "cov", "django", "html", "randomly", "rerunfailures", "sugar", "timeout", "xdist")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not NEIGHBOURS.is_dir(),
        reason=f"{NEIGHBOURS} is not there; unit_tests/neighbours.txt says how to make it",
    ),
]

SMALL = ("--task", "copy,shuffle,sudoku", "--unmasking", "random", "--unmasking", "threshold:gamma=0.5,0.9")
SMALL += ("--k", "2,8", "--samples", "6")

FLAKY = """
from dataclasses import dataclass
from pathlib import Path
from decoders.unmasking.top_k import TopK

@dataclass(frozen=True, kw_only=True)
class Flaky(TopK):
    def step(self, view, memory):
        if not Path("tried.txt").exists():
            Path("tried.txt").touch()
            raise ZeroDivisionError("only the first time")
        return TopK.step(self, view, memory)

def flaky():
    return Flaky(score="random")
"""


@pytest.fixture
def beside(suite, monkeypatch):
    """`suite` with the neighbours in the path of the processes it starts."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{NEIGHBOURS}")
    monkeypatch.setenv("COVERAGE_FILE", str(suite.pytester.path / ".coverage"))
    return suite


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_a_run_in_the_checkout_beside_all_of_them_is_the_run_without(beside, processes):
    beside.run(*SMALL).assert_outcomes(passed=12)
    apart, page = beside.pytester.path / "apart", beside.pytester.path / "page.html"
    junit = beside.pytester.path / "junit.xml"
    options = ["-p", "no:cacheprovider", "--timeout=60", "--reruns=1", "--ds=django.conf.global_settings"]
    options += ["--cov=pb_plugin", "--cov-report=", "--randomly-seed=7", "--force-sugar", f"--html={page}"]
    options += [f"--junitxml={junit}", f"--pb-store={apart}", "--pb-gate=random:copy:score@k2>=60"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "bench_tests", *options, *SMALL, *processes],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown
    (loaded,) = re.findall(r"^plugins: (.*)$", shown, re.MULTILINE)
    assert {name.strip().rpartition("-")[0] for name in loaded.split(",")} >= set(NAMES)
    assert beside.summary(apart) == beside.summary()
    if not processes:
        assert [r.decode_key for r in beside.records(apart)] == [r.decode_key for r in beside.records()]
    cases = [case.get("name") for case in ElementTree.parse(junit).iter("testcase")]
    assert len(cases) == len(set(cases)) == 12 + 1, cases
    assert "test_puzzles[sudoku-ideal-random-k8]" in page.read_text(encoding="utf-8")
    assert (beside.pytester.path / ".coverage").is_file()


def test_an_item_that_is_run_again_decodes_its_failed_samples_again_and_is_told_once(beside):
    beside.pytester.makepyfile(flaky=FLAKY)
    result = beside.run_apart(
        *("--task", "copy", "--unmasking", "flaky:flaky", "--k", "4", "--samples", "3", "--reruns", "1"),
        *("-p", "no:sugar", "-o", "asyncio_default_fixture_loop_scope=function"),
    )
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    result.stdout.no_fnmatch_line("failed, *")
    failures = [record.failed for record in beside.records()]
    assert failures.count(True) == len(failures) - 3 > 0
    assert not any(failures[-3:])
