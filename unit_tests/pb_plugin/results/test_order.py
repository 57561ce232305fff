"""Order statistics: scipy's numbers, published examples by hand, no NaN, and what no record can tell."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.order import kendall, mean_order, spearman, with_positions, with_sorted

VECTORS = st.integers(2, 12).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 6), min_size=n, max_size=n), min_size=1, max_size=4)
)


@pytest.fixture
def order_of(make_record):
    """Return a function that gives the mean order of records with these commit steps."""

    def found(*commit_steps, remasks=0):
        records = [
            make_record(
                ids=(11,) * len(steps or (0, 1)),
                commit_step=steps,
                remasks=remasks,
                parts={"sample_id": str(i)},
            )
            for i, steps in enumerate(commit_steps)
        ]
        return mean_order(records)

    return found


@given(VECTORS)
@pytest.mark.parametrize("partner", [with_positions, with_sorted])
@pytest.mark.parametrize(("ours", "theirs"), [(kendall, kendalltau), (spearman, spearmanr)])
def test_every_row_has_the_correlation_of_scipy(ours, theirs, partner, vectors):
    x = np.array(vectors)
    y = partner(x)
    for found, row, other in zip(ours(x, y), x, y, strict=True):
        if len(set(row)) == 1:
            assert found is None
        else:
            assert found == pytest.approx(theirs(row, other).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("steps", "position", "published"),
    [
        ((0, 0, 1, 1, 2, 2), 12 / math.sqrt(12 * 15), 1.0),  # 12 of 15 pairs are untied, all in order
        ((0, 1, 0, 1, 0, 1), 3 / math.sqrt(9 * 15), 1 / 3),  # 6 of 9 in order, 3 not; sorted: 4 - 1 of 9
        ((0, 1, 2, 3), 1.0, 1.0),
        ((3, 2, 1, 0), -1.0, -1.0),
        ((0, 0, 0, 0), None, None),
    ],
)
def test_ties_weigh_as_published_against_the_sorted_copy_and_less_against_positions(
    order_of, steps, position, published
):
    found = order_of(steps)
    assert found.kendall_position == (None if position is None else pytest.approx(position))
    assert found.kendall_published == (None if published is None else pytest.approx(published))
    assert (found.spearman_position is None) == (position is None)


def test_the_documented_digits_of_the_two_definitions(order_of):
    assert round(order_of((0, 0, 1, 1, 2, 2)).kendall_position, 3) == 0.894
    assert round(order_of((0, 1, 0, 1, 0, 1)).kendall_position, 3) == 0.258
    assert round(order_of((0, 1, 0, 1, 0, 1)).kendall_published, 3) == 0.333


def test_positions_of_a_template_are_order_0_as_published_and_absent_from_the_other(order_of):
    """Filled from right to left between fixed positions: 0 2 0 1 0 0 against 0 0 0 0 1 2."""
    found = order_of((-1, 2, -1, 1, -1, 0))
    assert found.kendall_position == found.spearman_position == -1.0
    assert found.kendall_published == pytest.approx(kendalltau([0, 2, 0, 1, 0, 0], [0, 0, 0, 0, 1, 2])[0])


def test_a_cell_has_the_means_over_the_samples_that_have_an_order(order_of):
    """Samples of other lengths count once each; one that was decoded in one step has no order."""
    found = order_of((0, 1, 2), (2, 1, 0), (0, 1, 2), (0, 0, 0), (0, 1, 2, 3))
    assert found.kendall_position == found.spearman_position == 0.5
    assert found.kendall_published == found.spearman_published == 0.5


def test_one_position_has_no_order(order_of):
    assert order_of((0,)).kendall_position is None
    assert order_of((-1, -1, 4)).kendall_position is None
    assert order_of((-1, -1, 4)).kendall_published == 1.0


def test_re_masks_are_counted_and_hide_the_first_commit(order_of):
    """The published order is that of first commits; a record with re-masks knows only the final ones."""
    found = order_of((0, 1, 2), (0, 1, 2), remasks=3)
    assert (found.remasks, found.kendall_position) == (3.0, 1.0)
    assert found.kendall_published is found.spearman_published is None


def test_a_model_that_does_not_tell_its_steps_gives_no_correlation(order_of):
    found = order_of(None, (0, 1))
    assert found.to_json() == {
        "kendall_position": None,
        "spearman_position": None,
        "kendall_published": None,
        "spearman_published": None,
        "remasks": 0.0,
    }


def test_no_record_has_no_order():
    assert mean_order([]) is None


def test_the_summary_of_a_cell_holds_its_order(make_cell, make_failure):
    """The records of the fixture commit two positions per step from left to right: 24 of 28 pairs untied."""
    (cell,) = aggregate([make_cell(scores=(1.0, 0.0))]).cells
    assert cell.order.kendall_position == pytest.approx(24 / math.sqrt(24 * 28))
    assert (cell.order.kendall_published, cell.order.remasks) == (1.0, 0.0)
    assert json.loads(json.dumps(cell.to_json()["order"], allow_nan=False)) == cell.order.to_json()
    (nothing,) = aggregate([make_cell(records=[make_failure()])]).cells
    assert nothing.order is nothing.to_json()["order"] is None
