"""A model minus the reference at the same setting, and what of the reference is missing."""

import pytest

from pb_plugin.analyses.reference import against_ideal
from pb_plugin.results.aggregate import aggregate
from task_specs.scoring.distribution import ChoiceDistribution

PARTS = {"model_fingerprint": "of ideal"}


def spread(ratio):
    return ChoiceDistribution(
        p_value=0.5, entropy_ratio=ratio, entropy_ratio_unbiased=ratio, n_right=8, n_used=8
    )


def test_a_difference_is_taken_at_the_same_setting_only(make_cell):
    found = against_ideal(
        aggregate(
            [
                make_cell("shuffle", scores=(1, 1, 1, 0), k=2, choices=spread(0.25)),
                make_cell("shuffle", scores=(1, 0, 0, 0), k=2, model="ideal", choices=spread(1.0)),
                make_cell("shuffle", scores=(1, 0, 0, 0), k=4),
                make_cell("shuffle", scores=(1, 0, 0, 0), k=8, model="ideal"),
            ]
        )
    )
    (row,) = found.rows
    interval = row["interval"]
    assert interval["low"] < 50.0 < interval["high"]
    assert row == {
        "interval": interval,
        "cell": "shuffle-llada-confidence[k=2]",
        "task": "shuffle",
        "curve": "llada-confidence",
        "setting": "k=2",
        "score": 75.0,
        "ideal": 25.0,
        "difference": 50.0,
        "entropy": 0.25,
        "entropy_of_ideal": 1.0,
    }
    assert found.missing == (
        "ideal at the settings of confidence is missing for shuffle; run pytest bench_tests --model ideal "
        "--unmasking confidence --task shuffle with the other models and options of this run",
    )


def test_the_reference_is_known_by_what_it_is_and_not_by_its_name(make_cell):
    cells = [make_cell("copy", model="ideal", exact=False), make_cell("copy", model="mine", exact=True)]
    (row,) = against_ideal(aggregate(cells)).rows
    assert row["curve"] == "ideal-confidence"


@pytest.mark.parametrize("model", ["ideal", "llada"])
def test_one_model_alone_has_no_row(make_cell, model):
    found = against_ideal(aggregate([make_cell("copy", model=model)]))
    assert found.rows == ()
    assert len(found.missing) == (model != "ideal")


def test_the_interval_of_a_difference_is_that_of_the_pairs(make_cell):
    """Right on the same samples is no difference, whatever the samples; on as many others it may be one."""
    scores = [1.0] * 30 + [0.0] * 30

    def interval(ideal):
        cells = [make_cell("shuffle", scores=scores), make_cell("shuffle", scores=ideal, model="ideal")]
        (row,) = against_ideal(aggregate(cells)).rows
        assert row["difference"] == 0.0
        return row["interval"]["low"], row["interval"]["high"]

    assert interval(scores) == (0.0, 0.0)
    low, high = interval(scores[::-1])
    assert low < -20.0
    assert high > 20.0
