"""``pb rescore``: scores again from stored texts, append-only, telling what changed; refusals say why."""

import json
from dataclasses import replace

import pytest
import torch

from pb_plugin.asking import samples
from pb_plugin.cli import main
from pb_plugin.cli.rescore import rescore
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import describe, load, save, summarise
from pb_plugin.running.bench import Bench
from pb_plugin.running.tools import tools_of
from task_specs.scoring import SCORER_VERSIONS, Scored, resolve_scorer
from task_specs.scoring.languagetool import checker as languagetool
from task_specs.scoring.languagetool.backend import ENV_NAME
from unit_tests.languagetool_stand_in import FIRST_TEXT, reply
from unit_tests.pb_plugin.text_task import ANSWERS, RIGHT, write_text_task

torch.set_num_threads(1)

N = len(ANSWERS)
LISTS = f"list@{SCORER_VERSIONS['list']}/first_eos"
RAISED = f"list@{SCORER_VERSIONS['list'] + 1}/first_eos"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with a text task in it; no server is found by chance."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ENV_NAME, raising=False)
    monkeypatch.setenv("LTP_PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(languagetool, "PAUSES_S", (0.0,))
    write_text_task(tmp_path)
    return tmp_path


@pytest.fixture
def decoded(folder):
    """Decode tasks with the exact model into ``store``, and write the run."""

    def decode(*tasks, grammar="later", k=(1, 2), **options):
        store = folder / "store"
        asked = Options(task=tasks, unmasking=("left_to_right",), k=k, store=store, **options)
        made = plan(asked)
        tools = tools_of(grammar=grammar, bertscore=None, folder=store, env={})
        bench = Bench(asked, Store(store), tools)
        for task in dict.fromkeys(cell.task for cell in made.cells):
            bench.decode([cell for cell in made.cells if cell.task == task])
        run = describe(bench.resources, made.cells, missing_tasks=(), notes=())
        save(run, store)
        bench.close()
        return store

    return decode


@pytest.fixture
def pb(capsys):
    def run(*arguments, code=0):
        assert main(["rescore", *map(str, arguments)]) == code
        shown = capsys.readouterr()
        return shown.err if code == 2 else shown.out

    return run


def lines(store):
    return {file.name: file.read_bytes() for file in store.glob("*.jsonl")}


def summary(store, name=None):
    run, _ = load(store, name)
    return {cell.label: cell for cell in summarise(run, Store(store).index().find).cells}


def changed_scorer(monkeypatch, change, version=SCORER_VERSIONS["list"] + 1):
    """Let the scorer of lists return what *change* makes of its scores, as another version."""
    scorer = resolve_scorer("list")

    def score(text, sample, measured):
        return change(scorer(text, sample, measured), sample)

    monkeypatch.setattr(samples, "resolve_scorer", lambda name: score)
    monkeypatch.setattr(samples, "SCORER_VERSIONS", {**SCORER_VERSIONS, "list": version})


def no_strictness(scored, sample):
    return Scored(values={"accuracy": scored.values["accuracy"], "accuracy_strict": 0.0})


def test_nothing_changed_writes_nothing_and_says_so(decoded, pb):
    store = decoded("copy", "shuffle", samples=3)
    before, runs = lines(store), sorted((store / "runs").iterdir())
    out = pb(store)
    assert "nothing changed: every score is what it was\n" in out
    assert out.endswith("nothing was written\n")
    assert out.startswith(f"run {runs[0].name}: 12 results of 2 tasks\n")
    assert (lines(store), sorted((store / "runs").iterdir())) == (before, runs)
    assert json.loads(pb(store, "--json"))["changes"] == []


def test_a_new_scorer_is_applied_without_decoding_and_every_change_is_told(decoded, pb, monkeypatch):
    store = decoded("copy", "shuffle", samples=12)
    before, old = lines(store), load(store)[1]
    changed_scorer(monkeypatch, no_strictness)
    monkeypatch.setattr(Bench, "decode", None)
    found = json.loads(pb(store, "--json"))
    copy, _ = found["tasks"]
    assert (copy["task"], copy["results"], copy["stored"], copy["left"]) == ("copy", 24, 24, None)
    assert copy["score_key"] == {"before": LISTS, "after": RAISED}
    assert copy["scores"] == [
        {"score": "accuracy", "changed": 0, "before": 1.0, "after": 1.0},
        {"score": "accuracy_strict", "changed": 24, "before": 1.0, "after": 0.0},
    ]
    copies = [change for change in found["changes"] if change["task"] == "copy"]
    assert len(copies) == 24
    assert {change["setting"] for change in copies} == {
        "ideal-left_to_right[k=1]",
        "ideal-left_to_right[k=2]",
    }
    assert {(change["before"], change["after"]) for change in copies} == {(1.0, 0.0)}
    now = lines(store)
    assert {name: now[name] for name in before} == before, "stored records stay as they are"
    (new,) = set(now) - set(before)
    assert "-rescore-" in new
    run, path = load(store)
    assert found["run"] == {"before": old.name, "after": path.name}
    assert {cell.score_key for cell in run.cells} == {RAISED}
    assert "nothing was written" in pb(store), "a second time nothing is left to do"


def test_the_text_lists_means_and_the_first_changes(decoded, pb, monkeypatch):
    store = decoded("copy", samples=12)
    changed_scorer(monkeypatch, no_strictness)
    out = pb(store).splitlines()
    assert "copy accuracy_strict       24       1.0000  0.0000" in out
    assert "copy accuracy               0       1.0000  1.0000" in out
    changes = [line for line in out if line.endswith(": 1.0000 -> 0.0000")]
    assert len(changes) == 20
    assert changes[0].startswith("copy ")
    assert " ideal-left_to_right[k=1] accuracy_strict: " in changes[0]
    assert "and 4 more (--json lists all)" in out
    assert f"copy: scored as {RAISED}, was {LISTS}" in out
    assert out[-1].startswith(f"24 records stored in {store}; run ")


def test_a_new_key_with_the_same_scores_is_stored_and_changes_nothing(decoded, pb, monkeypatch):
    store = decoded("copy", samples=2)
    changed_scorer(monkeypatch, lambda scored, sample: scored)
    out = pb(store)
    assert "nothing changed" in out
    assert "4 records stored" in out
    assert {cell.accuracy for cell in summary(store).values()} == {1.0}


def test_an_older_run_can_be_named_and_becomes_a_new_one(decoded, monkeypatch):
    store = decoded("copy", samples=2)
    first = load(store)[1]
    decoded("shuffle", samples=2)
    changed_scorer(monkeypatch, no_strictness)
    found = rescore(store, first.stem, grammar="none")
    assert found.before == first
    assert load(store) == (load(store, found.after.name)[0], found.after)
    assert {cell.asked.task for cell in load(store)[0].cells} == {"copy"}
    assert {cell.score_key for cell in load(store, first.name)[0].cells} == {LISTS}


def test_what_was_left_for_later_is_scored_without_decoding(decoded, pb, stand_in):
    store = decoded("say.yaml", "copy", samples=N)
    say = {label: cell for label, cell in summary(store).items() if label.startswith("say")}
    assert {cell.accuracy for cell in say.values()} == {None}
    server = stand_in()
    found = json.loads(pb(store, "--grammar", server.url, "--json"))
    (task,) = [task for task in found["tasks"] if task["task"] == "say"]
    grammar = next(mean for mean in task["scores"] if mean["score"] == "grammar")
    assert grammar == {"score": "grammar", "changed": 2 * N, "before": None, "after": RIGHT}
    assert len(set(server.judged)) == len(server.judged), "each distinct text is asked once"
    say = {label: cell for label, cell in summary(store).items() if label.startswith("say")}
    assert {cell.accuracy for cell in say.values()} == {RIGHT}
    assert "nothing was written" in pb(store, "--pb-grammar", server.url)


@pytest.mark.parametrize(("grammar", "code"), [("none", 0), ("auto", 1)])
def test_without_grammar_text_tasks_are_left_and_the_others_scored(
    decoded, pb, monkeypatch, stand_in, grammar, code
):
    store = decoded("say.yaml", "copy", grammar=stand_in().url, samples=2)
    old = load(store)[0]
    monkeypatch.setattr(samples, "SCORER_VERSIONS", {**SCORER_VERSIONS, "list": SCORER_VERSIONS["list"] + 1})
    out = pb(store, "--grammar", grammar, code=code)
    assert "say: left as it was: " in out
    assert "name a server" in out
    new = load(store)[0]
    keys = [{cell.score_key for cell in run.cells if cell.asked.task == "say"} for run in (old, new)]
    assert keys[0] == keys[1]
    assert {cell.score_key for cell in new.cells if cell.asked.task == "copy"} == {RAISED}


def test_a_server_that_stops_answering_loses_no_score(decoded, pb, stand_in):
    server = stand_in()
    store = decoded("say.yaml", grammar=server.url)
    before, run = lines(store), load(store)

    def gone(text):
        return reply(version="6.9") if text == FIRST_TEXT else (500, "out of memory")

    out = pb(store, "--grammar", stand_in(gone).url, code=1)
    assert "say: left as it was: combined of sample " in out
    assert "would be lost: LanguageTool could not check the text: " in out
    assert (lines(store), load(store)) == (before, run)


def test_a_scorer_that_fails_on_one_sample_is_told_and_its_cells_are_incomplete(decoded, pb, monkeypatch):
    store = decoded("copy", samples=3, k=(1,))
    broken = []

    def fail_once(scored, sample):
        broken.append(sample.id)
        if sample.id == broken[0]:
            raise KeyError("items")
        return scored

    changed_scorer(monkeypatch, fail_once)
    out = pb(store, code=1)
    assert "copy: no score for 1 result; first: scorer list raised KeyError: 'items'" in out
    (cell,) = summary(store).values()
    assert cell.incomplete == "2 of 3 planned samples decoded (0 missing, 1 failed: 1 scorer_error)"
    changed_scorer(monkeypatch, lambda scored, sample: scored)
    pb(store)
    (cell,) = summary(store).values()
    assert (cell.incomplete, cell.accuracy) == (None, 1.0)


def test_a_result_whose_scorer_failed_in_the_run_is_not_decoded_again(decoded, pb, monkeypatch):
    def fail(scored, sample):
        raise KeyError("items")

    with monkeypatch.context() as patch:
        changed_scorer(patch, fail, version=1)
        store = decoded("copy", samples=2, k=(1,))
    (cell,) = summary(store).values()
    assert cell.errors == {"scorer_error": 2}
    pb(store)
    (cell,) = summary(store).values()
    assert (cell.errors, cell.accuracy) == ({}, 1.0)


def test_samples_that_are_others_today_are_refused(decoded, folder, pb, stand_in):
    store = decoded("say.yaml")
    before = lines(store)
    write_text_task(folder, {**ANSWERS, "d": ["d is new"]})
    err = pb(store, "--grammar", stand_in().url, code=2)
    assert "data_checksum of task say must be that of its records, " in err
    assert "scores would be of another sample; run the suite again, or bring the task back" in err
    assert lines(store) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "2"}, "spec_version of task say must be that of its records, 1, got 2"),
        ({"prompt": '"Take {words}."'}, "input_hash of task say must be that of its records"),
        ({"text_rule": "whole_canvas"}, "text_rule of task say must be 'first_eos', by which the texts"),
        ({"id": "tell"}, "task must be one that its file defines, got 'say'"),
    ],
)
def test_a_task_that_is_another_today_is_refused(decoded, folder, pb, changes, message):
    store = decoded("say.yaml")
    write_text_task(folder, **changes)
    if "id" in changes:
        (folder / "tell.yaml").rename(folder / "say.yaml")
    assert message in pb(store, "--grammar", "none", code=2)


