"""``pb failures`` over a decoded run: shuffling at once mixes names, and the counts say so."""

import json

import pytest
import torch

from pb_plugin.cli import main
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import describe, save
from pb_plugin.running.bench import Bench
from pb_plugin.running.tools import CACHE_FOLDER, tools_of
from task_specs.scoring.languagetool.checker import GrammarCache
from unit_tests.languagetool_stand_in import reply
from unit_tests.pb_plugin.text_task import write_text_task

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failures") / "store"
    options = Options(
        task=("copy", "shuffle", "shuffle:n=4"), unmasking=("random",), k=(1, 32), samples=8, store=folder
    )
    cells = plan(options).cells
    bench = Bench(options, Store(folder, worker="main"))
    for task in dict.fromkeys(cell.task for cell in cells):
        bench.decode([cell for cell in cells if cell.task == task])
    save(describe(bench.resources, cells, missing_tasks=(), notes=()), folder)
    bench.close()
    return folder


@pytest.fixture
def pb(capsys, store):
    """Return a function that runs the command and returns what it prints."""

    def run(*words, code=0):
        assert main(["failures", str(store), *words]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


def test_what_is_decoded_one_by_one_is_right_and_what_is_decoded_at_once_is_not(pb):
    slow, fast = json.loads(pb("--task", "shuffle", "--json"))["cells"]
    assert (slow["setting"], slow["n"], slow["counts"], slow["wrong"]) == ("k=1", 8, {}, [])
    assert (fast["setting"], fast["n"]) == ("k=32", 8)
    assert len(fast["wrong"]) >= 6
    assert fast["counts"]["mixed names"] >= 4
    assert sum(fast["counts"].values()) == sum(len(wrong["faults"]) for wrong in fast["wrong"])


def test_the_answers_at_a_setting_are_shown_with_their_questions(pb):
    table_, shown = pb("--task", "shuffle", "--setting", "k=32").split("\n\n")
    assert "k=1 " not in table_
    assert table_.split()[:4] == ["curve", "setting", "answers", "wrong"]
    assert '  asked     context: ["' in shown
    assert "  answered  [" in shown
    assert "wrong" not in pb("--task", "copy").splitlines()[1]


def test_a_variant_has_failures_of_its_own(pb):
    (task,) = {wrong["sample"].partition("-")[0] for cell in _cells(pb) for wrong in cell["wrong"]}
    assert task == "n4"


def _cells(pb):
    return json.loads(pb("--task", "shuffle_n4", "--json"))["cells"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "sort"), "--task must be a task of the run, got 'sort'; it has copy, shuffle"),
        (
            ("--task", "copy", "--setting", "k=2"),
            "--setting must be one of the run, got 'k=2'; it has k=1, k=32",
        ),
    ],
)
def test_what_the_run_has_not_is_refused(pb, words, message):
    assert message in pb(*words, code=2)


def test_a_task_whose_file_is_gone_or_whose_samples_changed_is_refused(pb, monkeypatch):
    def gone(texts):
        raise LookupError("no such file")

    with monkeypatch.context() as patched:
        patched.setattr("pb_plugin.analyses.failures.specs_of", gone)
        assert "--task must be a task that can be read today, got 'shuffle'" in pb(
            "--task", "shuffle", code=2
        )
    monkeypatch.setattr("pb_plugin.asking.samples.TaskData.asked", lambda self, style: ())
    assert "of shuffle is another today; run the suite again" in pb("--task", "shuffle", code=2)


def test_wrong_grammar_is_named_by_the_rules_that_it_broke(stand_in, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "store"
    options = Options(task=(write_text_task(tmp_path),), unmasking=("left_to_right",), k=(1,), store=store)
    server = stand_in(lambda text: reply(*["DOUBLE_X", "DOUBLE_X", "NO_VERB"] if "xx" in text else []))
    bench = Bench(options, Store(store), tools_of(grammar=server.url, bertscore=None, folder=store))
    cells = plan(options).cells
    bench.decode(cells)
    save(describe(bench.resources, cells, missing_tasks=(), notes=()), store)
    bench.close()
    assert main(["failures", str(store), "--task", "say", "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert cell["counts"] == {"grammar DOUBLE_X": 1, "grammar NO_VERB": 1}
    (store / CACHE_FOLDER / "grammar.jsonl").unlink()
    assert main(["failures", str(store), "--task", "say", "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert cell["counts"] == {"grammar": 1}


def test_rules_on_which_versions_disagree_are_none():
    cache = GrammarCache()
    cache.put(("LanguageTool", "6.7", "c xx"), ("A",))
    assert cache.any_version(" c xx\n") == ("A",)
    cache.put(("LanguageTool", "6.8", "c xx"), ("B",))
    assert cache.any_version("c xx") is None
    assert cache.any_version("unknown") is None
