"""SEDD: its network, its mask predictor, its graphs and its samplers."""

import json
import math
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from decoders.loading import LoadError
from decoders.models import sedd, sedd_sampler
from decoders.models.sedd_noise import (
    Absorbing,
    Geometric,
    LogLinear,
    Uniform,
    analytic_weights,
    denoiser_weights,
    euler_weights,
)
from decoders.protocols import ModelRequest
from decoders.state import DecodeError
from decoders.testing import check_denoiser, check_generator

torch.set_num_threads(1)

MASK = 255
TIMES = st.floats(0.02, 1.0)


def request(folder, **fields):
    return ModelRequest(name="sedd", source=str(folder), **{"device": "cpu", **fields})


@pytest.fixture(scope="module")
def model(tiny_sedd):
    return sedd.load(request(tiny_sedd["absorb"].folder))


@pytest.fixture(scope="module")
def samplers(tiny_sedd):
    return {graph: sedd_sampler.load(request(tiny.folder)) for graph, tiny in tiny_sedd.items()}


@pytest.fixture
def folder(tiny_sedd, tmp_path):
    return shutil.copytree(tiny_sedd["absorb"].folder, tmp_path / "checkpoint")


def rewrite(folder, section, **fields):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if section is None:
        config |= fields
    else:
        config[section] |= fields
    path.write_text(json.dumps(config), encoding="utf-8")


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
    """p = (exp(sigma) - 1) s at a masked position, up to one factor per row: the network is not trained."""
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
        assert (len(result.ids), result.nfe, result.nfe_kind) == (8, 6, "exact")
        assert all(0 <= token < 255 for token in result.ids)
        if graph == "absorb":
            assert all(0 <= step <= 5 for step in result.commit_step)
        else:
            assert result.commit_step is None
    check_generator(sampler, params, rows=rows)


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


def test_draws_follow_the_weights():
    weights = torch.tensor([[0.5, -1.0, 0.25, 0.25, 0.0]], dtype=torch.float64).expand(4000, -1)
    drawn = sedd_sampler._draw(weights, torch.arange(1000), 4, step=0).flatten()
    counts = torch.bincount(drawn, minlength=5) / 4000
    assert counts[1] == counts[4] == 0
    torch.testing.assert_close(counts, torch.tensor([0.5, 0.0, 0.25, 0.25, 0.0]), atol=0.03, rtol=0.0)


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_scores_without_a_usable_weight_are_an_error_of_the_model(value):
    weights = torch.full((4, 3), value, dtype=torch.float64)
    with pytest.raises(DecodeError, match="scores without a usable weight at step 2; check the checkpoint"):
        sedd_sampler._draw(weights, torch.arange(1), 4, step=2)


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
    with pytest.raises(
        ValueError, match="canvas of 'sedd' must be at most 64 tokens long, got 70; use shorter"
    ):
        sampler.generate([make_row(0, [1] * 66, 4)], {})


def test_a_canvas_longer_than_the_mask_predictor_is_refused(model):
    canvas = torch.full((1, 65), MASK)
    with pytest.raises(ValueError, match="canvas of 'sedd' must be at most 64 tokens long, got 65"):
        model(canvas, everywhere(canvas), torch.tensor([[0, 0]]), (None,))


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


def test_ids_prompts_and_answers(model):
    assert (model.mask_id, model.eos_ids, model.vocab_size, model.pad_id) == (255, {254}, 256, 254)
    assert model.answer_ids([5, 254, 1]) == (5,)
    assert model.encode_prompt([{"role": "user", "content": "!*"}, {"role": "user", "content": "#"}]) == list(
        b"!*\n\n#\n\n"
    )


def test_every_self_test_is_reported(model, samplers):
    names = ["keys", "inv_freq", "padding", "both_directions", "suppression"]
    assert [test.name for test in model.self_tests] == names
    assert [test.name for test in samplers["absorb"].self_tests] == names
    assert [test.name for test in samplers["uniform"].self_tests] == names[:2]


def test_a_stored_rotary_table_that_is_not_the_formula_is_refused(folder):
    weights = load_file(folder / "model.safetensors")
    weights["rotary_emb.inv_freq"][2] = 0.9
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(LoadError, match="self-test 'inv_freq' of 'sedd' must pass, got: relative error"):
        sedd.load(request(folder))


def test_two_loads_are_the_same_model(tiny_sedd, model):
    again = sedd.load(request(tiny_sedd["absorb"].folder))
    canvas = torch.full((1, 5), MASK)
    query = everywhere(canvas).nonzero()
    assert torch.equal(
        again(canvas, everywhere(canvas), query, (None,)), model(canvas, everywhere(canvas), query, (None,))
    )


