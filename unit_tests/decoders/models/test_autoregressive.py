"""Autoregressive baselines against the generation loop of transformers."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from decoders.loading.checkpoint import LoadError
from decoders.models.autoregressive import PRESETS, fingerprint, load
from decoders.protocols import ModelRequest
from decoders.testing import check_generator

torch.set_num_threads(1)

SIZES = {
    "vocab_size": 320,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
}
AR_CONFIGS = {
    "ar": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rope_theta": 1000000.0},
    "ar-qwen3": {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "rope_theta": 1000000.0,
        "head_dim": 16,
    },
    "ar-llama": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
}
AR_COMMON = {
    **SIZES,
    "intermediate_size": 96,
    "hidden_act": "silu",
    "eos_token_id": 300,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}


@pytest.fixture(scope="module")
def tiny_ar(write_tiny):
    """A small checkpoint of each architecture, by preset."""
    import transformers

    found = {}
    for seed, (preset, fields) in enumerate(AR_CONFIGS.items()):
        architecture = fields["architectures"][0]
        config = {**AR_COMMON, **fields}
        kind = getattr(transformers, architecture.replace("ForCausalLM", "Config"))
        network = getattr(transformers, architecture)(kind.from_dict(dict(config)))
        found[preset] = write_tiny(preset, config, network, seed)
    return found


def request(folder, name="ar", **fields):
    return ModelRequest(name=name, source=str(folder), **{"device": "cpu", **fields})


@pytest.fixture(scope="module", params=PRESETS)
def preset(request):
    return request.param


@pytest.fixture(scope="module")
def model(tiny_ar, preset):
    return load(request(tiny_ar[preset].folder, preset))


@pytest.fixture
def folder(tiny_ar, tmp_path):
    return shutil.copytree(tiny_ar["ar"].folder, tmp_path / "checkpoint")


def rewrite(folder, **fields):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(config), encoding="utf-8")


def greedy(network, prompt, length):
    """Return what transformers generates, one uncached forward per token."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(length):
            ids.append(int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


PROMPTS = ([7, 250, 31], [3], [12, 80, 99, 140, 2, 17, 60, 33, 41])


def test_tokens_are_those_of_the_network_alone_whatever_the_batch(model, tiny_ar, preset, make_row):
    rows = [make_row(place, prompt, 10) for place, prompt in enumerate(PROMPTS)]
    results = replace(model, eos_ids=frozenset({319})).generate(rows, {})
    for prompt, result in zip(PROMPTS, results, strict=True):
        expected = greedy(tiny_ar[preset].network, prompt, 10)
        end = expected.index(319) + 1 if 319 in expected else 10
        assert list(result.ids) == expected[:end]


def test_a_row_ends_with_its_first_end_of_text(model, make_row):
    [free] = replace(model, eos_ids=frozenset()).generate([make_row(0, PROMPTS[0], 10)], {})
    end = free.ids[4]
    stop = free.ids.index(end)
    rows = [make_row(0, PROMPTS[0], 10), make_row(1, PROMPTS[2], 10)]
    first, second = replace(model, eos_ids=frozenset({end})).generate(rows, {})
    assert (first.ids, first.finish_reason) == (free.ids[: stop + 1], "eos")
    assert first.nfe == len(first.ids)
    assert first.commit_step == tuple(range(len(first.ids)))
    assert (second.finish_reason == "eos") == (end in second.ids)
    assert len(second.ids) == second.nfe


def test_a_row_without_an_end_stops_at_its_length(model, make_row):
    [result] = replace(model, eos_ids=frozenset()).generate([make_row(0, [1, 2], 6)], {})
    assert (len(result.ids), result.nfe, result.finish_reason) == (6, 6, "length")
    assert result.evaluated_positions == 2 + 5


def test_the_conformance_kit_finds_nothing(model):
    check_generator(model, {})


def test_every_self_test_is_reported(model):
    assert [(test.name, test.passed) for test in model.self_tests] == [
        ("keys", True),
        ("inv_freq", True),
        ("padding_and_cache", True),
    ]


def test_rows_without_a_token_are_never_generated(model, make_row):
    [free] = model.generate([make_row(0, [1, 2], 6)], {})
    [result] = replace(model, suppressed_ids=(free.ids[0],)).generate([make_row(0, [1, 2], 6)], {})
    assert free.ids[0] not in result.ids


def test_a_wrong_position_or_mask_fails_the_self_test(folder, monkeypatch):
    def see_padding(attend, queries):
        seen = torch.ones(1, 1, attend.shape[1], attend.shape[1], dtype=torch.bool).tril()
        return seen[:, :, -queries:].expand(len(attend), -1, -1, -1)

    monkeypatch.setattr("decoders.network.attention.causal_mask", see_padding)
    with pytest.raises(
        LoadError, match="self-test 'padding_and_cache' of 'ar' must pass, got: padding and a"
    ):
        load(request(folder))


def test_a_tied_head_is_the_embedding(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors")
    rewrite(folder, tie_word_embeddings=True)
    network = load(request(folder)).network
    assert network.lm_head.weight.data_ptr() == network.model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"architectures": ["DreamModel"]},
            "must be a list that starts with 'LlamaForCausalLM' or 'Qwen2ForCa",
        ),
        ({"use_sliding_window": True}, "use_sliding_window must be False or None, got True"),
        ({"quantization_config": {"bits": 4}}, "quantization_config must be absent, as .*, got"),
        ({"attn_logit_softcapping": 30.0}, "attn_logit_softcapping must be absent, as .*, got 30.0; take it"),
        (
            {"layer_types": ["sliding_attention", "full_attention"]},
            r"layer_types must be \['full.* or None",
        ),
        (
            {"rms_norm_eps": "x"},
            "config.json must be what Qwen2Config of transformers takes, got .*rms_",
        ),
        ({"rope_scaling": {"rope_type": "nobody"}}, "config.json must be what Qwen2Config .*takes, got "),
        ({"hidden_act": "relu"}, "hidden_act must be 'silu', got 'relu'"),
        ({"eos_token_id": 320}, "eos_token_id must be token ids below 320, got 320"),
        ({"num_hidden_layers": 3}, r"got \d+ missing keys"),
    ],
)
def test_what_is_no_such_checkpoint_is_refused(folder, fields, message):
    rewrite(folder, **fields)
    with pytest.raises(LoadError, match=message):
        load(request(folder))


