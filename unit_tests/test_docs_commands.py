"""Commands, code blocks and examples of the pages run as they are written, in a copy of the suite."""

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from pb_plugin.cli import main
from unit_tests.pages import EXAMPLES, README, ROOT, blocks, commands, page

LLADA = ROOT / ".." / "shared" / "golden" / "checkpoints" / "llada"
BENCH = [words[1:] for words in commands("pytest")]
PB = [words[1:] for words in commands("pb")]
OVER_A_STORE = {
    "analyses",
    "compare",
    "export",
    "failures",
    "merge",
    "plot",
    "report",
    "rescore",
    "resolve",
    "view",
}
EXTENDED = [words[3:] for words in commands("python", "-m", "pytest")]
QUICK = ["--samples", "2", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
ONE_SAMPLE = ["--samples", "1"]
FEW_SETTINGS = ["--unmasking", "confidence", "--k", "32"]
CSV = "task,tps,accuracy\ncopy,1,100\ncopy,2,90\ncopy,4,50\n"


GSM8K = '{"question": "1 + 1?", "answer": "#### 2"}\n'
HUMANEVAL = '{"task_id": "HumanEval/0", "prompt": "def f():", "entry_point": "f"}\n'
SAYS = """
from decoders.testing.hash_denoiser import HashDenoiser

class Says(HashDenoiser):
    name = "says"

    def encode_prompt(self, messages):
        return [2, 3]

def load(request):
    return Says()
"""


def run_humaneval(folder):
    """Make the task and decode it, with a network that says anything, into the default store."""
    assert main(["reference", "humaneval", "HUMANEVAL.jsonl", "--into", "mine", "--canvas", "16"]) == 0
    folder.makepyfile(says=SAYS)
    folder.syspathinsert()
    task = ["--task", "mine/humaneval.yaml", "--model", "says:load", "--unmasking", "random", "--k", "4"]
    folder.runpytest_inprocess("bench_tests", *task, "-p", "no:cacheprovider").assert_outcomes(skipped=1)


@pytest.fixture
def checkout(pytester, monkeypatch, loaded_libraries):
    """An empty folder with the suite of this checkout and its configuration; the packages are ours."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)  # a command of its own is nobody's worker
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, pytester.path / name)
    shutil.copytree(ROOT / "bench_tests", pytester.path / "bench_tests")
    return pytester


@pytest.fixture
def examples(pytester, monkeypatch, loaded_libraries):
    """A folder with a copy of docs/examples, which is looked for modules as ``python -m pytest`` does."""
    shutil.copytree(EXAMPLES, pytester.path, dirs_exist_ok=True)
    monkeypatch.syspath_prepend(pytester.path)
    return pytester


def python_block(start, *paths):
    (found,) = [block for block in blocks("python", *paths) if start in block]
    return found


def with_checkpoint(words):
    """Return *words* with the folder DIR replaced by a real checkpoint."""
    if not any("=DIR" in word for word in words):
        return words
    if not LLADA.is_dir():
        pytest.skip("the checkpoints are not beside the checkout (../shared/golden/checkpoints)")
    return [word.replace("=DIR", f"={LLADA}") for word in words]


def test_there_are_commands_to_test():
    assert len(BENCH) >= 8
    assert len(PB) >= 9
    assert len(EXTENDED) == 6
    assert all(words[0] == "bench_tests" for words in BENCH)


def test_the_command_with_processes_collects_items(checkout):
    """Every other command is run by a test below: a run without items has another exit code than 0."""
    (words,) = [words for words in BENCH if "-n" in words]
    result = checkout.runpytest_inprocess(*words, *QUICK, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.re_match_lines([r"(\d+/)?[1-9]\d* tests collected.*"])


@pytest.mark.parametrize(
    "words",
    [words for words in BENCH if "-n" not in words and not any("=DIR" in word for word in words)],
    ids=" ".join,
)
def test_a_command_of_the_suite_passes(checkout, words):
    # a network takes its time for every setting
    few = [*ONE_SAMPLE, *(FEW_SETTINGS if "tiny" in words and "--k" not in words else ())]
    if "--pb-gate" in words:
        few = ["--unmasking", "confidence", "--k", "1,2"]
    result = checkout.runpytest_inprocess(*words, *QUICK, *few)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*items reused; records in *.pb"])
    if "--pb-gate" in words:
        result.stdout.fnmatch_lines(["gate passed: PB80 is *"])
    if "--pb-timing" in words:
        result.stdout.fnmatch_lines(["*benchmark 'ideal-copy'*"])


@pytest.mark.parametrize(
    "words", [words for words in BENCH if any("=DIR" in word for word in words)], ids=" ".join
)
def test_the_command_with_a_checkpoint_passes(checkout, words):
    result = checkout.runpytest_inprocess(*with_checkpoint(words), *QUICK, *ONE_SAMPLE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["items of llada assert completeness and floors only*"])


@pytest.mark.slow
def test_the_command_with_processes_passes(checkout):
    (words,) = [words for words in BENCH if "-n" in words]
    result = checkout.runpytest_subprocess(*words, *QUICK, timeout=300)
    assert result.ret == 0


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder for each way to run the suite that a command needs, filled by the first test that does."""
    return tmp_path_factory.mktemp("kept")


def run_before(checkout, words, kept):
    """Run the suite as the command *words* over its results needs it, or copy what such a run has left."""
    run = ["bench_tests", "-k", "(copy or shuffle) and (k2 or threshold)", *QUICK]
    run += ["--pb-save-baseline", "before.json"] if words[0] == "compare" else []
    run += ["--pb-store", "shards/1"] if words[0] == "merge" else []
    if "core" in words:  # all its tasks, so that there is a mean over them
        run = ["bench_tests", "--unmasking", "confidence", "--k", "2", *QUICK]
    left = kept / hashlib.sha256(" ".join(run).encode()).hexdigest()
    if not left.is_dir():
        there = set(checkout.path.iterdir())
        assert checkout.runpytest_inprocess(*run).ret == 0
        left.mkdir()
        for path in set(checkout.path.iterdir()) - there:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, left / path.name)
    shutil.copytree(left, checkout.path, dirs_exist_ok=True)


