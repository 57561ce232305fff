"""Parallelizability and benefit of order against their closed forms, and what is missing by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.analyses.order import METHODS, centre_of_mass, order_benefit, parallelizability, slope
from pb_plugin.results.aggregate import aggregate

SCORES = st.dictionaries(st.sampled_from([1, 2, 4, 8, 16, 32]), st.floats(0.5, 100.0), min_size=2)


def test_the_centre_of_mass_of_equal_scores_is_the_mean_k():
    assert centre_of_mass({1: 50.0, 2: 50.0, 6: 50.0}) == 3.0
    assert centre_of_mass({1: 100.0, 2: 0.0, 6: 0.0}) == 1.0
    assert centre_of_mass({1: 0.0, 2: 0.0}) is None


@given(scores=SCORES)
def test_the_centre_of_mass_lies_between_the_ks_and_knows_no_scale(scores):
    found = centre_of_mass(scores)
    assert min(scores) - 1e-9 <= found <= max(scores) + 1e-9
    assert centre_of_mass({k: score / 2 for k, score in scores.items()}) == pytest.approx(found)


@given(
    a=st.floats(-10, 10), b=st.floats(-50, 50), lengths=st.sets(st.sampled_from([4, 8, 16, 32]), min_size=2)
)
def test_the_slope_of_a_line_is_its_own(a, b, lengths):
    import math

    assert slope({n: b - a * math.log2(n) for n in lengths}) == pytest.approx(a, abs=1e-9)


def test_blocks_that_help_have_a_positive_slope():
    assert slope({32: 60.0, 16: 65.0, 8: 70.0}) == 5.0


@pytest.fixture
def summary_of(make_cell):
    """Return a function that aggregates (task, method, k, block, score of four samples) rows."""

    def build(*rows):
        return aggregate(
            [
                make_cell(task, method=method, k=k, block_length=block, scores=[1] * n + [0] * (4 - n))
                for task, method, k, block, n in rows
            ]
        )

    return build


def test_a_task_has_the_mean_over_its_methods_and_the_rest_is_named(summary_of):
    """random: (1 * 100 + 2 * 50) / 150 = 4/3; confidence: (100 + 2 * 100) / 200 = 3/2."""
    found = parallelizability(
        summary_of(
            ("shuffle", "random", 1, None, 4),
            ("shuffle", "random", 2, None, 2),
            ("shuffle", "confidence", 1, None, 4),
            ("shuffle", "confidence", 2, None, 4),
            ("shuffle", "confidence", 4, None, 4),
            ("shuffle", "confidence", 4, 4, 4),
        )
    )
    (row,) = found.rows
    assert row["value"] == pytest.approx((4 / 3 + 3 / 2) / 2)
    assert (row["over"], row["methods"]) == ([1, 2], ["random", "confidence"])
    assert found.missing == (
        "parallelizability of llada: margin, entropy at two or more values are missing for shuffle; run "
        "pytest bench_tests --model llada --unmasking margin --unmasking entropy --task shuffle "
        "--k 1,2,4,8,16,32",
    )


def test_the_canvas_is_the_longest_block(summary_of):
    found = order_benefit(
        summary_of(
            *[("sort", method, 2, None, 2) for method in METHODS],
            *[("sort", method, 2, 4, 3) for method in METHODS],
            *[("sort", method, 4, 4, 0) for method in METHODS],
        )
    )
    (row,) = found.rows
    assert (row["value"], row["over"]) == (25.0, [4, 8])
    assert found.missing == ()
    assert (
        "--k 2 --block-length 4,8,16,32"
        in order_benefit(summary_of(("sort", "random", 2, None, 2))).missing[0]
    )


def test_the_interval_of_a_number_holds_it_and_shrinks_with_samples(make_cell):
    def width(n):
        right = {1: n, 2: n // 2}
        cells = [
            make_cell("shuffle", method="random", k=k, scores=[1] * right[k] + [0] * (n - right[k]))
            for k in right
        ]
        (row,) = parallelizability(aggregate(cells)).rows
        assert row["interval"]["low"] < row["value"] < row["interval"]["high"]
        return row["interval"]["high"] - row["interval"]["low"]

    assert width(100) < 0.6 * width(20)