def test_a_task_that_is_gone_is_refused(decoded, folder, pb):
    store = decoded("say.yaml", "copy", samples=2)
    (folder / "say.yaml").unlink()
    err = pb(store, code=2)
    assert "a task of this run is not known any more: --task: " in err
    assert "say.yaml" in err
    assert "relative paths are relative to the current directory" in err


def test_a_run_knows_how_its_tasks_were_named(decoded, folder):
    store = decoded("say.yaml", "shuffle:n=5", samples=2)
    chosen = load(store)[0].chosen
    assert (chosen.task, chosen.data, chosen.samples) == (("say.yaml", "shuffle:n=5"), None, 2)
    assert {task.task for task in rescore(store, grammar="none").tasks} == {"say", "shuffle_n5"}


def test_a_default_run_names_its_tasks_by_id(folder):
    from task_specs.catalogue import task_ids

    options = Options(k=(1,), unmasking=("random",), samples=1, store=folder / "store")
    bench = Bench(options, Store(options.store))
    cells = [cell for cell in plan(options).cells if cell.task == "copy"]
    run = describe(bench.resources, cells, missing_tasks=(), notes=())
    assert run.chosen.task == task_ids()


def test_what_was_never_decoded_stays_missing(decoded, pb):
    store = decoded("copy", samples=2)
    for file in store.glob("*.jsonl"):
        file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[1:]))
    assert json.loads(pb(store, "--json"))["tasks"][0]["results"] == 3
    run, _ = load(store)
    gone = [replace(cell, keys=(), unavailable="no weights", score_key="") for cell in run.cells]
    save(replace(run, cells=tuple(gone)), store)
    assert json.loads(pb(store, "--json"))["tasks"] == []


