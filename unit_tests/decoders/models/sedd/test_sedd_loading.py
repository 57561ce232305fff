"""What SEDD reads from a checkpoint and what it refuses."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders.loading.checkpoint import LoadError
from decoders.models.sedd import absorb as sedd
from decoders.models.sedd import sampler as sedd_sampler
from decoders.protocols import ModelRequest
from unit_tests.decoders.models.sedd.conftest import request, rewrite

torch.set_num_threads(1)

MASK = 255


def everywhere(canvas):
    return torch.ones_like(canvas, dtype=torch.bool)


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
    from decoders.models.sedd import checkpoint as sedd_checkpoint

    folder = shutil.copytree(tiny_sedd["absorb"].folder, tmp_path / "checkpoint")
    monkeypatch.setattr(sedd_checkpoint, "GPT2_TOKENS", 255)
    with pytest.raises(
        LoadError, match=r"with GPT-2's 255 tokens must hold its tokenizer\.json, got .* put the"
    ):
        sedd.load(request(folder))


def test_a_preset_takes_its_tokenizer_from_gpt2_and_hashes_it(tiny_sedd, tmp_path, monkeypatch):
    from tokenizers import Tokenizer, models

    from decoders.loading import checkpoint as loading
    from decoders.models.sedd import checkpoint as sedd_checkpoint

    vocabulary = tmp_path / "gpt2"
    vocabulary.mkdir()
    backend = Tokenizer(models.WordLevel(vocab={str(i): i for i in range(255)}, unk_token="0"))
    backend.save(str(vocabulary / "tokenizer.json"))
    fetched = []

    def fetch(name, hub_id, revision, more):
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


def test_a_tokenizer_that_cannot_be_fetched_is_named_with_the_cure(monkeypatch):
    import huggingface_hub

    from decoders.loading.checkpoint import fetch_file

    def fail(hub_id, file):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    message = r"got 'a/b' \(revision main; .*OSError: no network\); give a folder \(--model sedd=DIR"
    with pytest.raises(LoadError, match=message):
        fetch_file("sedd", "a/b", "c.json")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda hub_id, file: f"/{hub_id}/{file}")
    assert fetch_file("sedd", "a/b", "c.json").parts == ("/", "a", "b", "c.json")


def test_a_uniform_checkpoint_needs_a_source():
    with pytest.raises(
        LoadError, match="model must be one of sedd-absorb, sedd-absorb-medium or have a source"
    ):
        sedd_sampler.load(ModelRequest(name="sedd-uniform"))


@pytest.mark.parametrize(
    ("section", "fields", "key"),
    [("model", {"residual_scale": 2}, r"model\.residual_scale"), (None, {"soft_cap": 30.0}, "soft_cap")],
)
def test_a_key_that_nobody_reads_is_refused_by_name(folder, section, fields, key):
    rewrite(folder, section, **fields)
    with pytest.raises(
        LoadError, match=rf"config\.json: {key} must be absent, as .*, got .*; take it out if"
    ):
        sedd.load(request(folder))


def test_keys_of_training_and_sampling_change_nothing(folder, model):
    rewrite(folder, None, training={"batch_size": 4}, optim={"lr": 3e-4}, ngpus=8, sampling={"steps": 128})
    rewrite(folder, "model", name="small", type="ddit")
    rewrite(folder, "graph", file="data", report_all=False)
    canvas = torch.arange(8)[None]
    query = everywhere(canvas).nonzero()
    again = sedd.load(request(folder))(canvas, everywhere(canvas), query, (None,))
    assert torch.equal(again, model(canvas, everywhere(canvas), query, (None,)))
