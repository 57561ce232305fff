"""LoPA: against a second, plain implementation; without lookaheads; its work; what it refuses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.budget import Budget
from decoders.loop.batching import decode
from decoders.models.tiny import load as load_tiny
from decoders.protocols import ModelRequest
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.lopa import LoPA
from decoders.unmasking.threshold import Threshold

PROMPTS = [(3,), (4, 5), (6, 7, 8)]
LENGTH, MASK = 12, HashDenoiser.mask_id


@pytest.mark.parametrize(
    "method",
    [LoPA(), LoPA(lookaheads=0), LoPA(lookaheads=4, size=3, gamma=0.3, alpha=0.5, confidence="margin")],
)
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [LoPA(**params).gamma for params in LoPA.sweep] == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def heard(model, prompt, canvas):
    """Return {position: (token, probability, {measure: value})} of the masks of *canvas*."""
    masks = [at for at, token in enumerate(canvas) if token == MASK]
    if not masks:
        return {}
    tokens = torch.tensor([[*prompt, *canvas]])
    query = torch.tensor([[0, len(prompt) + at] for at in masks])
    logits = model(tokens, torch.ones_like(tokens, dtype=torch.bool), query, [None]).double()
    found = {}
    for at, p in zip(masks, logits.softmax(dim=1).tolist(), strict=True):
        first, second = sorted(p, reverse=True)[:2]
        entropy = sum(q * math.log(q) for q in p if q > 0.0)
        measures = {"confidence": first, "margin": first - second, "entropy": entropy}
        found[at] = (p.index(first), first, measures[model.measure])
    return found


def shares(canvas, size):
    parts = [canvas[at : at + size] for at in range(0, len(canvas), size)]
    return [1.0, *(sum(token != MASK for token in part) / len(part) for part in parts)]


def open_masks(method, canvas):
    before, found = shares(canvas, method.size), []
    for number in range(len(before) - 1):
        if before[number] < method.opens:
            break
        stretch = range(number * method.size, min(len(canvas), (number + 1) * method.size))
        found.append((before[number] >= method.forces, [at for at in stretch if canvas[at] == MASK]))
    return found


def sureness(method, canvas, told):
    values = sorted(told[at][2] for _, masks in open_masks(method, canvas) for at in masks)
    low = values[: max(1, int(len(values) * method.share))]
    return sum(low) / len(low) if low else 1.0


def naive(model, prompt, method):
    """Return the ids, the rounds and the canvases evaluated, one row and one canvas at a time."""
    row, tried, n_rounds, n_canvases = [MASK] * LENGTH, [], 0, 0
    while MASK in row:
        copies = []
        for at, token, worth in tried:
            copies.append((worth, [*row[:at], token, *row[at + 1 :]]))
        copies.append((1.0, row))
        best, winner = -math.inf, None
        for worth, canvas in copies:
            told = heard(model, prompt, canvas)
            score = method.alpha * worth + (1.0 - method.alpha) * sureness(method, canvas, told)
            if score > best + 1e-9:
                best, winner = score, (canvas, told)
        n_rounds, n_canvases = n_rounds + 1, n_canvases + len(copies)
        canvas, told = winner
        filled, opened = [], open_masks(method, canvas)
        for must, masks in opened:
            sure = [at for at in masks if told[at][1] >= method.gamma]
            if must and masks and not sure:
                sure = [max(masks, key=lambda at: (told[at][2], -at))]
            filled += sure
        left = [at for _, masks in opened for at in masks if at not in filled]
        left.sort(key=lambda at: (-told[at][2], at))
        row = [told[at][0] if at in filled else token for at, token in enumerate(canvas)]
        tried = [(at, told[at][0], told[at][2]) for at in left[: method.lookaheads]]
    return row, n_rounds, n_canvases


@given(
    lookaheads=st.integers(0, 4),
    gamma=st.sampled_from([0.2, 0.5, 0.9]),
    confidence=st.sampled_from(["confidence", "margin", "entropy"]),
    share=st.sampled_from([0.3, 0.5, 1.0]),
    alpha=st.sampled_from([0.0, 0.5, 1.0]),
    size=st.sampled_from([1, 4, 5, 12, 40]),
    opens=st.sampled_from([0.1, 0.4, 1.0]),
    forces=st.sampled_from([0.3, 0.95]),
    sharpness=st.sampled_from([1.0, 6.0]),
)
@settings(deadline=None, max_examples=40)
def test_rows_are_those_of_a_second_implementation(sharpness, **params):
    model, method = HashDenoiser(sharpness=sharpness), LoPA(**params)
    model.measure = method.confidence
    for outcome, prompt in zip(decode(model, PROMPTS, method, gen_length=LENGTH), PROMPTS, strict=True):
        ids, n_rounds, n_canvases = naive(model, prompt, method)
        assert (list(outcome.ids), outcome.nfe, outcome.evaluated_canvases) == (ids, n_rounds, n_canvases)


@given(
    gamma=st.sampled_from([0.2, 0.5, 0.9, 1.0]),
    block_length=st.sampled_from([1, 4, 6, 12]),
    cache=st.sampled_from(["none", "prefix", "dual"]),
    data=st.data(),
)
@settings(deadline=None, max_examples=20)
def test_without_lookaheads_and_in_one_stretch_it_is_threshold(gamma, block_length, cache, data):
    template = st.lists(st.sampled_from([MASK, MASK, MASK, 5]), min_size=LENGTH, max_size=LENGTH)
    knobs = {
        "gen_length": LENGTH,
        "block_length": block_length,
        "cache": cache,
        "templates": [data.draw(template) for _ in PROMPTS],
    }
    model = HashDenoiser(sharpness=6.0)
    method = LoPA(gamma=gamma, lookaheads=0, confidence="confidence")
    plain = decode(model, PROMPTS, Threshold(gamma=gamma), **knobs)
    ours = decode(model, PROMPTS, method, **knobs)
    assert [(row.ids, row.nfe) for row in ours] == [(row.ids, row.nfe) for row in plain]
    assert all(row.evaluated_canvases == row.nfe for row in ours)


def test_on_a_trained_network_lookaheads_save_forwards_and_cost_canvases():
    model = load_tiny(ModelRequest(name="tiny", device="cpu"))
    prompts = [list(range(10, 10 + n)) for n in (8, 12, 15)]
    plain = decode(model, prompts, LoPA(lookaheads=0), gen_length=32)
    ours = decode(model, prompts, LoPA(), gen_length=32)
    assert sum(row.nfe for row in ours) < sum(row.nfe for row in plain)
    assert sum(row.evaluated_canvases for row in ours) > sum(row.evaluated_canvases for row in plain)


def test_sharing_a_small_budget_changes_nothing():
    model = HashDenoiser()
    expected = decode(model, PROMPTS, LoPA(size=4), gen_length=LENGTH)
    assert decode(model, PROMPTS, LoPA(size=4), gen_length=LENGTH, budget=Budget(tokens=50)) == expected


REFUSED = {
    "gamma": ({"gamma": 0.0}, r"gamma must be in \(0, 1\], got 0\.0; leave it out for the published one"),
    "lookaheads": (
        {"lookaheads": -1},
        "lookaheads must be a whole number of at least 0, got -1; 0 tries noth",
    ),
    "size": ({"size": 0}, "size must be a whole number of at least 1, got 0; 32 is published"),
    "confidence": (
        {"confidence": "random"},
        "confidence must be one of confidence, margin, entropy, got 'ran",
    ),
    "share": ({"share": 2.0}, r"share must be in \(0, 1\], got 2\.0; leave it out for the published one"),
    "opens": ({"opens": 0.0}, r"opens must be in \(0, 1\], got 0\.0; leave it out for the published one"),
    "forces": ({"forces": 1.5}, r"forces must be in \(0, 1\], got 1\.5; leave it out for the published one"),
    "alpha": ({"alpha": 1.5}, r"alpha must be in \[0, 1\], got 1\.5; 0 is the published default"),
}


@pytest.mark.parametrize(("given_", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        LoPA(**given_)
