"""Logits, scores and weights of the published code of every family, stored as numbers, against ours."""

import json
from importlib import import_module
from pathlib import Path

import pytest
import torch

from decoders.models.sedd import sampler as sedd_sampler
from decoders.models.sedd.noise import denoiser_weights
from decoders.protocols import ModelRequest

torch.set_num_threads(1)

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
FAMILIES = ("dream", "sdar", "llada_moe", "llada2", "fast_dllm_v2", "stable_diffcoder")
GRAPHS = ("absorb", "uniform")
TRAINED_BLOCK = 4
"""Of the golden block models; the config of llada2 does not name it."""
CASES = {
    "dream": ("plain0", "pad_left", "plain1", "plain2", "pad_right"),
    "llada_moe": ("plain0", "pad_left", "plain1", "plain2", "pad_right"),
    "sdar": ("plain0", "pad_left", "plain1", "plain2", "pad_right", "fullattn"),
    "llada2": ("plain0", "pad_left", "plain1", "plain2", "pad_right", "fullattn"),
    "fast_dllm_v2": ("plain1", "block8", "plain0", "plain2", "block16_masks"),
    "stable_diffcoder": ("plain1", "plain2_masks", "plain0"),
}
OTHER_BLOCK = {"fullattn": None, "block8": 8, "block16_masks": 16}
"""Case to the block it was made with, where that is not the trained one."""
SHIFTED = ("dream", "fast_dllm_v2")

pytestmark = pytest.mark.skipif(
    not (GOLDEN / "logits" / "dream.safetensors").is_file(),
    reason="the golden logits are development data not present here",
)


def described(name):
    return json.loads((GOLDEN / "logits" / f"{name}.json").read_text(encoding="utf-8"))


def tensors_of(name):
    from safetensors.torch import load_file

    return load_file(GOLDEN / "logits" / f"{name}.safetensors")


def request(name, **fields):
    return ModelRequest(name=name, source=str(GOLDEN / "checkpoints" / name), device="cpu", **fields)


@pytest.fixture(scope="module")
def models():
    found = {}
    for family in FAMILIES:
        model = import_module(f"decoders.models.{family}").load(request(family, dtype="float32"))
        found[family] = model
    assert found["sdar"].block_length == TRAINED_BLOCK
    found["llada2"].block_length = TRAINED_BLOCK
    return found


@pytest.fixture(scope="module")
def stored():
    return {family: tensors_of(family) for family in FAMILIES}


def test_every_published_case_is_compared():
    for family in FAMILIES:
        assert sorted(case["name"] for case in described(family)["cases"]) == sorted(CASES[family])


def two_by_default(cases):
    return [*cases[:2], *(pytest.param(*case, marks=pytest.mark.slow) for case in cases[2:])]


PAIRS = [pair for family in FAMILIES for pair in two_by_default([(family, case) for case in CASES[family]])]


@pytest.mark.parametrize(("family", "case"), PAIRS)
def test_raw_logits_equal_those_of_the_published_code(models, stored, family, case, monkeypatch):
    model, tensors = models[family], stored[family]
    if case in OTHER_BLOCK:
        monkeypatch.setattr(model, "block_length", OTHER_BLOCK[case])
    canvas = tensors[f"{case}.input_ids"]
    attend = tensors.get(f"{case}.valid", torch.ones_like(canvas)).bool()
    query = attend.nonzero()
    logits = model.raw_logits(canvas, attend, query)
    expected = tensors[f"{case}.logits"][query[:, 0], query[:, 1]]
    assert expected.abs().max() > 1.0
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_call_gives_the_row_that_predicts_each_token_and_suppresses_the_mask(models, stored, family):
    model, canvas = models[family], stored[family]["plain1.input_ids"]
    attend = torch.ones_like(canvas, dtype=torch.bool)
    logits = model(canvas, attend, attend.nonzero()[1:], (None,))
    rows = stored[family]["plain1.logits"][0]
    expected = (rows[:-1] if family in SHIFTED else rows[1:]).clone()
    expected[:, model.mask_id] = float("-inf")
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("family", ["sdar", "llada2"])
@pytest.mark.parametrize("case", ["plain1", "pad_left"])
def test_our_masks_show_real_tokens_what_the_published_masks_show(models, stored, family, case):
    tensors = stored[family]
    canvas = tensors[f"{case}.input_ids"]
    attend = tensors.get(f"{case}.valid", torch.ones_like(canvas)).bool()
    ours, published = models[family]._mask(attend)[:, 0], tensors[f"{case}.attention"].bool()
    assert torch.equal(ours[attend], published[attend])