def test_rows_that_it_cannot_decode_are_refused(folder, make_row):
    model = load(request(folder))
    with pytest.raises(
        ValueError, match="prompt_ids must not be empty for 'ar', got none in row 4; the first"
    ):
        model.generate([make_row(4, [], 4)], {})
    with pytest.raises(ValueError, match=r"temperature must be 0 for 'ar', got 0\.7 in row 0"):
        model.generate([make_row(0, [1], 4, temperature=0.7)], {})
    with pytest.raises(
        ValueError, match="parameters of native for 'ar' must be of none, got 'steps'; correct or"
    ):
        model.generate([make_row(0, [1], 4)], {"steps": 3})
    model.tokenizer = type("Real", (), {"is_fallback": False})()
    with pytest.raises(
        ValueError, match="canvas of 'ar' must be at most 128 tokens long, got 130; use shorter"
    ):
        model.generate([make_row(0, [1] * 126, 4)], {})


def test_a_closed_model_says_so(folder, make_row):
    model = load(request(folder))
    model.sync()
    model.close()
    with pytest.raises(
        RuntimeError, match="model 'ar' must be open to generate, got a closed one; load it again"
    ):
        model.generate([make_row(0, [1], 4)], {})


def test_a_fingerprint_is_the_hash_of_the_files(folder):
    before = fingerprint(request(folder))
    rewrite(folder, note=1)
    assert fingerprint(request(folder)) != before


def test_prompts_without_a_tokenizer_are_bytes(model):
    assert model.encode_prompt([{"role": "user", "content": "ab"}]) == list(b"ab\n\n")