@pytest.mark.parametrize(
    ("section", "fields", "message"),
    [
        ("graph", {"type": "ring"}, r"graph\.type must be 'absorb' or 'uniform', got 'ring'"),
        ("noise", {"type": "geometric"}, r"noise\.type must be 'loglinear', got 'geometric'"),
        ("model", {"scale_by_sigma": None}, r"model\.scale_by_sigma must be True or False, got None"),
        (
            "model",
            {"n_heads": 3},
            r"model\.n_heads must be a divisor of hidden_size=32 into heads of even width",
        ),
        ("model", {"length": 0}, r"model\.length must be a whole number from 1 on, got 0"),
        ("model", {"hidden_size": 64}, r"weights of .* must match config\.json exactly, got \d+ shapes"),
        (None, {"tokens": 1}, "tokens must be a whole number from 2 on, got 1"),
        (None, {"model": 3}, r"model\.scale_by_sigma must be True or False, got None"),
    ],
)
def test_a_config_that_is_not_sedd_is_refused(folder, section, fields, message):
    rewrite(folder, section, **fields)
    with pytest.raises(LoadError, match=message):
        sedd.load(request(folder))


def test_a_uniform_checkpoint_has_no_masks_to_predict(tiny_sedd):
    with pytest.raises(
        LoadError, match=r"graph\.type must be 'absorb' for a mask predictor, got 'uniform'; choose"
    ):
        sedd.load(request(tiny_sedd["uniform"].folder))


def test_an_empty_range_of_noise_is_refused(tiny_sedd, tmp_path):
    folder = shutil.copytree(tiny_sedd["uniform"].folder, tmp_path / "checkpoint")
    rewrite(folder, "noise", sigma_max=1e-3)
    with pytest.raises(LoadError, match=r"noise\.sigma_max must be above sigma_min=0\.001, got 0\.001"):
        sedd_sampler.load(request(folder))


def test_pickles_are_refused_with_the_cure(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        LoadError, match=r"got only pytorch_model\.bin, which may run code .* convert the weights"
    ):
        sedd.load(request(folder))


def test_other_dtypes_are_refused(folder):
    with pytest.raises(
        LoadError, match="dtype must be float32 for 'sedd', got 'bfloat16'; scores are ratios"
    ):
        sedd.load(request(folder, dtype="bfloat16"))


def test_gpt2_ids_are_never_taken_for_bytes(tiny_sedd, tmp_path, monkeypatch):
    from decoders.models import sedd_checkpoint

    folder = shutil.copytree(tiny_sedd["absorb"].folder, tmp_path / "checkpoint")
    monkeypatch.setattr(sedd_checkpoint, "GPT2_TOKENS", 255)
    with pytest.raises(
        LoadError, match=r"with GPT-2's 255 tokens must hold its tokenizer\.json, got .* put the"
    ):
        sedd.load(request(folder))


def test_a_preset_takes_its_tokenizer_from_gpt2_and_hashes_it(tiny_sedd, tmp_path, monkeypatch):
    from tokenizers import Tokenizer, models

    from decoders import loading
    from decoders.models import sedd_checkpoint

    vocabulary = tmp_path / "gpt2"
    vocabulary.mkdir()
    backend = Tokenizer(models.WordLevel(vocab={str(i): i for i in range(255)}, unk_token="0"))
    backend.save(str(vocabulary / "tokenizer.json"))
    fetched = []

    def fetch(name, hub_id, revision):
        fetched.append((name, hub_id, revision))
        return tiny_sedd["absorb"].folder

    def fetch_file(name, hub_id, file):
        fetched.append((name, hub_id, file))
        return vocabulary / file

    monkeypatch.setattr(sedd_checkpoint, "GPT2_TOKENS", 255)
    monkeypatch.setattr(loading, "_fetch", fetch)
    monkeypatch.setattr(sedd_checkpoint, "fetch_file", fetch_file)
    preset = ModelRequest(name="sedd", device="cpu")
    model = sedd.load(preset)
    assert fetched == [
        ("sedd", "louaaron/sedd-small", "main"),
        ("sedd", "openai-community/gpt2", "tokenizer.json"),
    ]
    assert not model.tokenizer.is_fallback
    before = sedd.fingerprint(preset)
    assert before != sedd.fingerprint(request(tiny_sedd["absorb"].folder))
    assert before == sedd_sampler.fingerprint(ModelRequest(name="sedd-absorb"))
    (vocabulary / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert sedd.fingerprint(preset) != before


def test_a_uniform_checkpoint_needs_a_source():
    with pytest.raises(
        LoadError, match="model must be one of sedd-absorb, sedd-absorb-medium or have a source"
    ):
        sedd_sampler.load(ModelRequest(name="sedd-uniform"))
