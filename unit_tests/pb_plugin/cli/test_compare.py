"""``pb compare``: runs of stores and baselines, in text, JSON and Markdown, and the texts that changed."""

import json

import pytest

from pb_plugin.cli import main
from pb_plugin.comparing.baseline import save
from pb_plugin.comparing.side import side_of_store
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.results import run_file
from pb_plugin.results.run_file import describe
from pb_plugin.running.bench import Bench


@pytest.fixture(scope="module")
def store(tmp_path_factory, loaded_modules):
    """A store with a run of confidence, and one of confidence and random."""
    folder = tmp_path_factory.mktemp("compared") / "store"
    for methods in (("confidence",), ("confidence", "random")):
        asked = Options(store=folder, task=("copy", "shuffle"), samples=6, k=(1, 8), unmasking=methods)
        bench, made = Bench(asked, Store(folder)), plan(asked)
        for task in asked.task:
            bench.decode([cell for cell in made.cells if cell.task == task])
        run_file.save(describe(bench.resources, made.cells, missing_tasks=(), notes=()), folder)
        bench.close()
    return folder


@pytest.fixture
def pb(capsys):
    def pb(*arguments, code=0):
        capsys.readouterr()
        assert main(["compare", *map(str, arguments)]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return pb


@pytest.fixture
def worse(store, tmp_path):
    """A baseline that was better: every wrong answer of shuffle at k=8 counted as right."""
    path = tmp_path / "better.json"
    save(side_of_store(store), path)
    values = json.loads(path.read_text())
    for cell in values["cells"]:
        if (cell["planned"]["asked"]["task"], cell["planned"]["asked"]["k"]) == ("shuffle", 8):
            for sample in cell["samples"]:
                sample[2] = 1
    path.write_text(json.dumps(values))
    return path


def test_the_last_two_runs_of_a_store_are_compared_without_further_words(pb, store):
    out = pb(store)
    assert "0 things differ: nothing" in out
    assert "ideal-confidence" in out
    assert "only on the second side, 4 cells: copy ideal-random[k=1], ..." in out
    assert "24 pairs of samples: 0 became worse, 0 better" in out


def test_a_baseline_and_a_store_with_the_texts_that_changed(pb, store, worse):
    out = pb(worse, store, "--samples", "shuffle")
    assert "lower" in out
    changed = out[out.index("\nshuffle ") :]
    assert "1 -> 0" in changed
    assert "  - (no text is stored)" in changed
    assert "  + '[" in changed
    found = json.loads(pb(worse, store, "--json"))
    assert found["samples"]["worse"] > 0
    assert found["samples"]["better"] == 0
    (drop,) = [
        d
        for c in found["curves"]
        for d in c["drops"]
        if c["curve"] == "ideal-random" and d["what"] == "score at k=8"
    ]
    assert drop["drop"] > 0
    assert drop["status"] in ("yellow", "red")


def test_a_run_is_named_behind_the_store_and_markdown_is_a_table(pb, store):
    first, second = sorted(path.stem for path in (store / "runs").glob("*.json"))
    text = pb(f"{store}@{first}", f"{store}@{second}", "--markdown")
    head, rule, *rows = text.splitlines()
    assert head.count("|") == rule.count("|") == 8
    assert rows[0].startswith("| ideal-confidence | score at k=1 | 100 | 100 | 0 | [0, 0] |")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["DIR/nothing", "STORE"], "a side must be a baseline file, a store, or"),
        (["STORE", "STORE", "STORE"], "compare must have two sides, or a store with two runs"),
        (["DIR"], "got 0 runs in DIR; name both"),
        (["STORE@x", "STORE"], "must hold the run 'x'"),
        (["STORE", "--pair", "llada"], "--pair must be MODEL=MODEL, got 'llada'; write llada=dream"),
        (["STORE", "--at", "PB0"], "--at must be PB<x> with x in (0, 100]"),
        (["STORE", "--at", "PB80(x)"], "--at must be PB<x>"),
        (["STORE", "--margin", "x"], "--margin must be a number in [0, 100], got 'x'"),
        (
            ["STORE", "--samples", "copy"],
            "a task with changed samples, got 'copy'; there are none",
        ),
    ],
)
def test_what_cannot_be_compared_is_told(pb, store, tmp_path, arguments, message):
    names = {"STORE": str(store), "DIR": str(tmp_path)}

    def filled(text):
        for name, value in names.items():
            text = text.replace(name, value)
        return text

    assert filled(message) in pb(*map(filled, arguments), code=2)
