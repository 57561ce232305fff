"""What the families read from config.json and what they refuse, with the cure."""

import json
import shutil
from importlib import import_module

import pytest

from decoders.loading.checkpoint import LoadError, read_config
from decoders.models import (
    autoregressive,
    diffusion_gemma,
    dream,
    fast_dllm_v2,
    llada,
    llada2,
    llada21,
    llada_moe,
    sdar,
    sdar_moe,
    stable_diffcoder,
)
from decoders.models.sedd import absorb as sedd
from decoders.models.sedd import sampler as sedd_sampler
from decoders.protocols import ModelRequest

VARIANT = "this variant of the architecture has no native counterpart here"


@pytest.fixture
def folder(tiny, tmp_path):
    return shutil.copytree(tiny["dream"].folder, tmp_path / "checkpoint")


def module(family):
    return import_module(f"decoders.models.{family}")


def load(family, folder):
    return module(family).load(ModelRequest(name=family, source=str(folder), device="cpu"))


def with_config(folder, config):
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


REFUSED = [
    (
        "dream",
        "rope_scaling",
        {"type": "yarn"},
        "null or of type 'default' with .*, got .*yarn.*; " + VARIANT,
    ),
    ("dream", "use_sliding_window", True, f"False or None, got True; {VARIANT}"),
    ("dream", "hidden_act", "gelu", f"'silu' or None, got 'gelu'; {VARIANT}"),
    ("dream", "num_attention_heads", 5, "a divisor of hidden_size=64, got 5; use the published file"),
    ("dream", "num_key_value_heads", 3, "a divisor of num_attention_heads=4, got 3"),
    ("dream", "mask_token_id", None, "a whole number from 0 on and below 320, got None"),
    ("dream", "eos_token_id", 320, "token ids below 320, got 320"),
    ("dream", "rope_theta", None, "a number above 0, got None"),
    ("sdar_moe", "mlp_only_layers", [0], r"\[\] or None, got \[0\]; " + VARIANT),
    ("sdar_moe", "decoder_sparse_step", 2, f"1, got 2; {VARIANT}"),
    ("sdar_moe", "norm_topk_prob", None, f"True or False, got None; {VARIANT}"),
    ("sdar_moe", "num_experts_per_tok", 9, "a whole number from 1 on and below 5, got 9"),
    ("sdar", "attention_bias", True, f"False or None, got True; {VARIANT}"),
    ("sdar", "block_size", None, "a whole number from 2 on and below 1025, got None"),
    ("sdar", "block_size", 1, "a whole number from 2 on and below 1025, got 1"),
    ("sdar", "head_dim", 15, "of even width where rotated, not 15 channels, got 15"),
    ("llada_moe", "shared_expert_intermediate_size", 32, f"None or 0, got 32; {VARIANT}"),
    ("llada_moe", "moe_router_enable_expert_bias", True, f"False or None, got True; {VARIANT}"),
    ("llada_moe", "partial_rotary_factor", 0.5, f"1 or absent, got 0.5; {VARIANT}"),
    ("llada_moe", "moe_layer_freq", [0, 1], r"\[1, 1\] or 1 or None, got \[0, 1\]; " + VARIANT),
    ("llada_moe", "qk_layernorm", False, f"True, got False; {VARIANT}"),
    ("llada_moe", "moe_router_score_function", "sigmoid", "'softmax' or None, got 'sigmoid'"),
    ("llada_moe", "num_experts_per_tok", 5, "a whole number from 1 on and below 5, got 5"),
    ("llada2", "score_function", "softmax", f"'sigmoid' or None, got 'softmax'; {VARIANT}"),
    ("llada2", "use_qk_norm", False, f"True or None, got False; {VARIANT}"),
    ("llada2", "use_qkv_bias", True, f"False or None, got True; {VARIANT}"),
    ("llada2", "norm_topk_prob", False, f"True, got False; {VARIANT}"),
    ("llada2", "partial_rotary_factor", 1.5, "at most 1, got 1.5"),
    ("llada2", "n_group", 8, "a divisor of num_experts=8 into 2 or more, got 8"),
    ("llada2", "topk_group", 5, "a whole number from 1 on and below 5, got 5"),
]


@pytest.mark.parametrize(
    ("family", "key", "value", "rule"), REFUSED, ids=[f"{case[0]}-{case[1]}-{case[2]}" for case in REFUSED]
)
def test_what_the_native_class_cannot_express_is_refused_with_file_and_key(
    tiny, tmp_path, family, key, value, rule
):
    config = json.loads((tiny[family].folder / "config.json").read_text(encoding="utf-8"))
    folder = with_config(tmp_path, config | {key: value})
    with pytest.raises(LoadError, match=rf"config\.json: {key} must be {rule}"):
        load(family, folder)