@pytest.mark.parametrize("words", PB, ids=" ".join)
def test_a_command_of_the_console_runs(checkout, words, capsys, monkeypatch, kept):
    (checkout.path / "FILE.csv").write_text(CSV, encoding="utf-8")
    (checkout.path / "FILE.txt").write_text("Alice Adams", encoding="utf-8")
    (checkout.path / "GSM8K.jsonl").write_text(GSM8K, encoding="utf-8")
    (checkout.path / "HUMANEVAL.jsonl").write_text(HUMANEVAL, encoding="utf-8")
    if words[0] == "completions":
        run_humaneval(checkout)
    if words[0] in OVER_A_STORE:
        run_before(checkout, words, kept)
        capsys.readouterr()
    if words[0] == "view":
        monkeypatch.setattr("pb_plugin.viewing.server.Server.serve_forever", lambda server: None)
    if "--parquet" in words:
        pytest.importorskip("pyarrow")
    if words[0] == "train-tiny":
        words = [*words, "--steps", "1", "--no-compile", "--threads", "1"]
        monkeypatch.setattr("pb_plugin.cli.train_tiny.evaluate", lambda folder, tell: {"copy": 1.0})
    if words[0] == "fine-tune":  # what is asked for is read and checked; other tests train
        shutil.copytree(EXAMPLES, checkout.path / "docs" / "examples")
        facts = {"losses": {"train": 1.0}, "minutes": 1.0, "use": ""}
        monkeypatch.setattr("pb_plugin.cli.fine_tune.fine_tune", lambda folder, asked, out: facts)
    assert main(words) == 0
    assert capsys.readouterr().out