@pytest.mark.parametrize("name", ["store", "run", "later", "server"])
def test_a_bad_request_is_one_line(decoded, pb, folder, name):
    store = decoded("say.yaml")
    arguments, message = {
        "store": ([folder / "none"], "store must be a directory, got"),
        "run": ([store, "--run", "two"], "must hold the run 'two', got "),
        "later": (
            [store, "--grammar", "later"],
            "--grammar must say what checks the grammar now, got 'later'",
        ),
        "server": ([store, "--grammar", "http://127.0.0.1:1"], "grammar server must be a LanguageTool that"),
    }[name]
    err = pb(*arguments, code=2)
    assert err.startswith("pb: ")
    assert message in err
    assert err.count("\n") == 1


def test_records_of_two_score_keys_are_never_averaged(decoded, stand_in):
    """A run that asks for a key which only some of its results have is refused, not averaged."""
    store = decoded("say.yaml", grammar=stand_in().url, k=(1,))
    run, _ = load(store)
    newer = stand_in(lambda text: reply(version="6.9"))
    rescore(store, grammar=newer.url)
    (file,) = store.glob("*-rescore-*.jsonl")
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    new, _ = load(store)
    with pytest.raises(ValueError, match="task 'say': score_key must be one value among averaged records"):
        summarise(new, Store(store).index().find)
    assert summarise(run, Store(store).index().find).cells[0].accuracy == RIGHT
