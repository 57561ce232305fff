"""Proposals follow softmax(logits / T) or the tie rule; scores equal their closed values."""

import decimal
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from decoders.loop import draws, sampling
from decoders.loop.batching import sweep
from decoders.loop.view import flat_query, propose
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser, example_slots, example_view
from decoders.unmasking.klass import KLASS
from decoders.unmasking.top_k import TopK

N = 20_000
ALPHA = 1e-6
INF = float("inf")


def draw_columns(logits, temperature, *, steps=None, ids=None, n=N):
    """Draw *n* times from one row of logits, at different positions."""
    rows = torch.tensor(logits).expand(n, -1)
    constant = torch.zeros(n, dtype=torch.long)
    return sampling.sampled(
        rows,
        torch.full((n,), temperature, dtype=torch.float64),
        constant + draws.row_key(0, "sample"),
        constant if steps is None else steps,
        torch.arange(n),
        torch.arange(rows.shape[1]) if ids is None else ids,
    )


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("logits", [[0.0, 1.0, -1.0, 0.5], [3.0, 3.0, -2.0], [20.0, 12.0, 19.0]], ids=str)
def test_sampled_tokens_have_the_frequencies_of_the_tempered_softmax(logits, temperature):
    counts = torch.bincount(draw_columns(logits, temperature), minlength=len(logits))
    expected = torch.softmax(torch.tensor(logits, dtype=torch.float64) / temperature, dim=0)
    for count, probability in zip(counts.tolist(), expected.tolist(), strict=True):
        low, high = binom.interval(1 - ALPHA, N, probability)
        assert low <= count <= high


def test_an_impossible_token_is_never_drawn():
    assert (draw_columns([-INF, 0.0, -INF, 0.0], 100.0) % 2 == 1).all()


def test_noise_belongs_to_the_token_id_and_not_to_its_column():
    ids = torch.tensor([5, 0, 3, 9])
    chosen = ids[draw_columns([0.0, 1.0, 0.5, 0.2], 1.0, ids=ids, n=2000)]
    by_id = torch.full((10,), -INF)
    by_id[ids] = torch.tensor([0.0, 1.0, 0.5, 0.2])
    assert torch.equal(chosen, draw_columns(by_id.tolist(), 1.0, n=2000))


def test_noise_is_fresh_at_every_step():
    first, second = (draw_columns([0.0] * 10, 1.0, steps=torch.full((N,), step)) for step in (0, 1))
    low, high = binom.interval(1 - ALPHA, N, 0.1)
    assert low <= int((first == second).sum()) <= high


def greedy(logits, *, unbiased, n=N, canvas=0):
    rows = torch.tensor(logits).expand(n, -1)
    zeros = torch.zeros(n, dtype=torch.long)
    return sampling.greedy(rows, zeros, zeros + canvas, torch.arange(n), unbiased=unbiased)


def test_greedy_ties_go_to_the_lowest_token():
    assert (greedy([0.0, 2.0, 1.0, 2.0, 2.0], unbiased=False, n=50) == 1).all()


def test_a_network_breaks_no_near_tie():
    assert (greedy([1.0, 1.0 + 5e-7], unbiased=False, n=50) == 1).all()


def test_unbiased_ties_are_uniform_within_the_tolerance_and_never_outside_it():
    counts = torch.bincount(greedy([-1.0, -1.0 - 5e-7, -5.0, -1.0, -1.0 - 3e-6], unbiased=True), minlength=5)
    assert counts[2] == counts[4] == 0
    for tied in (0, 1, 3):
        low, high = binom.interval(1 - ALPHA, N, 1 / 3)
        assert low <= int(counts[tied]) <= high


