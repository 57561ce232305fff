"""Self-tests of a network just loaded: what they report, and the faults that each one catches."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders.loading.checkpoint import LoadError, read_config
from decoders.models.llada import FAMILY, load
from decoders.network import self_tests
from decoders.protocols import ModelRequest

torch.set_num_threads(1)


def request(folder, **fields):
    return ModelRequest(name="llada", source=str(folder), device="cpu", **fields)


@pytest.fixture
def folder(tiny_llada_dir, tmp_path):
    return shutil.copytree(tiny_llada_dir, tmp_path / "checkpoint")


@pytest.fixture(scope="module")
def plan(tiny_llada_dir):
    return FAMILY.plan(read_config(tiny_llada_dir, FAMILY.architecture))


def test_every_self_test_is_reported_with_what_it_saw(tiny_llada_dir):
    tests = load(request(tiny_llada_dir)).self_tests
    assert [test.name for test in tests] == [
        "keys",
        "inv_freq",
        "padding",
        "both_directions",
        "aligned",
        "suppression",
        "mask_token",
    ]
    assert all(test.passed and test.detail for test in tests)


def test_in_bfloat16_the_effect_of_padding_is_reported(tiny_llada_dir):
    [padding] = [
        test for test in load(request(tiny_llada_dir, dtype="bfloat16")).self_tests if test.name == "padding"
    ]
    assert padding.detail.startswith("padding moves logits by ")
    assert padding.detail.endswith(" in bfloat16")


def failing(model, plan):
    return [test.name for test in self_tests.run(model, plan) if not test.passed]


def test_a_garbage_rotary_table_fails_its_self_test(tiny_llada_dir, plan):
    model = load(request(tiny_llada_dir))
    assert failing(model, plan) == []
    next(table for name, table in model.network.named_buffers() if name.endswith("inv_freq"))[3] = 0.5
    assert failing(model, plan) == ["inv_freq"]
    with pytest.raises(
        LoadError, match=r"self-test 'inv_freq' of 'llada' must pass, got: relative error .*; check that the"
    ):
        self_tests.check(model, plan)


def test_a_network_without_rotary_tables_fails_its_self_test(tiny_llada_dir, plan, monkeypatch):
    model = load(request(tiny_llada_dir))
    monkeypatch.setattr(model.network, "named_buffers", dict)
    assert failing(model, plan) == ["inv_freq"]


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (
            lambda attend: (
                attend[:, None, None, :]
                & torch.ones(attend.shape[1], attend.shape[1], dtype=torch.bool).tril()
            ),
            "both",
        ),
        (lambda attend: torch.ones(1, 1, attend.shape[1], attend.shape[1], dtype=torch.bool), "padding"),
    ],
    ids=["causal", "padding seen"],
)
def test_a_wrong_attention_mask_fails_its_self_test(tiny_llada_dir, plan, monkeypatch, mask, names):
    model = load(request(tiny_llada_dir))
    monkeypatch.setattr("decoders.network.attention.key_mask", mask)
    assert any(name.startswith(names) for name in failing(model, plan))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"suppressed_ids": ()}, "suppression"),
        ({"eos_ids": frozenset({300, 310})}, "mask_token"),
        ({"pad_id": 310}, "mask_token"),
    ],
    ids=["mask not suppressed", "mask is an end", "mask is padding"],
)
def test_a_mask_that_could_be_committed_fails_a_self_test(tiny_llada_dir, plan, fields, name):
    assert name in failing(replace(load(request(tiny_llada_dir)), **fields), plan)


def test_weights_that_are_not_numbers_fail_a_self_test(folder):
    weights = load_file(folder / "model.safetensors")
    weights["model.transformer.ln_f.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(
        LoadError, match="self-test 'padding' of 'llada' must pass, got: padding moves logits by nan"
    ):
        load(request(folder))


def test_a_mask_id_that_the_tokenizer_contradicts_is_refused(folder, llada_tokenizer_text):
    (folder / "tokenizer.json").write_text(llada_tokenizer_text, encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"mask_token_id": 298}), encoding="utf-8")
    with pytest.raises(
        LoadError, match=r"self-test 'mask_token' .* got: config\.json: 298, tokenizer: 310; EOS"
    ):
        load(request(folder))