def test_a_k_of_one_digit_is_selected_without_its_prefixes(checkout):
    result = checkout.runpytest_inprocess("bench_tests", "-k", "copy and k1]", "--collect-only", "-q")
    assert all("-k1]" in line for line in result.outlines if "[" in line)


def test_the_configuration_file_takes_the_options(checkout):
    (block,) = [block for block in blocks("toml") if "tool.pytest" in block]
    (checkout.path / "pyproject.toml").write_text(block, encoding="utf-8")
    result = checkout.runpytest_inprocess(
        "bench_tests", "-p", "pb_plugin.plugin", "-k", "shuffle", "--collect-only", "-q"
    )
    items = {line.rpartition("[")[2] for line in result.outlines if "[" in line}
    assert items == {
        *(f"shuffle-ideal-confidence-k{k}]" for k in (1, 2, 4, 8, 16, 32)),
        "shuffle-ideal-threshold-0.9]",
    }


def test_the_workflow_passes_its_gate_and_asks_for_an_extra_that_exists(checkout):
    (workflow,) = map(yaml.safe_load, blocks("yaml", page("gates")))
    steps = workflow["jobs"]["gate"]["steps"]
    install, *benches = [step["run"] for step in steps if "run" in step]
    assert install == 'pip install -e ".[all]"'
    assert len(benches) == 2
    assert next(step["with"]["path"] for step in steps if "cache" in step.get("uses", "")) == ".pb"
    for bench, name, gate in zip(benches, ("gates.xml", "tiny.xml"), ("PB80", "PB90"), strict=True):
        words = bench.replace('"', "").split()
        assert words[0] == "pytest"
        assert checkout.runpytest_inprocess(*words[1:], *QUICK, *ONE_SAMPLE).ret == 0
        assert f":{gate}" in (checkout.path / name).read_text(encoding="utf-8")


def test_the_workflow_fails_when_its_gate_does(checkout):
    words = ["bench_tests", "--unmasking", "confidence", "--k", "2", "--pb-gate", "core:PB80>=99"]
    assert checkout.runpytest_inprocess(*words, *QUICK).ret == 1


def runs(folder, words):
    return folder.runpytest_inprocess("-p", "pb_plugin.plugin", *words, *QUICK[2:])


@pytest.mark.parametrize("words", EXTENDED, ids=" ".join)
def test_a_command_of_the_examples_passes_in_a_copy_of_their_folder(examples, words, monkeypatch):
    if "to_wandb" in words:
        pytest.importorskip("wandb")
        monkeypatch.setenv("WANDB_DIR", str(examples.path))
    result = runs(examples, words)
    assert result.ret == 0
    result.assert_outcomes(passed=result.parseoutcomes()["passed"])


def test_the_method_example_obeys_the_rules_and_goes_from_both_ends(examples):
    from decoders import decode
    from decoders.testing import HashDenoiser

    mine = importlib.import_module("outside_in")
    space = {}
    exec(compile(python_block("check_method", page("extending")), "test_it.py", "exec"), space)
    space["test_it_obeys_the_rules_of_the_loop"]()
    (found,) = decode(HashDenoiser(), [[2, 3]], mine.OutsideIn(), gen_length=8, k=2)
    assert found.commit_step == (0, 1, 2, 3, 3, 2, 1, 0)


def test_the_model_example_obeys_the_rules_and_echoes(examples):
    from decoders.protocols import ModelRequest
    from decoders.testing import check_denoiser

    check_denoiser(importlib.import_module("echo").load(ModelRequest(name="echo")))
    (words,) = [words for words in EXTENDED if "echo:load" in words]
    result = runs(examples, words)
    result.stdout.fnmatch_lines(["echo:load-confidence*", "copy * 100 * 100 *", "reverse * 0 * 0 *"])


