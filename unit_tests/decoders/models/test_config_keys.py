"""A key of config.json changes logits as the class of transformers does, changes nothing, or is refused."""

import json
from importlib import import_module
from pathlib import Path

import pytest
import torch

from decoders.loading.checkpoint import LoadError
from decoders.models import llada
from decoders.protocols import ModelRequest
from unit_tests.long_forms import by_hand

torch.set_num_threads(1)

GOLDEN = Path(__file__).resolve().parents[3] / ".." / "shared" / "golden" / "checkpoints"
LENGTH = {"sdar": 4, "fast_dllm_v2": 4, "stable_diffcoder": 4}
"""Of a canvas that attends to all of itself: one block."""


def at(folder, tmp_path, **fields):
    """Return a folder with the weights of *folder* and *fields* changed in its config; None takes one out."""
    target = tmp_path / "checkpoint"
    target.mkdir(exist_ok=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | fields
    kept = {key: value for key, value in config.items() if value != "absent"}
    (target / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    if not (target / "model.safetensors").exists():
        (target / "model.safetensors").symlink_to((folder / "model.safetensors").resolve())
    return target


def load(family, folder):
    return import_module(f"decoders.models.{family}").load(
        ModelRequest(name=family, source=str(folder), device="cpu", dtype="float32")
    )


def logits(model):
    length = LENGTH.get(model.name, 8)
    canvas = (torch.arange(length) * 29 % 320).unsqueeze(0)
    attend = torch.ones_like(canvas, dtype=torch.bool)
    return model.raw_logits(canvas, attend, attend.nonzero())


NATIVE = {
    "dream": ("Qwen2", {}, {}),
    "sdar": ("Qwen3", {}, {}),
    "fast_dllm_v2": ("Qwen2", {}, {}),
    "stable_diffcoder": ("Llama", {}, {}),
    "llada_moe": (
        "Qwen3Moe",
        {"expert_intermediate_size": "moe_intermediate_size"},
        {"norm_topk_prob": False},
    ),
    "llada2": (
        "Glm4Moe",
        {"num_experts": "n_routed_experts", "num_shared_experts": "n_shared_experts"},
        {"attention_bias": False},
    ),
    "llada": (
        "Llama",
        {
            "d_model": "hidden_size",
            "n_layers": "num_hidden_layers",
            "n_heads": "num_attention_heads",
            "n_kv_heads": "num_key_value_heads",
            "mlp_hidden_size": "intermediate_size",
            "max_sequence_length": "max_position_embeddings",
        },
        {},
    ),
}
"""The class of transformers, its names for published keys, and what it is given besides."""

OUTPUTS = ("return_dict", "output_attentions", "output_hidden_states", "output_router_logits")
"""Keys that change what comes back besides the logits."""


def reference(family, folder, weights):
    """Return the logits of transformers' own class under the config of *folder*, with *weights*."""
    import transformers

    kind, names, fixed = NATIVE[family]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    dropped = {
        "architectures",
        "model_type",
        "torch_dtype",
        "dtype",
        "partial_rotary_factor",
        *OUTPUTS,
        *fixed,
    }
    values = {names.get(key, key): value for key, value in config.items() if key not in dropped}
    if "partial_rotary_factor" in config:
        theta = values.pop("rope_theta", None)
        values["rope_parameters"] = {
            "rope_type": "default",
            "rope_theta": theta,
            "partial_rotary_factor": config["partial_rotary_factor"],
            **(values.get("rope_parameters") or {}),
        }
    native = getattr(transformers, f"{kind}Config").from_dict({**values, **fixed})
    network = getattr(transformers, f"{kind}ForCausalLM")(native)
    network.load_state_dict(weights)
    network.eval()
    length = LENGTH.get(family, 8)
    canvas = (torch.arange(length) * 29 % 320).unsqueeze(0)
    sees = torch.ones(1, 1, length, length, dtype=torch.bool)
    with torch.no_grad():
        return network(canvas, attention_mask=sees).logits[0]


@pytest.fixture(scope="module")
def families(tiny, tiny_llada_dir, tiny_llada_network):
    """Folder and weights under transformers' names, by family."""
    found = {family: (made.folder, made.network.state_dict()) for family, made in tiny.items()}
    return found | {"llada": (tiny_llada_dir, tiny_llada_network.state_dict())}


@pytest.fixture(params=NATIVE)
def family(request):
    return request.param


def test_theta_is_read_in_the_spelling_of_transformers_5(families, family, tmp_path):
    folder, weights = families[family]
    share = {"partial_rotary_factor": 0.5} if family == "llada2" else {}
    rope = {"rope_type": "default", "rope_theta": 700.0, **share}
    alone = at(folder, tmp_path, rope_theta="absent", partial_rotary_factor="absent", rope_parameters=rope)
    again = logits(load(family, alone))
    torch.testing.assert_close(again, reference(family, alone, weights), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(again, logits(load(family, folder)), atol=1e-3)


ROPE = [
    ({"rope_type": "yarn", "factor": 4.0}, "null or of type 'default' with"),
    ({"type": "linear", "factor": 2.0}, "null or of type 'default' with"),
    ({"rope_type": "default", "factor": 2.0}, "null or of type 'default' with"),
    ({"rope_type": 3}, "null or of type 'default' with"),
    ({"full_attention": {"rope_theta": 3.0}}, "null or of type 'default' with"),
    ([], "an object or null"),
]


@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
@pytest.mark.parametrize(("value", "rule"), ROPE, ids=[str(case[0]) for case in ROPE])
def test_scaled_rotary_tables_are_refused_in_both_spellings(families, family, tmp_path, key, value, rule):
    with pytest.raises(LoadError, match=rf"config\.json: {key} must be {rule}.*; this variant"):
        load(family, at(families[family][0], tmp_path, **{key: value}))


@pytest.mark.parametrize(
    ("rope", "message"),
    [
        (
            {"rope_theta": 3.5},
            r"rope_theta must be one number .*, got rope_theta = .*, rope_parameters\.",
        ),
        ({"rope_theta": "a"}, r"rope_parameters\.rope_theta must be a number above 0, got 'a'"),
        ({"rope_theta": True}, r"rope_parameters\.rope_theta must be a number above 0, got True"),
        ({"partial_rotary_factor": 0.25}, "partial_rotary_factor must be "),
        ({"partial_rotary_factor": 2}, "partial_rotary_factor must be (at most 1, got 2|one number)"),
    ],
)
def test_rotary_numbers_that_contradict_or_cannot_be_are_refused(families, family, tmp_path, rope, message):
    with pytest.raises(LoadError, match=message):
        load(family, at(families[family][0], tmp_path, rope_parameters=rope))


OTHER = {
    bool: lambda value: [not value, None, 1],
    int: lambda value: [value + 1, 2 * value, 0, None, str(value)],
    float: lambda value: [value / 3, 10 * value, None, "x"],
    str: lambda value: ["gelu", None, 3],
    list: lambda value: [[], [0, 1], None],
    type(None): lambda value: [True, 1, "x", 0.5],
}
"""What each kind of value is changed to."""


def changes(family, folder):
    """Yield every key that the config or the class of transformers has, with values to change it to."""
    import transformers

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    native = getattr(transformers, f"{NATIVE[family][0]}Config")().to_dict()
    for key, value in {**native, **config, "nobody_knows": None}.items():
        for other in OTHER.get(type(value), lambda value: [{"a": 1}, None])(value):
            yield key, other


def outcome(family, families, tmp_path, key, value):
    """Return what is wrong if the key with *value* is neither refused nor computes what transformers does."""
    folder, weights = families[family]
    changed = at(folder, tmp_path, **{key: value})
    try:
        ours = logits(load(family, changed))
    except LoadError as error:
        return None if "\n" not in str(error) and "; " in str(error) else f"{key}={value!r}: {error}"
    known = {"tie_word_embeddings", "weight_tying"}
    try:
        theirs = reference(family, at(folder, tmp_path) if key in known else changed, weights)
    except Exception:  # a value that the class refuses; here the key must not count
        theirs = reference(family, at(folder, tmp_path), weights)
    same = torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    return None if same else f"{key}={value!r}: differs by {float((ours - theirs).abs().max()):.2g}"


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=[pytest.mark.slow, by_hand])])
def test_any_one_key_computes_as_transformers_does_or_is_refused(families, family, tmp_path, every):
    cases = list(changes(family, families[family][0]))[::every]
    assert len(cases) > 100 // every
    wrong = [outcome(family, families, tmp_path, key, value) for key, value in cases]
    assert [fault for fault in wrong if fault] == []


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        (
            "attn_logit_softcapping",
            30.0,
            "absent, as the native network .*, got 30.0; take",
        ),
        ("logits_scaling", 2, "absent, as the native network .*, got 2; take it out if"),
        (
            "is_encoder_decoder",
            True,
            "absent or False, as the native network .*, got True",
        ),
    ],
)
def test_a_key_that_nobody_reads_is_refused_by_name(families, family, tmp_path, key, value, rule):
    with pytest.raises(LoadError, match=rf"config\.json: {key} must be {rule}"):
        load(family, at(families[family][0], tmp_path, **{key: value}))


