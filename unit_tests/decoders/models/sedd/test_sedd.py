"""SEDD: its network, its mask predictor and its samplers."""

import logging
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.models.sedd import absorb as sedd
from decoders.models.sedd import sampler as sedd_sampler
from decoders.models.sedd.noise import (
    LogLinear,
)
from decoders.testing import check_denoiser, check_generator
from unit_tests.decoders.models.sedd.conftest import request

torch.set_num_threads(1)

MASK = 255
TIMES = st.floats(0.02, 1.0)


def ids(*shape, seed=0, states=63):
    return torch.randint(0, states, shape, generator=torch.Generator().manual_seed(seed))


def everywhere(canvas):
    return torch.ones_like(canvas, dtype=torch.bool)


def test_the_conformance_kit_finds_nothing_in_the_mask_predictor(model):
    check_denoiser(model)


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 13), min_size=1, max_size=4), seed=st.integers(0, 2**20))
def test_a_row_in_a_padded_batch_gets_the_logits_it_gets_alone(model, lengths, seed):
    width = max(lengths)
    rows = [ids(length, seed=seed + place, states=256) for place, length in enumerate(lengths)]
    canvas = torch.stack([torch.cat([torch.full((width - len(row),), MASK), row]) for row in rows])
    attend = torch.arange(width) >= torch.tensor([width - length for length in lengths]).unsqueeze(1)
    batch = model.raw_logits(canvas, attend, attend.nonzero())
    alone = torch.cat(
        [model.raw_logits(r[None], everywhere(r[None]), everywhere(r[None]).nonzero()) for r in rows]
    )
    torch.testing.assert_close(batch, alone, atol=1e-4, rtol=0.0)


def test_logits_are_the_scores_times_what_turns_them_into_probabilities(model, samplers):
    """Probabilities are (exp(sigma) - 1) s, up to one factor per row: the network is not trained."""
    canvas = ids(1, 12)
    canvas[0, 4:] = MASK
    query = (canvas == MASK).nonzero()
    logits = model(canvas, everywhere(canvas), query, (None,))
    sigma = LogLinear().sigma(torch.tensor([8 / 12]))
    scores = samplers["absorb"].checkpoint.network.log_scores(canvas, everywhere(canvas), sigma, query)
    probabilities = torch.expm1(sigma.double()) * scores.double().exp()
    expected = probabilities[:, :MASK] / probabilities[:, :MASK].sum(dim=1, keepdim=True)
    actual = logits.double().softmax(dim=1)
    torch.testing.assert_close(actual[:, :MASK], expected, atol=1e-6, rtol=1e-4)
    assert (logits[:, MASK] == float("-inf")).all()
    assert expected.max() > 0.05


def test_the_share_of_masks_reaches_the_network(model):
    canvas = ids(1, 12)
    canvas[0, 6:] = MASK
    query = torch.tensor([[0, 6]])
    fewer = canvas.clone()
    seen = []
    hook = model.checkpoint.network.sigma_map.register_forward_hook(
        lambda module, inputs, output: seen.append(float(inputs[0]))
    )
    try:
        fewer[0, 7:] = 3
        for row in (canvas, fewer):
            model(row, everywhere(row), query, (None,))
    finally:
        hook.remove()
    assert seen == pytest.approx([-math.log(1 - 0.999 * share) for share in (6 / 12, 1 / 12)], rel=1e-6)


def test_a_log_score_is_zero_at_the_current_state(samplers):
    for sampler in samplers.values():
        canvas = ids(2, 9)
        query = everywhere(canvas).nonzero()
        scores = sampler.checkpoint.network.log_scores(canvas, everywhere(canvas), torch.ones(2), query)
        assert torch.equal(scores[torch.arange(18), canvas.flatten()], torch.zeros(18))
        assert scores.abs().max() > 0.5


@pytest.mark.parametrize("graph", ["absorb", "uniform"])
@pytest.mark.parametrize("predictor", ["analytic", "euler"])
def test_a_sample_is_whole_reproducible_and_does_not_depend_on_its_batch(
    samplers, make_row, graph, predictor
):
    sampler = samplers[graph]
    rows = [make_row(place, ids(length, seed=place), 8) for place, length in enumerate((3, 9, 1, 5))]
    params = {"steps": 5, "predictor": predictor}
    together = sampler.generate(rows, params)
    assert [sampler.generate([row], params)[0] for row in rows] == together
    assert len({result.ids for result in together}) == 4
    for result in together:
        assert (len(result.ids), result.nfe, result.nfe_kind) == (8, 6, "counted")
        assert all(0 <= token < 255 for token in result.ids)
        if graph == "absorb":
            assert all(0 <= step <= 5 for step in result.commit_step)
        else:
            assert result.commit_step is None
    check_generator(sampler, params, rows=rows)