@pytest.fixture(scope="module")
def samplers():
    return {graph: sedd_sampler.load(request(f"sedd_{graph}")) for graph in GRAPHS}


@pytest.fixture(scope="module")
def scores():
    return {graph: tensors_of(f"sedd_{graph}") for graph in GRAPHS}


SEDD_PAIRS = [
    pair
    for graph in GRAPHS
    for pair in two_by_default([(graph, case) for case in ("case0", "case1", "case2")])
]


@pytest.mark.parametrize(("graph", "case"), SEDD_PAIRS)
def test_sedd_scores_and_weights_equal_those_of_the_published_code(samplers, scores, graph, case):
    sampler, tensors = samplers[graph], scores[graph]
    [told] = [entry for entry in described(f"sedd_{graph}")["cases"] if entry["name"] == case]
    canvas, sigma = tensors[f"{case}.input_ids"], tensors[f"{case}.sigma"]
    attend = torch.ones_like(canvas, dtype=torch.bool)
    query = attend.nonzero()
    with torch.inference_mode():
        log_score = sampler.checkpoint.network.log_scores(canvas, attend, sigma, query)
    torch.testing.assert_close(log_score, tensors[f"{case}.log_score"].flatten(0, 1), atol=1e-4, rtol=0.0)
    now = torch.tensor(told["t"], dtype=torch.float64)
    noise, step = sampler.noise, told["step_size"]
    for key, value in (
        ("sigma", noise.sigma(now)),
        ("sigma_next", noise.sigma(now - step)),
        ("dsigma_rate", noise.rate(now)),
        ("denoiser_sigma", noise.sigma(torch.tensor(1e-5, dtype=torch.float64))),
    ):
        assert float(value) == pytest.approx(float(tensors[f"{case}.{key}"][0]), rel=1e-3), key
    with torch.inference_mode():
        for predictor in ("analytic", "euler"):
            weights = sampler.weights(canvas, attend, query, time=told["t"], step=step, predictor=predictor)
            expected = tensors[f"{case}.{predictor}_weights"].flatten(0, 1)
            torch.testing.assert_close(weights.float(), expected, atol=1e-5, rtol=1e-3)
        weights = sampler.weights(canvas, attend, query, time=1e-5, step=None, predictor="analytic")
        # sigma is 1e-5 here: the published float32 of exp(-sigma) has lost two digits of 1 - exp(-sigma)
        torch.testing.assert_close(
            weights.float(), tensors[f"{case}.denoiser_weights"].flatten(0, 1), atol=1e-5, rtol=5e-3
        )


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("predictor", ["analytic", "euler"])
def test_sedd_weights_along_published_samples_are_ours(samplers, scores, graph, predictor):
    """Samples are random, so each forward is given the published canvas."""
    sampler, tensors, name = samplers[graph], scores[graph], f"traj_{predictor}"
    canvases, times, published = (tensors[f"{name}.{key}"] for key in ("canvas_at_forward", "t", "weights"))
    steps = len(canvases) - 1
    [told] = [entry for entry in described(f"sedd_{graph}")["trajectories"] if entry["name"] == name]
    assert told["nfe"] == steps + 1
    for forward, (canvas, time, expected) in enumerate(zip(canvases, times, published, strict=True)):
        ours_at = 1.0 - forward * (1.0 - sedd_sampler.LAST_TIME) / steps
        assert ours_at == pytest.approx(float(time), abs=1e-6)
        attend = torch.ones(1, len(canvas), dtype=torch.bool)
        step = (1.0 - sedd_sampler.LAST_TIME) / steps if forward < steps else None
        with torch.inference_mode():
            weights = sampler.weights(
                canvas[None], attend, attend.nonzero(), time=float(time), step=step, predictor=predictor
            )
        torch.testing.assert_close(
            weights.float(), expected[:, : weights.shape[1]], atol=1e-5, rtol=1e-3 if step else 5e-3
        )


def test_the_last_step_of_the_absorbing_graph_leaves_no_mask(samplers):
    sampler = samplers["absorb"]
    log_score = torch.randn(4, 256, generator=torch.Generator().manual_seed(0))
    weights = denoiser_weights(sampler.graph, log_score, torch.tensor([255, 255, 3, 4]), 1e-5)
    assert weights.shape == (4, 255)
    assert weights[2].nonzero().tolist() == [[3]]