def test_the_task_example_is_hard_at_once_and_its_scorer_is_right(examples):
    from task_specs.load import load_samples
    from task_specs.spec import read_spec

    scorer = importlib.import_module("pick_two")
    spec = read_spec(examples.path / "pick_two.yaml")
    samples = load_samples(spec)
    assert len(samples) == 4
    for sample in samples:
        first, second, third = sample.facts["things"]
        assert set(sample.answers.texts) == {
            f"{a} and {b}" for a in sample.facts["things"] for b in sample.facts["things"] if a != b
        }
        expected = {
            f"{first} and {second}": {"accuracy": 1.0, "named": 1.0},
            f" {third} and {first}\n": {"accuracy": 1.0, "named": 1.0},
            f"{first} and {first}": {"accuracy": 0.0, "named": 0.5},
            f"{first} and a dog": {"accuracy": 0.0, "named": 0.5},
            f"{first} and {second} and {third}": {"accuracy": 0.0, "named": 1.0},
            "": {"accuracy": 0.0, "named": 0.0},
        }
        assert {text: scorer.score(text, sample, {}).values for text in expected} == expected
    result = runs(examples, ["--task", "pick_two.yaml", "--unmasking", "left_to_right", "--k", "1,16"])
    result.stdout.re_match_lines([r"pick_two +100 \[.*\] +(0|25|50) \[.*"])


def example_with(examples, name):
    (words,) = [words for words in EXTENDED if name in words]
    return runs(examples, words)


def test_the_hook_for_records_keeps_wrong_answers(examples):
    example_with(examples, "keep_wrong")
    kept = (examples.path / "wrong_answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert kept
    assert {line["k"] for line in map(json.loads, kept)} == {2}, "one at a time nothing is wrong"


def test_the_gate_of_ones_own_is_judged_for_every_curve(examples):
    result = example_with(examples, "worst_task")
    result.stdout.fnmatch_lines(["gate passed: shuffle has * %, the gate asks for >= 50"])


def test_the_tracker_has_the_curves_offline(examples, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_DIR", str(examples.path))
    result = example_with(examples, "to_wandb")
    result.stdout.fnmatch_lines(["2 curves logged to wandb, offline"])
    logged = list((examples.path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(logged) == 2
    assert all(b"shuffle/score" in path.read_bytes() for path in logged)


def test_the_library_example_prints_a_number_of_steps(capsys):
    exec(compile(python_block("HashDenoiser"), "library.py", "exec"), {})
    assert 1 <= int(capsys.readouterr().out) <= 16


def test_the_test_file_runs_in_an_empty_folder(pytester, monkeypatch, loaded_libraries):
    pytester.makepyfile(test_mine=python_block("def test_cell", page("options")))
    result = pytester.runpytest_inprocess("-p", "pb_plugin.plugin", "--samples", "1", "--k", "4", *QUICK[2:])
    assert result.ret == 0
    assert {path.name for path in pytester.path.iterdir()} >= {".pb", "test_mine.py"}


def test_the_test_file_of_the_examples_is_the_one_of_the_page():
    source = (EXAMPLES / "test_mine.py").read_text(encoding="utf-8")
    assert source.endswith(f"\n\n{python_block('def test_cell', page('options'))}")


def test_a_method_beside_a_test_file_of_ones_own_is_found_by_python_m_pytest(examples):
    (words,) = [words for words in EXTENDED if "outside_in:OutsideIn" in words]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "-p", "pb_plugin.plugin", "--collect-only", "-q"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=examples.path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "copy-ideal-outside_in" in done.stdout


@pytest.mark.slow
def test_the_tables_at_the_top_are_what_the_default_run_prints_on_one_screen(checkout, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    result = checkout.runpytest_inprocess(
        "bench_tests", "--pb-grammar", "none", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"
    )
    assert result.ret == 0
    (shown,) = blocks("text", README)
    tables = shown.strip().split("\n\n")
    assert len(tables) == 2
    assert all(table in result.stdout.str() for table in tables)
    lines = result.outlines
    assert len(lines[next(i for i, line in enumerate(lines) if "= parallelbench =" in line) :]) <= 40
    again = checkout.runpytest_inprocess("bench_tests", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    again.stdout.fnmatch_lines([f"{again.parseoutcomes()['passed']} of * items reused; *"])
