"""Adapters in the format of peft: added as that library adds them, and refused if they are another thing."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers", reason="networks need the extra models")

from decoders.loading.adapter import CONFIG_FILE, WEIGHTS_FILE, add_adapter, split_adapter
from decoders.loading.checkpoint import LoadError
from decoders.loading.weights import Part
from decoders.models import llada, tiny
from decoders.protocols import ModelRequest

KEY = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


@pytest.fixture
def network():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=32, **sizes)).requires_grad_(False)


def by_peft(network, folder, **fields):
    """Write an adapter with random weights by peft itself, and return the weights that it merges to."""
    peft = pytest.importorskip("peft", reason="adapters of peft need the extra tune")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        adapted = peft.get_peft_model(
            network, peft.LoraConfig(target_modules=["q_proj", "down_proj"], **fields)
        )
    for name, one in adapted.named_parameters():
        if "lora_B" in name:
            one.data.normal_()
    adapted.save_pretrained(folder)
    merged = {name: one.clone() for name, one in adapted.merge_and_unload().state_dict().items()}
    return merged


def write(folder, tensors=None, **fields):
    folder.mkdir(exist_ok=True)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", **fields}
    (folder / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    if tensors is None:
        tensors = {KEY.format("A"): torch.ones(2, 16), KEY.format("B"): torch.ones(16, 2)}
    save_file(tensors, folder / WEIGHTS_FILE)
    return folder


@pytest.mark.parametrize("stable", [False, True], ids=["plain", "rank-stabilised"])
def test_it_adds_what_peft_merges(network, tmp_path, stable):
    from copy import deepcopy

    ours = deepcopy(network)
    merged = by_peft(network, tmp_path, r=4, lora_alpha=6, use_rslora=stable)
    assert add_adapter(ours, tmp_path, rename=lambda key: key) == 4
    for name, one in ours.state_dict().items():
        torch.testing.assert_close(one, merged[name])
    assert len(load_file(tmp_path / WEIGHTS_FILE)) == 8


def test_modules_may_have_the_names_that_the_family_publishes(network, tmp_path):
    key = "base_model.model.model.transformer.blocks.1.q_proj.lora_{}.weight"
    tensors = {key.format("A"): torch.full((2, 16), 0.5), key.format("B"): torch.ones(16, 2)}
    before = network.model.layers[1].self_attn.q_proj.weight.clone()
    add_adapter(network, write(tmp_path, tensors), rename=llada.native_key)
    torch.testing.assert_close(network.model.layers[1].self_attn.q_proj.weight, before + 2.0)


def test_a_sum_is_rounded_once_to_the_number_type_of_the_weight(network, tmp_path):
    network.to(torch.bfloat16)
    weight = network.model.layers[0].self_attn.q_proj.weight
    before = weight.clone()
    add_adapter(network, write(tmp_path, lora_alpha=0.01), rename=lambda key: key)
    assert torch.equal(weight, (before.float() + torch.full((16, 16), 0.005 * 2)).to(torch.bfloat16))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type must be 'LORA', got 'IA3'"),
        ({"use_dora": True}, "use_dora must be False or None, got True"),
        ({"bias": "all"}, "bias must be 'none' or None, got 'all'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save must be empty, got"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern must be empty, got"),
        ({"r": 0}, "r must be a whole number from 1 on, got 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_plain_lora_is_refused(network, tmp_path, fields, message):
    with pytest.raises(LoadError, match=message):
        add_adapter(network, write(tmp_path, **fields), rename=lambda key: key)


A, B = torch.ones(2, 16), torch.ones(16, 2)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({KEY.format("A"): A}, "pairs of matrices lora_A and lora_B, got one of them for 'model.layers.0"),
        ({"weird": A}, "pairs of matrices lora_A and lora_B, got 'weird'"),
        ({KEY.format("A"): A, KEY.format("B"): torch.ones(8, 2)}, r"of the shape \(16, 16\) of model.layers"),
        ({KEY.format("A"): A, KEY.format("B"): torch.ones(16, 3)}, r"got \(16, 3\) times \(2, 16\)"),
        (
            {"other.lora_A.weight": A, "other.lora_B.weight": B},
            "a module of the network as a whole, got 'other'",
        ),
        ({}, "pairs of matrices lora_A and lora_B, got none"),
    ],
    ids=["half", "other", "shape", "rank", "module", "nothing"],
)
def test_what_does_not_fit_the_network_is_refused(network, tmp_path, tensors, message):
    with pytest.raises(LoadError, match=message):
        add_adapter(network, write(tmp_path, tensors), rename=lambda key: key)


def test_a_module_that_the_network_splits_is_refused(network, tmp_path):
    def parts(name):
        return (Part(name="model.layers.0.self_attn.q_proj.weight", rows=(0, 8)),)

    with pytest.raises(
        LoadError, match=r"a module of the network as a whole, got 'model.layers.0.self_attn.q_proj'"
    ):
        add_adapter(network, write(tmp_path), rename=lambda key: key, parts=parts)


def test_a_file_that_is_no_safetensors_is_refused(network, tmp_path):
    (write(tmp_path) / WEIGHTS_FILE).write_bytes(b"pickle")
    with pytest.raises(LoadError, match=r"adapter_model.safetensors must be a safetensors file, got"):
        add_adapter(network, tmp_path, rename=lambda key: key)


def request(source):
    return ModelRequest(name="llada", source=source)


def test_a_source_with_a_plus_is_a_checkpoint_and_an_adapter(tmp_path):
    adapter = write(tmp_path / "adapter")
    assert split_adapter(request(f"OWNER/NAME+{adapter}")) == (request("OWNER/NAME"), adapter)
    assert split_adapter(request(f"+{adapter}")) == (request(None), adapter)
    assert split_adapter(request("OWNER/NAME")) == (request("OWNER/NAME"), None)
    assert split_adapter(request(None)) == (request(None), None)


def test_a_folder_with_a_plus_in_its_name_is_a_folder(tmp_path):
    folder = tmp_path / "a+b"
    folder.mkdir()
    assert split_adapter(request(str(folder))) == (request(str(folder)), None)


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(LoadError) as caught:
        split_adapter(request(f"OWNER/NAME+{tmp_path}"))
    assert str(caught.value) == (
        "adapter must be a folder with adapter_config.json and adapter_model.safetensors, got "
        f"{str(tmp_path)!r} without adapter_config.json and adapter_model.safetensors; give --model "
        "llada=CHECKPOINT+ADAPTER"
    )


def test_the_fingerprint_tells_adapters_apart_and_tiny_takes_one_without_a_checkpoint(tmp_path):
    first, second = write(tmp_path / "one"), write(tmp_path / "two", lora_alpha=5)
    plain = ModelRequest(name="tiny")
    shipped = str(tiny.shipped_folder())
    found = {
        tiny.fingerprint(ModelRequest(name="tiny", source=source))
        for source in (shipped, f"+{first}", f"+{second}")
    }
    assert len(found) == 3
    assert tiny.fingerprint(plain) in found
    both = (f"+{first}", f"{shipped}+{first}")
    assert len({tiny.fingerprint(ModelRequest(name="tiny", source=source)) for source in both}) == 1
