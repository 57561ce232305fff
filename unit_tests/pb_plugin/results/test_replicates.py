"""Several seeds of one setting: kept apart, and pooled as one question each."""

from pb_plugin.results.aggregate import aggregate
from pb_plugin.statistics.intervals import wilson
from pb_plugin.statistics.resample import Resample
from unit_tests.pb_plugin.results.test_aggregate import PAIR, only


def test_seeds_are_kept_apart_and_pooled_as_one_question_each(make_cell):
    """Two samples: the first right under both seeds, the second under one; by seed 100 and 50 %."""
    cells = [
        make_cell(task, method="random", seed=seed, nfe=nfe, scores=scores)
        for task in ("copy", "sort")
        for seed, nfe, scores in ((0, 4, (1.0, 1.0)), (1, 2, (1.0, 0.0)))
    ]
    summary = aggregate(cells[::-1], PAIR, Resample())
    assert aggregate(cells, PAIR, Resample()).to_json() == summary.to_json()
    cell = summary.cells[0]
    assert (cell.n, cell.n_planned, cell.percent) == (4, 4, 75.0)
    assert cell.samples.scores == (1.0, 0.5)
    assert cell.samples.tps["canvas"] == (3.0, 3.0)
    assert cell.interval != wilson(3, 4)
    assert [(one.asked.seed, one.percent) for one in cell.replicates] == [(0, 100.0), (1, 50.0)]
    assert cell.to_json()["by_seed"]["1"]["percent"] == 50.0
    curve = only(summary.curves).suites["pair"]
    assert curve.points[0].score == 75.0
    assert {seed: c.pbx(80).value for seed, c in curve.by_seed.items()} == {0: 2.0, 1: 0.0}
    assert curve.to_json()["by_seed"]["0"]["points"][0]["score"] == 100.0


def test_a_seed_without_all_its_samples_leaves_the_pooled_cell_incomplete(make_cell):
    cells = [make_cell("copy", seed=0), make_cell("copy", seed=1, n_planned=2)]
    cell = only(aggregate(cells).cells)
    assert cell.incomplete.startswith("2 of 3 planned samples decoded (1 missing")
    assert cell.replicates[1].percent is None


def test_one_seed_says_nothing_of_seeds(make_cell):
    summary = aggregate([make_cell("copy"), make_cell("sort")], PAIR)
    assert "by_seed" not in summary.cells[0].to_json()
    assert not only(summary.curves).suites["pair"].by_seed