@pytest.mark.parametrize(
    ("family", "fields", "cure"),
    [
        ("llada", {}, r"'LLaDAModelLM', got \['DreamModel'\]; .*\(--model dream=.*checkpoint\)"),
        ("sdar", {}, r"'SDARForCausalLM', got \['DreamModel'\]; choose the model name of that architecture"),
        (
            "dream",
            {"architectures": ["Fast_dLLM_OtherForCausalLM"], "auto_map": {"AutoModel": "x.Y"}},
            r"'DreamModel', got .*; its own code \(auto_map\) is not run here \(its row i - 1 predicts "
            r"token i, in blocks\); choose a checkpoint of a supported architecture: LLaDAModelLM, .*SDAR",
        ),
        (
            "dream",
            {"architectures": ["NobodyKnows"], "auto_map": {"AutoModel": "x.Y"}},
            r"'DreamModel', got .*; choose a checkpoint of a supported .*; its own code \(auto_map\) is not "
            r"run unless you have read it and allow it: --model remote=DIR or remote=OWNER/NAME@COMMIT, with "
            r"the --pb-allow-remote-code which that asks for",
        ),
        (
            "dream",
            {"architectures": ["Other"]},
            r"'DreamModel', got \['Other'\]; choose a checkpoint of a supported",
        ),
        (
            "autoregressive",
            {},
            "'LlamaForCausalLM' or 'Qwen2ForCausalLM' or 'Qwen3ForCausalLM', got .*--model dream=",
        ),
    ],
)
def test_another_architecture_is_refused_and_the_right_name_given(folder, family, fields, cure):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with_config(folder, config | fields)
    with pytest.raises(LoadError, match=rf"architectures must be a list that starts with {cure}"):
        load(family, folder)


def test_what_published_configs_of_block_models_leave_out_is_as_published(tiny, tmp_path):
    found = {}
    for family in ("fast_dllm_v2", "stable_diffcoder"):
        config = json.loads((tiny[family].folder / "config.json").read_text(encoding="utf-8"))
        for key in ("mask_token_id", "bd_size"):
            config.pop(key, None)
        with_config(tmp_path, config | {"vocab_size": 155136})
        plan = module(family).plan(read_config(tmp_path))
        found[family] = (plan.mask_id, plan.block_length)
    assert found == {"fast_dllm_v2": (151665, 32), "stable_diffcoder": (5, 4)}


@pytest.mark.parametrize("family", ["llada_moe", "llada2"])
def test_ids_that_published_configs_leave_out_are_the_published_ones(tiny, tmp_path, family):
    config = json.loads((tiny[family].folder / "config.json").read_text(encoding="utf-8"))
    del config["mask_token_id"], config["pad_token_id"]
    plan = module(family).plan
    large = with_config(tmp_path, config | {"vocab_size": 157184})
    assert (plan(read_config(large)).mask_id, plan(read_config(large)).pad_id) == (156895, 300)
    with_config(tmp_path, config)
    with pytest.raises(
        LoadError, match="mask_token_id must be a whole number from 0 on and below 320, got None"
    ):
        plan(read_config(tmp_path))


def test_shift_and_blocks_are_as_the_families_were_trained(tiny):
    plans = {family: module(family).plan(read_config(tiny[family].folder)) for family in tiny}
    assert {family: (plan.shift, plan.block_length) for family, plan in plans.items()} == {
        "dream": (True, None),
        "sdar": (False, 4),
        "sdar_moe": (False, 4),
        "llada_moe": (False, None),
        "llada2": (False, 32),
        "fast_dllm_v2": (True, 4),
        "stable_diffcoder": (False, 4),
    }


def test_presets_name_published_checkpoints_with_their_licence():
    blocks = (fast_dllm_v2, llada2, llada21, sdar, sdar_moe, stable_diffcoder, diffusion_gemma)
    modules = (autoregressive, dream, llada, llada_moe, *blocks, sedd, sedd_sampler)
    named = [(name, preset) for module in modules for name, preset in module.PRESETS.items()]
    assert len({name for name, _ in named}) == len(named)
    assert all(preset.licence and preset.revision for _, preset in named)
    licences = {name: preset.licence for name, preset in named}
    assert licences["diffucoder"] == "apple-amlr (research only)"
    assert {name for name, preset in named if preset.dtype == "float32"} == {
        "sedd",
        "sedd-medium",
        "sedd-absorb",
        "sedd-absorb-medium",
    }


def test_a_preset_may_have_its_own_chat(tiny):
    source = str(tiny["dream"].folder)
    rendered = {
        name: dream.load(ModelRequest(name=name, source=source, device="cpu")).chat.render(
            [{"role": "user", "content": "Hi"}]
        )
        for name in dream.PRESETS
    }
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    plain = f"{system}<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert rendered == {
        "dream": plain,
        "dream-coder": plain,
        "dparallel-dream": plain,
        "d3llm-dream": plain,
        "d3llm-dream-coder": plain,
        "dream-base": "Hi\n\n",
        "diffucoder": plain.replace("Hi", "Hi\n"),
    }