def test_a_key_that_says_what_is_computed_anyway_is_taken(families, family, tmp_path):
    folder = families[family][0]
    same = at(folder, tmp_path, is_encoder_decoder=False, quantization_config=None, chunk_size_feed_forward=0)
    assert torch.equal(logits(load(family, same)), logits(load(family, folder)))


PUBLISHED = {
    "llada": {
        "alibi_bias_max": 8.0,
        "attention_layer_norm_with_affine": True,
        "auto_map": {"AutoModel": "modeling_llada.LLaDAModelLM"},
        "init_cutoff_factor": None,
        "init_std": 0.02,
        "layer_norm_with_affine": True,
        "multi_query_attention": None,
        "transformers_version": "4.46.3",
    },
    "dream": {"auto_map": {"AutoModel": "modeling_dream.DreamModel"}, "transformers_version": "4.46.2"},
    "sdar": {"auto_map": {"AutoModel": "modeling_sdar.SDARForCausalLM"}, "transformers_version": "4.52.3"},
    "fast_dllm_v2": {"auto_map": {"AutoModel": "modeling.Fast_dLLM_QwenForCausalLM"}},
    "stable_diffcoder": {
        "auto_map": {"AutoModel": "modeling.StableDiffcoderForCausalLM"},
        "pretraining_tp": 1,
    },
    "llada_moe": {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "clip_qkv": None,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "output_router_logits": False,
        "rope_scaling": None,
        "router_aux_loss_coef": 0.01,
        "tie_word_embeddings": False,
    },
    "llada2": {
        "initializer_range": 0.02,
        "max_window_layers": 28,
        "output_router_logits": False,
        "rotary_dim": 8,
        "sliding_window": 4096,
        "use_sliding_window": False,
    },
}
"""Keys of published config.json files that the golden ones lack."""


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden checkpoints are development data not present here")
def test_the_keys_of_published_configs_are_all_known(family, tmp_path):
    load(family, at(GOLDEN / family, tmp_path, **PUBLISHED[family]))


def test_the_rotated_channels_must_be_those_that_the_share_gives(families, tmp_path):
    with pytest.raises(LoadError, match=r"rotary_dim must be 8 or None, got 16; this variant"):
        load("llada2", at(families["llada2"][0], tmp_path, rotary_dim=16))


def test_llada_reads_what_other_keys_leave_open(families, tmp_path):
    folder = at(families["llada"][0], tmp_path, mlp_ratio=3, vocab_size=5)
    assert torch.equal(logits(load("llada", folder)), logits(load("llada", families["llada"][0])))
    assert {"mlp_ratio", "vocab_size"} <= llada.INERT
