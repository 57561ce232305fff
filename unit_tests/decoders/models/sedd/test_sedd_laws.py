"""SEDD's graphs, noise and steps against closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from decoders.models.sedd import sampler as sedd_sampler
from decoders.models.sedd.noise import (
    Absorbing,
    Geometric,
    LogLinear,
    Uniform,
    analytic_weights,
    denoiser_weights,
    euler_weights,
)
from decoders.rows import DecodeError

torch.set_num_threads(1)

TIMES = st.floats(0.02, 1.0)


def ideal_scores(probabilities, sigma):
    """Return log scores [1, V] of a masked position whose token has *probabilities*."""
    scores = torch.cat([probabilities / math.expm1(sigma), torch.ones(1, dtype=torch.float64)])
    return scores.log()[None]


@given(
    time=TIMES, share=st.floats(0.05, 0.95), weights=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=5)
)
def test_with_ideal_scores_both_predictors_unmask_with_the_share_of_time_that_passes(time, share, weights):
    noise, graph = LogLinear(), Absorbing(states=len(weights) + 1)
    p = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    now, step = torch.tensor(time, dtype=torch.float64), share * time
    sigma = float(noise.sigma(now))
    token = torch.tensor([len(weights)])
    expected = torch.cat([share * p, torch.tensor([1.0 - share], dtype=torch.float64)])
    passed = sigma - float(noise.sigma(now - step))
    analytic = analytic_weights(graph, ideal_scores(p, sigma), token, passed)[0]
    euler = euler_weights(graph, ideal_scores(p, sigma), token, step * float(noise.rate(now)))[0]
    torch.testing.assert_close(analytic, expected, atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(euler, expected, atol=1e-9, rtol=1e-7)


@given(time=TIMES, weights=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=5))
def test_with_ideal_scores_the_denoiser_returns_the_law_itself(time, weights):
    p = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    sigma = float(LogLinear().sigma(torch.tensor(time, dtype=torch.float64)))
    found = denoiser_weights(
        Absorbing(states=len(weights) + 1), ideal_scores(p, sigma), torch.tensor([len(weights)]), sigma
    )
    torch.testing.assert_close(found[0], p, atol=1e-9, rtol=1e-7)


@given(time=TIMES, step=st.floats(0.01, 0.9), clean=st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3))
def test_with_ideal_scores_the_uniform_analytic_step_is_bayes_rule(time, step, clean):
    """Of a token seen at time t, the law one step before: prior there times kernel, normalised."""
    noise, graph = Geometric(sigma_min=1e-3, sigma_max=2.0), Uniform(states=3)
    p = torch.tensor(clean, dtype=torch.float64) / sum(clean)
    now = torch.tensor(time, dtype=torch.float64)
    sigma, before = float(noise.sigma(now)), float(noise.sigma(now - step * now))

    def at(level):
        return math.exp(-level) * p + (1.0 - math.exp(-level)) / 3

    seen = torch.tensor([1])
    kernel = graph.transition(seen, sigma - before)[0]
    posterior = at(before) * kernel / at(sigma)[1]
    scores = (at(sigma) / at(sigma)[1]).log()[None]
    torch.testing.assert_close(
        analytic_weights(graph, scores, seen, sigma - before)[0], posterior, atol=1e-9, rtol=1e-7
    )
    assert float(posterior.sum()) == pytest.approx(1.0)


@given(time=st.floats(0.1, 0.9))
@pytest.mark.parametrize(
    "noise", [LogLinear(), Geometric(sigma_min=1e-4, sigma_max=20.0)], ids=["log", "geometric"]
)
def test_the_rate_is_the_slope_of_the_noise(noise, time):
    h = 1e-6
    low, high, mid = (torch.tensor(time + d, dtype=torch.float64) for d in (-h, h, 0.0))
    slope = float(noise.sigma(high) - noise.sigma(low)) / (2 * h)
    assert float(noise.rate(mid)) == pytest.approx(slope, rel=1e-5)


def test_draws_follow_the_weights():
    weights = torch.tensor([[0.5, -1.0, 0.25, 0.25, 0.0]], dtype=torch.float64).expand(4000, -1)
    drawn = sedd_sampler._draw(weights, torch.arange(1000), 4, step=0).flatten()
    counts = torch.bincount(drawn, minlength=5) / 4000
    assert counts[1] == counts[4] == 0
    torch.testing.assert_close(counts, torch.tensor([0.5, 0.0, 0.25, 0.25, 0.0]), atol=0.03, rtol=0.0)


def test_draws_of_other_rows_positions_and_steps_are_other_draws():
    weights = torch.ones(8, 100_000, dtype=torch.float64)
    drawn = torch.stack([sedd_sampler._draw(weights, torch.tensor([3, 4]), 4, step) for step in range(3)])
    assert len(set(drawn.flatten().tolist())) == 24
    assert torch.equal(sedd_sampler._draw(weights[:4], torch.tensor([4]), 4, 2)[0], drawn[2, 1])


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_scores_without_a_usable_weight_are_an_error_of_the_model(value):
    weights = torch.full((4, 3), value, dtype=torch.float64)
    with pytest.raises(DecodeError, match="scores without a usable weight at step 2; check the checkpoint"):
        sedd_sampler._draw(weights, torch.arange(1), 4, step=2)