@pytest.mark.parametrize("predictor", ["analytic", "euler"])
def test_committed_tokens_of_the_absorbing_graph_never_change(samplers, predictor):
    sampler = samplers["absorb"]
    canvas = ids(1, 9)
    canvas[0, 5:] = MASK
    for step in (0.1, None):
        with torch.inference_mode():
            weights = sampler.weights(
                canvas,
                everywhere(canvas),
                everywhere(canvas).nonzero(),
                time=0.5,
                step=step,
                predictor=predictor,
            )
        assert [row.nonzero().flatten().tolist() for row in weights[:5]] == canvas[0, :5, None].tolist()


def test_another_seed_gives_another_sample(samplers, make_row):
    first, second = (make_row(0, [1, 2], 12, seed=seed) for seed in (0, 1))
    assert samplers["absorb"].generate([first], {})[0].ids != samplers["absorb"].generate([second], {})[0].ids


def test_steps_default_to_the_generated_length_and_every_forward_is_made(samplers, make_row):
    calls = []
    hook = samplers["absorb"].checkpoint.network.sigma_map.register_forward_hook(
        lambda module, inputs, output: calls.append(float(inputs[0]))
    )
    try:
        [result] = samplers["absorb"].generate([make_row(0, [1, 2, 3], 6)], {})
    finally:
        hook.remove()
    assert result.nfe == 7 == len(calls)
    times = [1 - step * (1 - 1e-5) / 6 for step in range(7)]
    assert calls == pytest.approx([-math.log(1 - 0.999 * time) for time in times], rel=1e-4)
    assert result.evaluated_positions == 7 * 9


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0; raise it"),
        ({"steps": "8"}, "steps must be of type int for 'sedd', got '8'; correct it"),
        ({"predictor": "exact"}, "predictor must be one of analytic, euler, got 'exact'; choose one"),
        ({"gamma": 1.0}, "parameters of native for 'sedd' must be of predictor, steps, got 'gamma'; correct"),
    ],
)
def test_parameters_that_the_sampler_does_not_have_are_refused(samplers, make_row, params, message):
    with pytest.raises(ValueError, match=message):
        samplers["absorb"].generate([make_row(0, [1], 4)], params)


def test_rows_that_the_sampler_cannot_decode_are_refused(samplers, make_row):
    sampler = samplers["absorb"]
    with pytest.raises(
        ValueError, match="template_ids must be None for 'sedd', got a template in row 3; infilling"
    ):
        sampler.generate([make_row(3, [1], 2, template_ids=(255, 1))], {})


def of_tokens(model):
    """Return *model* as if its checkpoint had a tokenizer."""
    tokenizer = SimpleNamespace(is_fallback=False)
    return replace(model, checkpoint=replace(model.checkpoint, tokenizer=tokenizer))


def test_a_canvas_longer_than_the_sampler_is_refused(samplers, make_row):
    with pytest.raises(
        ValueError, match="canvas of 'sedd' must be at most 64 tokens long, got 70; use shorter"
    ):
        of_tokens(samplers["absorb"]).generate([make_row(0, [1] * 66, 4)], {})


def test_a_canvas_longer_than_the_mask_predictor_is_refused(model):
    canvas = torch.full((1, 65), MASK)
    with pytest.raises(ValueError, match="canvas of 'sedd' must be at most 64 tokens long, got 65"):
        of_tokens(model)(canvas, everywhere(canvas), torch.tensor([[0, 0]]), (None,))


def test_any_canvas_is_taken_without_a_tokenizer_and_loading_says_so(tiny_sedd, make_row, caplog):
    with caplog.at_level(logging.WARNING):
        sampler = sedd_sampler.load(request(tiny_sedd["absorb"].folder))
    assert [record.getMessage() for record in caplog.records] == [
        "'sedd' has no tokenizer: canvases above its 64 tokens are taken"
    ]
    (found,) = sampler.generate([make_row(0, [1] * 66, 4)], {"steps": 2})
    assert len(found.ids) == 4


def test_a_closed_model_says_so(tiny_sedd, make_row):
    denoiser, sampler = (m.load(request(tiny_sedd["absorb"].folder)) for m in (sedd, sedd_sampler))
    for model in (denoiser, sampler):
        model.sync()
        model.close()
    canvas = torch.full((1, 3), MASK)
    with pytest.raises(
        RuntimeError, match="model 'sedd' must be open to be called, got a closed one; load it"
    ):
        denoiser(canvas, everywhere(canvas), torch.tensor([[0, 0]]), (None,))
    with pytest.raises(
        RuntimeError, match="model 'sedd' must be open to generate, got a closed one; load it"
    ):
        sampler.generate([make_row(0, [1], 4)], {})


def test_ids_prompts_and_answers(model, samplers):
    sampler = samplers["uniform"]
    assert (sampler.eos_ids, sampler.answer_ids([5, 254, 1])) == ({254}, (5,))
    assert sampler.encode_prompt([{"role": "user", "content": "!"}]) == list(b"!\n\n")
    assert (model.mask_id, model.eos_ids, model.vocab_size, model.pad_id) == (255, {254}, 256, 254)
    assert model.answer_ids([5, 254, 1]) == (5,)
    assert model.encode_prompt([{"role": "user", "content": "!*"}, {"role": "user", "content": "#"}]) == list(
        b"!*\n\n#\n\n"
    )
