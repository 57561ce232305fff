"""KLASS: how many forwards stability takes, the divergence by hand, and what happens when none is ready."""

import math
from dataclasses import replace

import pytest
import torch

from decoders.loop.batching import decode
from decoders.testing import check_method
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.unmasking.klass import KLASS

METHODS = {
    "default": KLASS(),
    "upstream": KLASS(upstream_exact=True, tau=0.1, eps=1.0),
    "loose": KLASS(tau=0.0, eps=50.0, history=1),
    "max_conf": KLASS(tau=0.1, eps=5.0, choose="max_conf"),
    "min_kl": KLASS(tau=0.1, eps=5.0, choose="min_kl"),
    "random": KLASS(tau=0.1, eps=5.0, choose="random"),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_it_obeys_the_rules(method):
    check_method(method)


class Settled(HashDenoiser):
    """Gives position i the same distribution at every forward: 0.90 + i / 100 for one token."""

    def __call__(self, canvas, attend, query, contexts):
        p = 0.9 + 0.01 * (query[:, 1].double() - canvas.shape[1] + 8).unsqueeze(1)
        probability = ((1.0 - p) / (self.vocab_size - 2)).repeat(1, self.vocab_size)
        probability[:, 5:6] = p
        probability[:, self.mask_id] = 0.0
        return probability.log().float()


def commits(method, **setting):
    """Return how many of 8 positions each forward commits, and the positions in the order of commit."""
    (row,) = decode(Settled(), [(3, 4)], method, gen_length=8, **setting)
    order = sorted(range(8), key=lambda position: row.commit_step[position])
    return [row.commit_step.count(step) for step in range(row.nfe)], order


FORWARDS = {
    "history 1": (KLASS(history=1), {}, [1, 7]),
    "history 2": (KLASS(), {}, [1, 1, 6]),
    "history 3": (KLASS(history=3), {}, [1, 1, 1, 5]),
    "blocks start anew": (KLASS(), {"block_length": 4}, [1, 1, 2, 1, 1, 2]),
    "blocks go on as published": (KLASS(upstream_exact=True, tau=0.8), {"block_length": 4}, [1, 1, 2, 1, 3]),
    "published in one block": (KLASS(upstream_exact=True, tau=0.8), {}, [1, 1, 6]),
    "none is sure": (KLASS(tau=0.99), {}, [1] * 8),
    "quota of the schedule": (KLASS(), {"max_steps": 4}, [2, 2, 4]),
    "two are sure": (KLASS(tau=0.95, history=1), {}, [1, 2, 1, 1, 1, 1, 1]),
    "only the best": (KLASS(choose="max_conf"), {}, [1] * 8),
}


@pytest.mark.parametrize(("method", "setting", "expected"), FORWARDS.values(), ids=FORWARDS)
def test_a_settled_position_is_ready_from_forward_h_plus_1_on(method, setting, expected):
    """Fallbacks take the best; 0.95, 0.96 and 0.97 are sure by tau = 0.95 (of these one goes first)."""
    assert commits(method, **setting)[0] == expected


def test_one_ready_position_is_the_most_confident():
    assert commits(KLASS(choose="max_conf"))[1] == [7, 6, 5, 4, 3, 2, 1, 0]


def views(make_view, *distributions):
    """Return one view per forward of a row whose positions have these distributions over two tokens."""
    for step, rows in enumerate(distributions):
        view = make_view([[max(p) for p in rows]], probs=[list(map(list, rows))])
        yield replace(view, step=view.step + step)


def unmasked(method, views_of_steps):
    memory, found = None, []
    for view in views_of_steps:
        update, memory = method.step(view, method.init(view) if memory is None else memory)
        found.append(update.unmask[0].nonzero().flatten().tolist())
    return found


KL = 0.8 * math.log(0.8 / 0.9) + 0.2 * math.log(0.2 / 0.1)


@pytest.mark.parametrize(("eps", "expected"), [(KL + 1e-4, [0, 1]), (KL - 1e-4, [1])])
def test_the_divergence_is_that_of_now_from_before(make_view, eps, expected):
    """From 0.9 to 0.8 it is 0.0444 nats; the other way round it would be 0.0369."""
    assert pytest.approx(0.0444, abs=1e-4) == KL
    steps = views(make_view, [(0.9, 0.1), (0.9, 0.1)], [(0.8, 0.2), (0.81, 0.19)])
    assert unmasked(KLASS(tau=0.5, eps=eps, history=1), steps)[1] == expected


def test_one_divergence_of_the_history_that_is_too_large_makes_unstable(make_view):
    jump, rest = [(0.9, 0.1), (0.8, 0.2)], [(0.2, 0.8), (0.8, 0.2)]
    steps = list(views(make_view, jump, rest, rest, rest))
    assert unmasked(KLASS(tau=0.5, history=2), steps) == [[0], [0], [1], [0, 1]]
    assert unmasked(KLASS(tau=0.5, history=1), steps) == [[0], [1], [0, 1], [0, 1]]


def test_the_least_divergence_is_chosen_where_asked(make_view):
    steps = list(views(make_view, [(0.9, 0.1), (0.8, 0.2)], [(0.91, 0.09), (0.8, 0.2)]))
    assert unmasked(KLASS(tau=0.5, history=1, eps=1.0, choose="min_kl"), steps)[1] == [1]
    assert unmasked(KLASS(tau=0.5, history=1, eps=1.0, choose="max_conf"), steps)[1] == [0]


def test_equality_with_tau_passes_except_as_published(make_view):
    steps = list(views(make_view, *[[(0.9, 0.1), (0.8, 0.2)]] * 3))
    assert unmasked(KLASS(tau=0.8, history=1), steps)[1] == [0, 1]
    half = list(views(make_view, *[[(0.75, 0.25), (0.5, 0.5)]] * 3))
    assert unmasked(KLASS(tau=0.5, history=1, upstream_exact=True), half)[1] == [0]


def test_the_first_divergence_is_large_as_published(make_view):
    """From zeros it is 27.6 - entropy, so a vast eps passes it; without a past nothing does."""
    steps = list(views(make_view, [(0.9, 0.1), (0.8, 0.2)]))
    loose = {"tau": 0.5, "history": 1}
    assert unmasked(KLASS(eps=27.4, upstream_exact=True, **loose), steps) == [[0, 1]]
    assert unmasked(KLASS(eps=27.0, upstream_exact=True, **loose), steps) == [[0]]
    assert unmasked(KLASS(eps=1e9, **loose), steps) == [[0]]


def test_memory_keeps_rows_first():
    memory = KLASS(history=3).init(_view_of(4, 6, 5))
    assert memory.previous.shape == (4, 6, 5)
    assert memory.top.shape == memory.rest.shape == (4, 6)
    assert memory.divergence.shape == (4, 3, 6)


def _view_of(*shape):
    class View:
        probs = torch.ones(shape)
        tokens = torch.zeros(shape[:2], dtype=torch.long)
        log_odds = torch.zeros(shape[:2], dtype=torch.float64)

    return View()


REFUSED = {
    "tau": ({"tau": 1.1}, r"tau must be in \[0, 1\], got 1\.1; 0\.9 is the published default"),
    "eps": ({"eps": 0.0}, r"eps must be above 0, got 0\.0; 0\.01 nats is the published default"),
    "eps nan": ({"eps": float("nan")}, r"eps must be above 0, got nan"),
    "history": ({"history": 0}, r"history must be at least 1, got 0; 2 is the published default"),
    "choose": ({"choose": "some"}, r"choose must be one of all, max_conf, min_kl, random, got 'some'; pick"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        KLASS(**given)
