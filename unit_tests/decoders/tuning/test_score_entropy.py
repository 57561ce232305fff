"""The score entropy of both graphs against its definition, written out with their transition kernels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from decoders.models.sedd.network import SeddNetwork
from decoders.models.sedd.noise import Absorbing, Geometric, LogLinear, Uniform
from decoders.tuning.batches import Chosen, Example, collate
from decoders.tuning.score_entropy import ScoreEntropyLoss, entropies

STATES = 5
GRAPHS = {"absorb": Absorbing(states=STATES), "uniform": Uniform(states=STATES)}
NOISE = {"absorb": LogLinear(), "uniform": Geometric(sigma_min=1e-4, sigma_max=20.0)}
both_graphs = pytest.mark.parametrize("kind", GRAPHS)


def probability(graph, clean, sigma):
    """Return p(y | clean) of every state y after noise sigma, from the kernel that samplers use."""
    return torch.stack([graph.transition(torch.tensor([y]), sigma)[0, clean] for y in range(graph.states)])


def true_log_ratios(graph, token, clean, sigma):
    reached = probability(graph, clean, sigma)
    return (reached / reached[token]).log()


def cost(graph, log_score, token, clean, sigma):
    """Return the definition: sum over other states y of rate * (s - r log s + r (log r - 1))."""
    rates = graph.rate(torch.tensor([token]))[0]
    reached = probability(graph, clean, sigma)
    total = 0.0
    for y in range(graph.states):
        if y == token or rates[y] == 0.0:
            continue
        ratio = float(reached[y] / reached[token])
        constant = ratio * (math.log(ratio) - 1.0) if ratio > 0.0 else 0.0
        total += float(rates[y]) * (math.exp(log_score[y]) - ratio * log_score[y] + constant)
    return total


def cases(graph):
    """Every pair of a noisy token and a clean one that can happen."""
    tokens = graph.states - isinstance(graph, Absorbing)
    pairs = [(token, clean) for token in range(graph.states) for clean in range(tokens)]
    reached = {clean: probability(graph, clean, 1.0) for clean in range(tokens)}
    return [(token, clean) for token, clean in pairs if reached[clean][token] > 0.0]


@both_graphs
@given(sigma=st.floats(0.01, 8.0), seed=st.integers(0, 2**20))
def test_it_is_the_sum_over_states(kind, sigma, seed):
    graph = GRAPHS[kind]
    pairs = cases(graph)
    scores = torch.randn(len(pairs), STATES, generator=torch.Generator().manual_seed(seed))
    token, clean = map(torch.tensor, zip(*pairs, strict=True))
    found = entropies(graph, scores, token, clean, torch.full((len(pairs),), sigma, dtype=torch.float64))
    expected = [cost(graph, row.tolist(), *pair, sigma) for row, pair in zip(scores, pairs, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=2e-4, abs=1e-3)


@both_graphs
@given(sigma=st.floats(0.05, 8.0))
def test_it_is_zero_at_the_truth_and_above_it_elsewhere(kind, sigma):
    graph = GRAPHS[kind]
    pairs = cases(graph)
    truth = torch.stack([true_log_ratios(graph, *pair, sigma) for pair in pairs]).float()
    truth = truth.clamp(min=-60.0)
    token, clean = map(torch.tensor, zip(*pairs, strict=True))
    level = torch.full((len(pairs),), sigma, dtype=torch.float64)
    largest = float(truth.exp().amax())
    assert entropies(graph, truth, token, clean, level).tolist() == pytest.approx(
        [0.0] * len(pairs), abs=1e-4 * max(1.0, largest)
    )
    moved = entropies(graph, truth + 0.5, token, clean, level)
    may_move = token == STATES - 1 if kind == "absorb" else torch.ones_like(token, dtype=torch.bool)
    assert (moved[may_move] > 0.0).all()
    assert (moved[~may_move] == 0.0).all()


@both_graphs
def test_the_average_over_noise_pulls_towards_the_marginal_ratio(kind):
    """With two equally likely clean tokens, the best score is the ratio of the mixed probabilities."""
    graph, sigma, token = GRAPHS[kind], 0.7, STATES - 1
    weights = [float(probability(graph, clean, sigma)[token]) for clean in (0, 1)]
    mixed = (probability(graph, 0, sigma) + probability(graph, 1, sigma)) / 2
    best = (mixed / mixed[token]).log().clamp(min=-40.0).float()

    def average(log_score):
        costs = entropies(
            graph,
            log_score.expand(2, -1),
            torch.tensor([token, token]),
            torch.tensor([0, 1]),
            torch.full((2,), sigma, dtype=torch.float64),
        )
        return float((costs * torch.tensor(weights)).sum())

    lowest = average(best)
    for state in range(STATES - 1):
        for step in (-0.3, 0.3):
            other = best.clone()
            other[state] += step
            assert average(other) >= lowest - 1e-6


@both_graphs
def test_noise_hits_learned_positions_of_the_canvas_alone_and_as_often_as_it_says(kind):
    graph, rows = GRAPHS[kind], 400
    network = SeddNetwork(
        states=STATES, hidden_size=8, n_blocks=1, n_heads=2, cond_dim=4, scale_by_sigma=kind == "absorb"
    )
    loss = ScoreEntropyLoss(network, graph=graph, level=NOISE[kind])
    example = Example(prompt=(1, 2), canvas=(3, 0, 1, 2), learned=(True, False, True, True))
    time = 0.6
    chosen = [
        Chosen(split="train", number=row, time=time, rng=np.random.default_rng(row)) for row in range(rows)
    ]
    noisy, attend, clean, learned, times = loss.noise(collate([example] * rows, 0), chosen)
    assert (noisy[:, :2] == clean[:, :2]).all()
    assert (noisy[:, 3] == clean[:, 3]).all()
    assert learned[0].tolist() == [False, False, True, False, True, True]
    assert attend.all()
    assert times.tolist() == [time] * rows
    left = noisy[:, [2, 4, 5]] != clean[:, [2, 4, 5]]
    moved = 1.0 - math.exp(-float(NOISE[kind].sigma(torch.tensor(time, dtype=torch.float64))))
    expected = moved if kind == "absorb" else moved * (STATES - 1) / STATES
    assert float(left.float().mean()) == pytest.approx(expected, abs=0.05)
    if kind == "absorb":
        assert (noisy[:, [2, 4, 5]][left] == STATES - 1).all()
    else:
        assert set(noisy[:, [2, 4, 5]][left].tolist()) == set(range(STATES))
