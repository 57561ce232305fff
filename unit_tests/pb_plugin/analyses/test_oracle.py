"""The oracle by hand: per sample the fastest of the settings that reach its best score."""

import pytest

from pb_plugin.analyses.oracle import GROUPS, best_samples, oracle
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_numbers import CellSamples
from task_specs.catalogue import BENCHMARK_IDS


def samples(scores, rates):
    return CellSamples(scores=scores, tps={"canvas": rates})


def test_a_sample_takes_its_fastest_setting_without_loss():
    """The first is right at both, the second at the slow one only, the third at none: then speed is free."""
    slow, fast = samples((1.0, 1.0, 0.0), (1.0, 2.0, 1.0)), samples((1.0, 0.0, 0.0), (4.0, 8.0, 4.0))
    assert best_samples([slow, fast]) == ([1.0, 1.0, 0.0], [4.0, 2.0, 4.0])
    assert best_samples([samples((0.5, 0.75), (1.0, 1.0)), samples((0.75, 0.5), (2.0, 2.0))]) == (
        [0.75, 0.75],
        [2.0, 1.0],
    )


def test_the_groups_are_the_ten_of_the_paper_the_17_and_the_12():
    assert {name: len(groups) for name, groups in GROUPS.items()} == {"paper": 10, "all": 17, "core": 12}
    known = {task for tasks in BENCHMARK_IDS.values() for task in tasks}
    assert all(task in known for groups in GROUPS.values() for group in groups for task in group)


@pytest.fixture
def sweep(make_cell):
    """Return a function that builds a sweep of threshold over *tasks*: half right at 2 and all at 1 TPS."""

    def build(tasks, method="threshold", **fields):
        return [
            make_cell(
                task,
                scores=scores,
                nfe=nfe,
                method=method,
                method_params={"gamma": gamma},
                k=None,
                family="adaptive",
                **fields,
            )
            for task in tasks
            for gamma, nfe, scores in ((0.5, 4, (1, 0)), (0.9, 8, (1, 1)))
        ]

    return build


def test_the_gap_of_a_sweep_to_its_own_oracle(sweep):
    """The oracle is right at (2 + 1) / 2 TPS, where the line of the sweep has 75 %."""
    found = oracle(aggregate(sweep(BENCHMARK_IDS["waiting_line"] + BENCHMARK_IDS["puzzles"])))
    (row,) = found.rows
    assert (row["tasks"], row["score"], row["tps"]) == ("core", 100.0, 1.5)
    assert (row["score_at_tps"], row["gap_in_score"]) == (75.0, 25.0)
    # with the weight W of the sample that is fast and right, the gap is 100 W (1 - W): 25 at most
    assert 15.0 < row["gap_interval"]["low"] < 24.9
    assert 24.9 < row["gap_interval"]["high"] <= 25.0 + 1e-9
    assert row["tps_at_score"] == {"value": 1.0, "censored": None}
    assert [line.partition(":")[0] for line in found.missing] == [
        "oracle of llada-threshold over paper",
        "oracle of llada-threshold over all",
    ]
    assert "--task paraphrasing --task summarization" in found.missing[0]
    assert "--task copy" not in found.missing[0]


def test_a_level_of_words_to_sentence_counts_a_third_of_a_task_in_the_ten(sweep):
    found = oracle(aggregate(sweep([t for groups in GROUPS["all"] for t in groups])))
    assert {row["tasks"]: row["score"] for row in found.rows} == {"paper": 100.0, "all": 100.0, "core": 100.0}
    assert found.missing == ()


def test_a_setting_that_a_task_lacks_makes_the_oracle_missing(sweep):
    cells = sweep(BENCHMARK_IDS["waiting_line"] + BENCHMARK_IDS["puzzles"])
    found = oracle(aggregate(cells[:-1]))
    assert found.rows == ()
    assert "core: complete results of sudoku are missing" in found.missing[-1]


def test_a_method_without_a_curve_is_refused(sweep):
    with pytest.raises(
        ValueError, match="--oracle must be a method of the run, got 'wino'; it has threshold"
    ):
        oracle(aggregate(sweep(["copy"])), "wino")
