"""A run and its store: what others wrote meanwhile counts, and what is deleted under it is told."""

DELETES = """
import shutil
from dataclasses import dataclass
from decoders.unmasking.top_k import TopK

STORE = {store!r}
DONE = []

@dataclass(frozen=True, kw_only=True)
class Deletes(TopK):
    score: str = "confidence"

    @property
    def name(self):
        return "deletes"

    def step(self, view, memory):
        if int(view.step.max()) == 3 and not DONE:
            DONE.append(True)
            {act}
        return super(Deletes, self).step(view, memory)
"""


def run_with(suite, act, *options):
    suite.pytester.syspathinsert()
    suite.pytester.makepyfile(acting=DELETES.format(store=str(suite.store), act=act))
    return suite.run(
        "--task", "copy", "--samples", "6", "--unmasking", "acting:Deletes", "--k", "1,32", *options
    )


def test_a_store_deleted_during_a_run_is_an_error_and_is_written_again(suite):
    result = run_with(suite, "shutil.rmtree(STORE)", "--pb-batch", "4")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*must stay where it is while a run writes to it*were written again*"])
    assert len({record.decode_key for record in suite.records()}) == 12


def test_a_store_that_was_only_read_and_is_deleted_is_an_error(suite):
    options = ("--task", "copy", "--samples", "3", "--unmasking", "random", "--k", "1")
    suite.run(*options).assert_outcomes(passed=1)
    suite.pytester.makeconftest(
        f"import shutil\ndef pytest_runtest_teardown(item):\n    shutil.rmtree({str(suite.store)!r})\n"
    )
    result = suite.run(*options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*must stay where it is while a run uses it, got 1 such files deleted*"])


def test_a_method_that_leaves_the_process_is_a_method_error(suite):
    result = run_with(suite, "raise SystemExit(0)")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*method deletes raised SystemExit: 0*"])


def test_what_another_process_stored_meanwhile_is_not_decoded_again(suite):
    """The second group begins after a whole run of it by somebody else."""
    options = ("--samples", "3", "--unmasking", "random", "--k", "1")
    apart = suite.pytester.path / "apart"
    suite.run("--task", "copy,sort", *options, store=apart).assert_outcomes(passed=2)
    suite.pytester.makeconftest(
        "import shutil\nfrom pathlib import Path\n"
        "def pytest_runtest_teardown(item):\n"
        f"    for file in Path({str(apart)!r}).glob('*.jsonl'):\n"
        f"        shutil.copy(file, Path({str(suite.store)!r}) / ('0' + file.name))\n"
    )
    suite.run("--task", "copy,sort", *options).assert_outcomes(passed=2)
    own = [file for file in suite.store.glob("*.jsonl") if not file.name.startswith("0")]
    assert sum(len(file.read_text().splitlines()) for file in own) == 3