def test_unbiased_ties_at_two_positions_are_independent():
    chosen = greedy([0.0, 0.0], unbiased=True)
    low, high = binom.interval(1 - ALPHA, N // 2, 0.5)
    assert low <= int((chosen[::2] == chosen[1::2]).sum()) <= high


def test_another_canvas_breaks_the_ties_anew():
    low, high = binom.interval(1 - ALPHA, N, 0.5)
    same = greedy([0.0, 0.0], unbiased=True) == greedy([0.0, 0.0], unbiased=True, canvas=1)
    assert low <= int(same.sum()) <= high


def test_greedy_proposals_depend_on_the_canvas_and_not_on_step_or_method():
    """Two settings that reach one canvas may share a forward."""
    class_of = {"confidence": TopK(score="confidence"), "random": TopK(score="random")}
    slots = {name: example_slots(method) for name, method in class_of.items()}
    later = replace(slots["random"], nfe=slots["random"].nfe + 7, step=slots["random"].step + 3)
    tokens = []
    for batch in (slots["confidence"], slots["random"], later):
        query = flat_query(batch.eligible, sum(batch.eligible_count))
        flat = torch.zeros(len(query), 23)
        flat[:, 0] = -INF
        tokens.append(propose(batch, flat, query, unbiased=True).tokens)
    assert torch.equal(tokens[0], tokens[1])
    assert torch.equal(tokens[0], tokens[2])
    assert len(tokens[0].unique()) > 5


def test_random_order_is_drawn_anew_at_every_step_and_keyed_by_nothing_else():
    slots = example_slots(TopK(score="random"))
    later = replace(slots, nfe=slots.nfe + 1)
    elsewhere = replace(slots, canvas=slots.canvas.masked_fill(slots.canvas == 2, 3))
    drawn, fresh, same = (example_view(batch, range(4)).draws for batch in (slots, later, elsewhere))
    assert drawn.dtype == torch.float64
    assert not torch.isclose(drawn, fresh, atol=1e-9).any()
    assert torch.equal(drawn, same)
    assert torch.equal(example_view(slots, [1, 3]).draws, drawn[[1, 3]])


def test_positions_of_a_network_tie_by_place_and_those_of_the_exact_model_by_draws_of_the_canvas():
    slots = example_slots(TopK(score="confidence"))
    network = example_view(slots, range(4))
    assert torch.equal(network.tie_order, torch.arange(12.0).double().expand(4, -1))
    assert network.tie_tolerance == 0.0
    canvas = slots.canvas.masked_fill(slots.canvas == 2, 3)
    exact, later, elsewhere = (
        example_view(batch, range(4), unbiased=True).tie_order
        for batch in (
            slots,
            replace(slots, nfe=slots.nfe + 1, step=slots.step + 1),
            replace(slots, canvas=canvas, canvas_key=draws.canvas_key(canvas[:, -slots.gen_length :])),
        )
    )
    assert example_view(slots, range(4), unbiased=True).tie_tolerance == 1e-6
    assert torch.equal(exact, later)
    assert not torch.isclose(exact[1], elsewhere[1], atol=1e-9).any()
    assert len(exact.unique()) == exact.numel()


DISTRIBUTIONS = {
    "certain": ([1.0, 0.0, 0.0], 1.0, 0.0),
    "uniform": ([0.25] * 4, 0.0, -math.log(4)),
    "halves": ([0.5, 0.25, 0.25], 0.25, -1.5 * math.log(2)),
    "gap": ([0.7, 0.1, 0.2], 0.5, 0.7 * math.log(0.7) + 0.1 * math.log(0.1) + 0.2 * math.log(0.2)),
    "one column": ([1.0], 1.0, 0.0),
}


@pytest.mark.parametrize(("p", "margin", "neg_entropy"), DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_margin_and_entropy_have_their_closed_values(p, margin, neg_entropy):
    logits = torch.tensor([p]).log() + 3.0
    assert sampling.margin_log_odds(logits).sigmoid().item() == pytest.approx(margin, abs=1e-6)
    assert sampling.neg_entropy(logits).item() == pytest.approx(neg_entropy, abs=1e-6)


def test_probability_is_the_untempered_softmax_of_the_chosen_column():
    logits = torch.tensor([[0.5, 0.25, 0.25]] * 3).log() - 4.0
    found = sampling.log_odds(logits, torch.tensor([0, 1, 2])).sigmoid()
    assert found.tolist() == pytest.approx([0.5, 0.25, 0.25])


@pytest.mark.parametrize(
    ("logits", "complement"),
    [
        ([58.0, 44.4, *[-100.0] * 9], math.exp(44.4 - 58.0)),
        ([58.0, 43.4, *[-100.0] * 9], math.exp(43.4 - 58.0)),
        ([120.0, 92.37, *[-100.0] * 9], math.exp(92.37 - 120.0)),
        ([30.0, *[2.37] * 1000], 1000 * math.exp(2.37 - 30.0)),
    ],
    ids=["1.24e-6", "4.56e-7", "1e-12", "a thousand small ones"],
)
def test_a_sure_token_keeps_the_digits_of_what_stands_against_it(logits, complement):
    """A float32 probability is 1 here, or wrong in its second digit; the odds keep float32's digits."""
    against = torch.exp(-sampling.log_odds(torch.tensor([logits]), torch.tensor([0]))).item()
    assert against == pytest.approx(complement, rel=1e-5)


def test_sure_positions_are_ordered_by_what_stands_against_them():
    logits = torch.tensor([[58.0, 44.4, -100.0], [58.0, 43.4, -100.0], [58.0, -math.inf, -math.inf]])
    odds = sampling.log_odds(logits, torch.zeros(3, dtype=torch.long))
    assert odds[0] < odds[1] < odds[2] == math.inf
    margins = sampling.margin_log_odds(logits)
    assert margins[0] < margins[1] < margins[2] == math.inf
    entropies = sampling.neg_entropy(logits)
    assert entropies[0] < entropies[1] < entropies[2] == 0.0


@given(gaps=st.lists(st.floats(0.0, 60.0), min_size=1, max_size=30), height=st.floats(-100.0, 100.0))
def test_scores_equal_those_of_exact_arithmetic_at_any_height(gaps, height):
    """Odds, margin and entropy of float32 logits against 60 decimal digits."""
    logits = torch.tensor([[height, *(height - gap for gap in gaps)]], dtype=torch.float32)
    with decimal.localcontext() as context:
        context.prec = 60
        exact = [decimal.Decimal(value) for value in logits[0].tolist()]
        weights = [(value - exact[0]).exp() for value in exact]
        total, second = sum(weights), max(weights[1:])
        rest = total - 1
        assert float(rest.ln()) == pytest.approx(
            -sampling.log_odds(logits, torch.tensor([0])).item(), abs=1e-5
        )
        entropy = float(total.ln() - sum(w * w.ln() for w in weights) / total)
        assert -sampling.neg_entropy(logits).item() == pytest.approx(entropy, rel=1e-5)
        margin = (1 - second) / (rest + second)
        if margin > 0:
            assert sampling.margin_log_odds(logits).item() == pytest.approx(float(margin.ln()), abs=1e-4)
        else:
            assert sampling.margin_log_odds(logits).item() == -math.inf


@pytest.mark.parametrize("row", [[math.nan, 0.0], [INF, 0.0], [-INF, -INF]], ids=str)
def test_logits_that_are_no_distribution_show_as_nan(row):
    logits = torch.tensor([row])
    column = sampling.greedy(logits, *[torch.zeros(1, dtype=torch.long)] * 3, unbiased=True)
    assert sampling.log_odds(logits, column).isnan().all()


@pytest.mark.parametrize("at_once", [1, 50, 121])
def test_scores_of_a_large_vocabulary_do_not_depend_on_the_parts_they_are_computed_in(monkeypatch, at_once):
    """Of 40 columns: one row, one row, three rows at once; the last part is smaller."""
    logits = 4.0 * torch.randn(11, 40, generator=torch.Generator().manual_seed(0))
    logits[:, 3] = float("-inf")
    columns = logits.argmax(dim=1)

    def scores():
        of_tokens = sampling.log_odds(logits, columns)
        return of_tokens, sampling.margin_log_odds(logits), sampling.neg_entropy(logits)

    whole = scores()
    assert len(sampling.parts(logits)) == 1
    monkeypatch.setattr(sampling, "LOGITS_AT_ONCE", at_once)
    assert len(sampling.parts(logits)) == (4 if at_once == 121 else 11)
    for together, apart in zip(whole, scores(), strict=True):
        torch.testing.assert_close(together, apart)


def test_no_logits_have_no_scores():
    assert sampling.neg_entropy(torch.zeros(0, 5)).shape == (0,)


def test_klass_decodes_the_same_in_parts(monkeypatch):
    rows = [
        Row(
            key=i,
            prompt_ids=(3, 4 + i),
            gen_length=12,
            setting=Setting(method=KLASS(tau=0.1, eps=0.6)),
            sample_id=str(i),
        )
        for i in range(3)
    ]
    denoiser = HashDenoiser(sharpness=3.0)
    whole = {outcome.key: outcome for outcome in sweep(denoiser, rows)}
    monkeypatch.setattr(sampling, "LOGITS_AT_ONCE", 50)
    assert {outcome.key: outcome for outcome in sweep(denoiser, rows)} == whole
    assert all(3 < outcome.nfe < 12 for outcome in whole.values()), "some positions were ready"
