"""DiffusionGemma against transformers itself, on a small random checkpoint of its genuine class."""

import json
import shutil

import pytest
import torch

pytest.importorskip("transformers", reason="networks need the extra models")
pytest.importorskip("transformers.models.diffusion_gemma", reason="this transformers has no DiffusionGemma")

import transformers

from decoders.loading.checkpoint import LoadError
from decoders.loop import draws
from decoders.models import diffusion_gemma
from decoders.protocols import ModelRequest
from decoders.rows import Row, Setting
from decoders.testing import check_generator
from decoders.unmasking.top_k import confidence

VOCABULARY, CANVAS = 260, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    text = transformers.DiffusionGemmaTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        global_head_dim=16,
        num_global_key_value_heads=1,
        sliding_window=16,
        num_experts=4,
        top_k_experts=2,
        moe_intermediate_size=16,
        max_position_embeddings=128,
        layer_types=["sliding_attention", "full_attention"],
    )
    vision = transformers.Gemma4VisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    config = transformers.DiffusionGemmaConfig(
        text_config=text,
        vision_config=vision,
        canvas_length=CANVAS,
        image_token_id=257,
        boi_token_id=258,
        eoi_token_id=259,
    )
    network = transformers.DiffusionGemmaForBlockDiffusion(config)
    with torch.no_grad():
        for parameter in network.model.decoder.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)  # so that some positions are certain enough to be accepted
    found = tmp_path_factory.mktemp("diffusion_gemma")
    network.save_pretrained(found)
    return found


def request(source, **fields):
    return ModelRequest(
        name="diffusion-gemma", source=str(source), **{"device": "cpu", "dtype": "float32", **fields}
    )


@pytest.fixture(scope="module")
def model(folder):
    return diffusion_gemma.load(request(folder))


@pytest.fixture(scope="module")
def network(folder):
    return transformers.DiffusionGemmaForBlockDiffusion.from_pretrained(folder, dtype=torch.float32)


def row(key, *, length=CANVAS, prompt=(5, 9, 30), seed=0):
    setting = Setting(method=confidence(), k=1)
    return Row(
        key=key, prompt_ids=prompt, gen_length=length, setting=setting, sample_id=f"sample/{key}", seed=seed
    )


def theirs(network, asked, **options):
    """What transformers itself generates, with the draws of the row."""
    torch.manual_seed(draws.row_key(asked.seed, asked.sample_id))
    return network.generate(
        torch.tensor([asked.prompt_ids]), max_new_tokens=asked.gen_length, eos_token_id=[1], **options
    )


