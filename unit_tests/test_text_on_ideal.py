"""The table of text tasks in docs/tasks.md: its numbers are what decoding gives, in the order it claims."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from pb_plugin.cli.theory import theory
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.canonical import canonical
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import describe, save
from pb_plugin.running.bench import Bench
from pb_plugin.running.tools import tools_of
from unit_tests import page_tables, text_on_ideal
from unit_tests.text_on_ideal import GOLDEN, KS, METHODS, TASKS, scores_of

torch.set_num_threads(1)

COMMITTED = json.loads(GOLDEN.read_text(encoding="utf-8"))
MEANS = {(row["task"], row["score"], row["method"]): row["percent"] for row in COMMITTED["means"]}
NO_TOOLS_NEEDED = {"paraphrasing": "one_minus_bleu", "summarization": "rougeL"}
FASTEST = KS[-1]


class AllRight:
    """Finds no fault in any text."""

    version = "6.8"

    def unscored(self, needs):
        return None

    not_decoded = unscored

    def key(self, needs):
        return f"/grammar=languagetool:{self.version}"

    def measure(self, needs, asked, stop=None):
        return [{"grammar": {"matches": 0, "rules": [], "version": self.version}} for _ in asked]


def stored_run(folder, tools, **options):
    """Decode the text tasks as docs/tasks.md says, with *options* instead of its own, and store the run."""
    asked = Options(store=folder, **{"task": TASKS, "unmasking": METHODS, "k": KS, **options})
    planned = plan(asked)
    bench = Bench(asked, Store(folder), tools)
    for task in asked.task:
        bench.decode([cell for cell in planned.cells if cell.task == task])
    run = describe(bench.resources, planned.cells, missing_tasks=(), notes=())
    save(run, folder)
    bench.close()
    return run, bench


def test_every_task_score_method_and_setting_is_there():
    assert list(MEANS) == [
        (task, score, method) for task in TASKS for score in scores_of(task) for method in METHODS
    ]
    assert {len(percent) for percent in MEANS.values()} == {len(KS)}
    assert set(COMMITTED["samples"].values()) == {100}
    assert COMMITTED["languagetool"] == "6.8"


def test_one_token_per_step_is_right_in_everything_that_references_decide():
    for (task, score, _), percent in MEANS.items():
        if score != "one_minus_bleu":
            assert percent[0] == 100.0, (task, score)


def test_both_at_once_is_at_most_either_alone():
    for (task, score, method), percent in MEANS.items():
        if score == "combined":
            for other in ("grammar", "inclusion"):
                assert all(a <= b for a, b in zip(percent, MEANS[task, other, method], strict=True))


@pytest.fixture(scope="module")
def theory_of_tasks():
    return theory(TASKS)


@pytest.fixture
def told_theory(theory_of_tasks, monkeypatch):
    """Let the script have what `theory` says of its tasks without computing it again."""
    monkeypatch.setattr(text_on_ideal, "theory", {TASKS: theory_of_tasks}.__getitem__)


def test_c_is_that_of_pb_theory(theory_of_tasks):
    bits = {task["task"]: task["all"]["bits"]["mean"] for task in theory_of_tasks["tasks"]}
    assert COMMITTED["bits"] == {task: round(bits[task], 4) for task in TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_the_scores_that_need_no_tool_are_what_decoding_gives(tmp_path, task):
    """All 100 samples at the fastest setting, decoded now."""
    pytest.importorskip("rouge_score", reason="needs rouge-score")
    pytest.importorskip("sacrebleu", reason="needs sacrebleu")
    score = NO_TOOLS_NEEDED.get(task, "inclusion")
    tools = tools_of(grammar="later", bertscore=None, folder=tmp_path)
    asked = {"task": (task,), "k": (FASTEST,), "unmasking": ("random",)}
    run, bench = stored_run(tmp_path, tools, **asked)
    (cell,) = run.cells
    found = [bench.known.find(key, cell.score_key).scores[score] for key in cell.keys]
    assert 100 * sum(found) / len(found) == pytest.approx(MEANS[task, score, "random"][-1], abs=1e-3)


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """A small run of all text tasks, judged right in everything."""
    pytest.importorskip("rouge_score", reason="needs rouge-score")
    pytest.importorskip("sacrebleu", reason="needs sacrebleu")
    folder = tmp_path_factory.mktemp("texts")
    return stored_run(folder, AllRight(), samples=1)[0], folder


@pytest.mark.usefixtures("told_theory")
def test_the_numbers_of_a_store_are_its_means(decoded):
    _, folder = decoded
    found = text_on_ideal.numbers(folder)
    assert found["languagetool"] == "6.8"
    assert set(found["samples"].values()) == {1}
    assert [row["percent"] for row in found["means"] if row["score"] == "grammar"] == [[100.0] * 6] * 10
    assert {key: list(row) for key, row in found.items() if key == "bits"} == {"bits": list(TASKS)}


@pytest.mark.usefixtures("told_theory")
def test_the_script_writes_what_the_table_reads(decoded, tmp_path, monkeypatch):
    _, folder = decoded
    monkeypatch.setattr(text_on_ideal, "GOLDEN", tmp_path / "new" / "found.json")
    assert text_on_ideal.main([str(folder)]) == 0
    text = (tmp_path / "new" / "found.json").read_text(encoding="utf-8")
    assert json.loads(text) == canonical(text_on_ideal.numbers(folder))
    rows = page_tables.text_on_ideal_table().splitlines()[2:]
    assert len(rows) == len(MEANS)
    assert rows[0].startswith("| paraphrasing | 41.8 | grammar | confidence | 100 | 100 |")


@pytest.mark.usefixtures("told_theory")
def test_a_run_without_a_score_or_a_result_makes_no_table(decoded, tmp_path):
    run, _ = decoded
    store = tmp_path / "store"
    store.mkdir()
    save(run, store)
    with pytest.raises(ValueError, match=r"paraphrasing.* must be complete and have grammar, got .*0 of 1"):
        text_on_ideal.numbers(store)


def test_scores_of_two_versions_make_no_table(decoded):
    run, _ = decoded
    newer = replace(run.cells[0], score_key=run.cells[0].score_key.replace("6.8", "6.9"))
    report = SimpleNamespace(run=replace(run, cells=(newer, *run.cells[1:])))
    with pytest.raises(ValueError, match=r"scored by one LanguageTool, got \['6.8', '6.9'\]"):
        text_on_ideal._version(report)
