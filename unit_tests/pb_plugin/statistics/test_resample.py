"""The joint resample: moments in closed form, tasks apart, curves together, no certainty by few."""

import numpy as np
import pytest
from scipy import stats

from pb_plugin.statistics.resample import Resample, percentile_interval, places

MANY = Resample(draws=20_000)


def test_a_mean_has_the_variance_of_its_samples():
    """Var = sum (v - mean)^2 / (n (n - 1)); 20,000 draws know it to 1 / sqrt(10,000)."""
    values = np.array([[0.0], [0.0], [1.0], [1.0], [0.25], [0.9]])
    drawn = MANY.means("copy", values)[:, 0]
    expected = values.var(ddof=1) / len(values)
    assert drawn.mean() == pytest.approx(values.mean(), abs=5 * np.sqrt(expected / 20_000))
    assert drawn.var() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("k", "n"), [(3, 25), (1, 10), (50, 100)])
def test_the_mean_of_right_and_wrong_is_drawn_from_a_beta_distribution(k, n):
    """Weights of Dirichlet(a, ..., a) give k of n samples the share Beta(k a, (n - k) a)."""
    values = np.repeat([1.0, 0.0], [k, n - k])[:, None]
    a = 1.0 - 2.0 / n
    quantiles = (0.025, 0.25, 0.5, 0.75, 0.975)
    expected = stats.beta(k * a, (n - k) * a).ppf(quantiles)
    np.testing.assert_allclose(np.quantile(MANY.means("copy", values), quantiles), expected, atol=0.01)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_samples_have_weights_too(n):
    drawn = MANY.means("copy", np.arange(float(n))[:, None])
    assert ((drawn >= 0.0) & (drawn <= n - 1.0)).all()
    assert drawn.mean() == pytest.approx((n - 1) / 2, abs=0.03)


def test_columns_of_a_task_move_together_and_tasks_do_not():
    values = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    drawn = MANY.means("copy", values)
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0)
    other = MANY.means("sort", values)
    assert abs(np.corrcoef(drawn[:, 0], other[:, 0])[0, 1]) < 0.05
    np.testing.assert_array_equal(drawn, Resample(draws=20_000).means("copy", values))
    assert not np.array_equal(drawn, Resample(draws=20_000, seed=1).means("copy", values))


@pytest.mark.parametrize(("score", "n"), [(1.0, 4), (0.0, 4), (1.0, 100)])
@pytest.mark.parametrize("tasks", [1, 3])
def test_equal_scores_are_no_certainty_and_all_of_them_are_one_doubt(score, n, tasks):
    by_task = {f"t{i}": np.full((n, 1), score) for i in range(tasks)}
    drawn = MANY.mean_scores(by_task)[:, 0]
    share = drawn if score == 1.0 else 1.0 - drawn
    quantiles = (0.025, 0.25, 0.5)
    expected = stats.beta(tasks * n + 0.5, 0.5).ppf(quantiles)
    np.testing.assert_allclose(np.quantile(share, quantiles), expected, atol=0.02)


def test_tasks_without_doubt_are_moved_by_no_other_task():
    mixed = np.array([[0.0], [1.0], [1.0]])
    drawn = MANY.mean_scores({"copy": mixed, "sort": np.ones((3, 1))})
    alone = MANY.mean_scores({"copy": mixed})
    np.testing.assert_array_equal(alone, MANY.means("copy", mixed))
    assert ((2 * drawn - alone)[:, 0] <= 1.0).all()


def test_four_of_four_do_not_show_80_percent():
    assert Resample().interval("copy", [1.0] * 4).low < 0.8
    assert Resample().interval("copy", [1.0] * 100).low > 0.95
    assert Resample().interval("copy", [0.0] * 4).high > 0.2
    assert Resample().interval("copy", [1.0] * 4).high == 1.0
    assert Resample().interval("copy", [0.0] * 4).low == 0.0


def test_equal_scores_between_the_ends_are_in_doubt_to_both_sides():
    drawn = MANY.mean_scores({"copy": np.full((5, 2), 0.5)})
    assert drawn.min() < 0.5 < drawn.max()
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])


def test_equal_rates_are_certain():
    """Tokens per step of a static method have no doubt."""
    assert (MANY.means("copy", np.full((4, 1), 8.0)) == 8.0).all()


def test_an_interval_is_a_pair_of_draws():
    assert places(2000, 0.95) == (49, 1950)
    low, high = percentile_interval(np.arange(2000.0)[::-1], 0.95)
    assert (low, high) == (49.0, 1950.0)
    assert places(1, 0.95) == (0, 0)