@pytest.mark.parametrize("length", [2 * CANVAS])
@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({}, {}),
        ({"steps": 5, "entropy_bound": 2.0}, {"max_denoising_steps": 5, "bound": 2.0}),
        (
            {"steps": 9, "t_max": 0.5, "t_min": 0.1, "stability": 0, "confidence": 5},
            {
                "max_denoising_steps": 9,
                "t_max": 0.5,
                "t_min": 0.1,
                "stability_threshold": 0,
                "confidence_threshold": 5.0,
            },
        ),
    ],
    ids=["defaults", "bound", "early"],
)
def test_rows_are_what_transformers_generates_with_its_count_of_forwards(
    model, network, length, params, options
):
    from transformers.models.diffusion_gemma.generation_diffusion_gemma import EntropyBoundSamplerConfig

    options = dict(options)
    if "bound" in options:
        options["sampler_config"] = EntropyBoundSamplerConfig(entropy_bound=options.pop("bound"))
    for key in range(2):
        asked = row(key, length=length)
        (found,) = model.generate([asked], params)
        said = theirs(network, asked, **options)
        ids = said.sequences[0, 3:].tolist()
        end = ids.index(1) + 1 if 1 in ids else len(ids)
        assert list(found.ids) == ids[:end]
        pads = sum(token == 0 for token in ids)
        tokens = len(ids) - pads
        assert tokens / found.nfe == pytest.approx(float(said.tokens_per_forward[0]))
        assert found.nfe_other == -(-len(ids) // CANVAS)
        assert found.evaluated_positions == found.nfe * CANVAS
        assert found.commit_step is None


def test_early_stopping_saves_forwards_and_steps_are_the_most_of_a_canvas(model):
    (whole,) = model.generate([row(0)], {"steps": 7, "confidence": 1e-6})
    (early,) = model.generate([row(0)], {"steps": 7, "stability": 0, "confidence": 100.0})
    assert whole.nfe == 7
    assert early.nfe < 7


def test_a_row_does_not_depend_on_others_their_order_or_the_state_of_the_machine(model):
    rows = [row(0), row(1, prompt=(8, 8)), row(2, length=12)]
    together = model.generate(rows, {"steps": 4})
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    alone = [model.generate([one], {"steps": 4})[0] for one in reversed(rows)][::-1]
    assert alone == together
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.generate([row(0, seed=1)], {"steps": 4})[0].ids != together[0].ids


def test_a_length_within_a_canvas_is_cut_from_it(model):
    (short,) = model.generate([row(2, length=5)], {"steps": 4})
    (long,) = model.generate([row(2, length=CANVAS)], {"steps": 4})
    assert short.ids == long.ids[:5]
    assert short.nfe == long.nfe


def test_it_passes_the_conformance_kit(model):
    check_generator(model, {"steps": 3})


def test_every_self_test_is_reported(model):
    assert [test.name for test in model.self_tests] == ["keys", "finite", "both_directions", "prompt"]


def test_a_causal_canvas_is_found(model, monkeypatch):
    logits = model.canvas_logits

    def causal(prompt, canvas):
        return torch.stack(
            [logits(prompt, [*canvas[: i + 1], *[0] * (CANVAS - i - 1)])[i] for i in range(CANVAS)]
        )

    monkeypatch.setattr(model, "canvas_logits", causal)
    failed = {test.name for test in diffusion_gemma._checks(model, VOCABULARY) if not test.passed}
    assert failed == {"both_directions"}


def test_defaults_are_those_of_the_checkpoint(folder, model, tmp_path):
    assert model.defaults == {
        "steps": 48,
        "entropy_bound": 0.1,
        "t_min": 0.4,
        "t_max": 0.8,
        "stability": 1,
        "confidence": 0.005,
    }
    own = shutil.copytree(folder, tmp_path / "own")
    values = {
        "max_denoising_steps": 6,
        "t_max": 0.9,
        "eos_token_id": [1, 7],
        "sampler_config": {"_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": 0.3},
    }
    (own / "generation_config.json").write_text(json.dumps(values), encoding="utf-8")
    found = diffusion_gemma.load(request(own))
    assert (found.defaults["steps"], found.defaults["t_max"], found.defaults["entropy_bound"]) == (
        6,
        0.9,
        0.3,
    )
    assert found.eos_ids == {1, 7}
    assert diffusion_gemma.fingerprint(request(own)) != diffusion_gemma.fingerprint(request(folder))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"step": 3}, "parameters of native for 'diffusion-gemma' must be of confidence, entropy_bound,"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"t_max": 0.2}, "t_max must be above t_min=0.4, got 0.2; raise it or lower t_min"),
        ({"confidence": 0.0}, "confidence must be at least 1e-09, got 0.0"),
        ({"entropy_bound": 0.0}, "entropy_bound must be at least 1e-09, got 0.0"),
        ({"t_min": 0.0}, "t_min must be at least 0.001, got 0.0"),
        ({"entropy_bound": "much"}, "entropy_bound must be of type float for 'diffusion-gemma', got 'much'"),
    ],
)
def test_a_parameter_that_breaks_its_rule_is_refused(model, params, message):
    with pytest.raises(ValueError, match=message):
        model.generate([row(0)], params)


def test_a_row_beyond_its_length_is_refused(model):
    with pytest.raises(
        ValueError, match="canvas of 'diffusion-gemma' must be at most 128 tokens long, got 131"
    ):
        model.generate([row(0, length=121)], {})


def test_a_missing_weight_is_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(folder, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights.pop(next(key for key in weights if "q_proj" in key))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match=r"must match config.json exactly, got .* missing keys: "):
        diffusion_gemma.load(request(broken))


def test_another_architecture_is_refused_with_its_name(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    (other / "config.json").write_text(
        json.dumps({**config, "architectures": ["DreamModel"]}), encoding="utf-8"
    )
    with pytest.raises(LoadError, match="choose the model name of that architecture"):
        diffusion_gemma.load(request(other))


def test_a_closed_model_is_refused(folder):
    model = diffusion_gemma.load(request(folder))
    model.close()
    with pytest.raises(
        RuntimeError, match="model 'diffusion-gemma' must be open to generate, got a closed one"
    ):
        model.generate([row(0)], {})
