"""``pb analyses`` over a decoded run: its tables, its JSON, and what it says is missing."""

import json

import pytest
import torch

from pb_plugin.cli import main
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import describe, save
from pb_plugin.results.suites import SUITES
from pb_plugin.running.bench import Bench

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analyses") / "store"
    options = Options(
        task=SUITES["core"],
        unmasking=("random", "threshold:gamma=0.5,1.0"),
        k=(2, 32),
        block_length=(8, 32),
        samples=2,
        store=folder,
    )
    cells = plan(options).cells
    bench = Bench(options, Store(folder, worker="main"))
    for task in SUITES["core"]:
        bench.decode([cell for cell in cells if cell.task == task])
    save(describe(bench.resources, cells, missing_tasks=(), notes=()), folder)
    bench.close()
    return folder


def test_every_analysis_has_its_table_and_names_what_is_missing(store, capsys):
    assert main(["analyses", str(store)]) == 0
    out = capsys.readouterr().out
    for about in ("oracle: for every", "parallelizability: centre", "benefit of order: points per"):
        assert about in out
    assert "missing: oracle of ideal-threshold over paper: complete results of paraphrasing" in out
    assert "missing: parallelizability of ideal: confidence, margin, entropy at two or more" in out


def test_json_has_all_rows(store, capsys):
    assert main(["analyses", str(store), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"oracle", "parallelizability", "order_benefit", "against_ideal"}
    copy = {row["task"]: row["value"] for row in found["parallelizability"]["rows"]}["copy"]
    assert copy == 17.0  # always right: the mean of 2 and 32
    assert {row["task"]: row["value"] for row in found["order_benefit"]["rows"]}["copy"] == 0.0
    own = [row for row in found["oracle"]["rows"] if row["curve"] == row["oracle"]]
    assert own
    assert all(row["gap_in_score"] is None or row["gap_in_score"] >= -1e-9 for row in own)


def test_a_method_that_was_not_run_is_refused(store, capsys):
    assert main(["analyses", str(store), "--oracle", "wino"]) == 2
    assert (
        "--oracle must be a method of the run, got 'wino'; it has random, threshold"
        in capsys.readouterr().err
    )
