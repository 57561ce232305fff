"""What the LLaDA mapping reads from config.json and from key names, and what it refuses."""

import json
import shutil

import pytest

from decoders.loading.checkpoint import LoadError, read_config
from decoders.models.llada import FAMILY, PRESETS, load, native_key
from decoders.protocols import ModelRequest


def request(folder, **fields):
    return ModelRequest(name="llada", source=str(folder), device="cpu", **fields)


@pytest.fixture
def folder(tiny_llada_dir, tmp_path):
    return shutil.copytree(tiny_llada_dir, tmp_path / "checkpoint")


def rewrite(folder, **fields):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(
        json.dumps({key: value for key, value in config.items() if value != "absent"}), encoding="utf-8"
    )


def test_optional_sizes_follow_the_published_class(folder):
    rewrite(folder, mlp_hidden_size=None, mlp_ratio=4, n_kv_heads=None, embedding_size=None, vocab_size=384)
    config = FAMILY.plan(read(folder)).native
    assert (config.intermediate_size, config.num_key_value_heads, config.vocab_size) == (256, 4, 384)
    rewrite(folder, embedding_size=512)
    assert FAMILY.plan(read(folder)).rows == 512


def read(folder):
    return read_config(folder, FAMILY.architecture)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        (
            "alibi",
            True,
            "False or None, got True; this variant of the architecture has no native counterpart here",
        ),
        ("rope", False, "True, got False; this variant"),
        ("rope", 1, "True, got 1; this variant"),
        ("rope", "absent", "True, got None; this variant"),
        ("include_bias", True, "False, got True; this variant"),
        ("include_bias", "absent", "False, got None; this variant"),
        ("include_qkv_bias", True, "False or None, got True; this variant"),
        ("bias_for_layer_norm", True, "False or None, got True; this variant"),
        ("layer_norm_type", "low_precision", "'rms', got 'low_precision'; this variant"),
        ("block_type", "sequential", "'llama', got 'sequential'; this variant"),
        ("activation_type", "swiglu", "'silu', got 'swiglu'; this variant"),
        ("attention_layer_norm", True, "False or None, got True; this variant"),
        ("input_emb_norm", True, "False or None, got True; this variant"),
        ("scale_logits", True, "False or None, got True; this variant"),
        ("multi_query_attention", True, "False or None, got True; this variant"),
        ("layer_norm_with_affine", False, "True or None, got False; this variant"),
        ("clip_qkv", 3.0, "None, got 3.0; this variant"),
        ("block_group_size", 2, "1 or None, got 2; this variant"),
        ("weight_tying", "absent", "True or False, got None; this variant"),
        ("d_model", 0, "a whole number from 1 on, got 0; use the checkpoint's own config.json"),
        ("d_model", True, "a whole number from 1 on, got True"),
        ("n_layers", "2", "a whole number from 1 on and below 1001, got '2'"),
        ("n_heads", 7, r"a divisor of d_model=64 into heads of even width, got 7"),
        ("n_heads", 64, r"a divisor of d_model=64 into heads of even width, got 64"),
        ("n_kv_heads", 3, "a divisor of n_heads=4, got 3"),
        ("max_sequence_length", "absent", "a whole number from 1 on, got None"),
        ("mask_token_id", "absent", "a whole number from 0 on and below 320, got None"),
        ("mask_token_id", 320, "a whole number from 0 on and below 320, got 320"),
        ("pad_token_id", -1, "a whole number from 0 on and below 320, got -1"),
        ("eos_token_id", None, "token ids below 320, got None"),
        ("eos_token_id", [], r"token ids below 320, got \[\]"),
        ("eos_token_id", [2, 320], r"token ids below 320, got \[2, 320\]"),
        ("rope_theta", "absent", "a number above 0, got None"),
        ("rms_norm_eps", 0, "a number above 0, got 0"),
        ("rms_norm_eps", float("inf"), "a number above 0, got inf"),
    ],
)
def test_a_config_that_llama_cannot_express_is_refused_with_file_and_key(folder, key, value, rule):
    rewrite(folder, **{key: value})
    with pytest.raises(LoadError, match=rf"config\.json: {key} must be {rule}"):
        load(request(folder))


@pytest.mark.parametrize(
    ("published", "native"),
    [
        ("model.transformer.ff_out.weight", "lm_head.weight"),
        ("model.transformer.blocks.31.ff_out.weight", "model.layers.31.mlp.down_proj.weight"),
        ("model.transformer.blocks.0.ff_proj.weight", "model.layers.0.mlp.gate_proj.weight"),
        ("model.transformer.blocks.0.q_proj.bias", "model.transformer.blocks.0.q_proj.bias"),
        ("model.transformer.blocks.0.extra.weight", "model.transformer.blocks.0.extra.weight"),
    ],
)
def test_a_published_weight_has_one_native_name_and_others_keep_theirs(published, native):
    assert native_key(published) == native


def test_presets_name_published_checkpoints_with_their_licence():
    assert {name: (preset.hub_id, preset.licence) for name, preset in PRESETS.items()} == {
        "llada": ("GSAI-ML/LLaDA-1.5", "MIT"),
        "llada-8b": ("GSAI-ML/LLaDA-8B-Instruct", "MIT"),
        "dparallel-llada": ("Zigeng/dParallel-LLaDA-8B-instruct", "MIT"),
        "d3llm-llada": ("d3LLM/d3LLM_LLaDA", "see its card"),
    }
    assert {preset.dtype for preset in PRESETS.values()} == {"bfloat16"}
