"""The file of a training that is under way, and the folder of a finished model."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders.loading.checkpoint import Config
from decoders.models.llada import native_key
from decoders.training.checkpoint import (
    STATE_FILE,
    Standing,
    export,
    published_key,
    read_standing,
    restore,
    save_standing,
    tensors_of,
)
from decoders.training.tiny import new_network
from pb_plugin.cli.train_tiny import lessons

LESSONS = lessons()
MIB = 2**20


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    config = Config(path=tmp_path_factory.mktemp("config") / "config.json", values=LESSONS.config_json())
    return new_network(config, 0)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    export(network, LESSONS.config_json(), LESSONS.tokenizer, folder)
    return folder


def standing_of(**changed):
    values = {
        "recipe": {"seed": 0, "steps": 3, "rate": 0.5},
        "code": "c0de",
        "step": 2,
        "seconds": 1.5,
        "losses": ({"step": 1, "copy": 3.25}, {"step": 2, "sort": 1 / 3}),
        "tensors": {"a": torch.arange(6.0).reshape(2, 3), "exp_avg/a": torch.ones(2, 3)},
    }
    return Standing(**{**values, **changed})


def test_a_standing_survives_its_file(tmp_path):
    written = standing_of()
    save_standing(tmp_path / "new" / "folder", written)
    read = read_standing(tmp_path / "new" / "folder")
    for name in ("recipe", "step", "seconds", "losses"):
        assert getattr(read, name) == getattr(written, name)
    assert read.tensors.keys() == written.tensors.keys()
    assert all(torch.equal(read.tensors[name], written.tensors[name]) for name in read.tensors)


def test_where_nothing_was_begun_there_is_no_standing(tmp_path):
    assert read_standing(tmp_path) is None
    assert read_standing(tmp_path / "nowhere") is None


def test_a_file_half_written_beside_it_does_no_harm(tmp_path):
    save_standing(tmp_path, standing_of(step=1))
    (tmp_path / f"{STATE_FILE}.new").write_bytes(b"torn")
    assert read_standing(tmp_path).step == 1
    save_standing(tmp_path, standing_of(step=2))
    assert read_standing(tmp_path).step == 2
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / STATE_FILE]


def test_a_file_half_written_where_nothing_was_saved_is_no_standing(tmp_path):
    half = tmp_path / f"{STATE_FILE}.new"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"torn")
    assert read_standing(tmp_path) is None


def other_file(path, metadata=None):
    save_file({"a": torch.zeros(1)}, path, metadata=metadata)


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{"),
    "anothers": other_file,
    "no_json": lambda path: other_file(path, {"standing": "{"}),
    "no_object": lambda path: other_file(path, {"standing": "[1]"}),
    "no_losses": lambda path: other_file(path, {"standing": '{"step": 1}'}),
    "fields_missing": lambda path: other_file(path, {"standing": '{"losses": []}'}),
    "fields_of_others": lambda path: other_file(path, {"standing": '{"losses": [], "pace": 1}'}),
}


@pytest.mark.parametrize("write", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_none_of_ours_is_refused_with_the_cure(tmp_path, write):
    (tmp_path / STATE_FILE).parent.mkdir(exist_ok=True)
    write(tmp_path / STATE_FILE)
    with pytest.raises(
        ValueError,
        match=rf"{STATE_FILE} must be what an earlier training wrote, got \w+: .*; remove it or choose "
        "another folder",
    ):
        read_standing(tmp_path)


def test_weights_and_moments_survive_a_change_of_network(network):
    def stepped(standing=None):
        config = Config(path=None, values=LESSONS.config_json())
        fresh = new_network(config, 3)
        optimizer = torch.optim.AdamW(fresh.parameters(), lr=1e-3)
        if standing is not None:
            restore(fresh, optimizer, standing)
        for parameter in fresh.parameters():
            parameter.grad = torch.full_like(parameter, 0.25)
        optimizer.step()
        return tensors_of(fresh, optimizer)

    once = {name: tensor.clone() for name, tensor in stepped().items()}
    twice = stepped(standing_of(step=1, tensors=once))
    name = "model.norm.weight"
    assert torch.equal(once[f"exp_avg/{name}"], torch.full((128,), 0.025))
    assert torch.allclose(twice[f"exp_avg/{name}"], torch.full((128,), 0.25 * (0.1 + 0.9 * 0.1)))
    assert not torch.equal(once[name], twice[name])


def test_before_the_first_step_there_are_weights_alone(network):
    optimizer = torch.optim.AdamW(network.parameters())
    assert set(tensors_of(network, optimizer)) == {name for name, _ in network.named_parameters()}


def test_a_published_name_leads_back_to_the_weight_it_names(network):
    names = [name for name, _ in network.named_parameters()]
    assert len(names) == 2 + 5 * 9
    published = [published_key(name) for name in names]
    assert [native_key(key) for key in published] == names
    assert all(key != name for key, name in zip(published, names, strict=True))
    assert len(set(published)) == len(names)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("embed_tokens", "wte"),
        ("norm", "ln_f"),
        ("layers.0.self_attn.o_proj", "blocks.0.attn_out"),
        ("layers.1.mlp.gate_proj", "blocks.1.ff_proj"),
        ("layers.4.mlp.up_proj", "blocks.4.up_proj"),
        ("layers.12.mlp.down_proj", "blocks.12.ff_out"),
    ],
)
def test_published_names_are_those_of_llada(ours, theirs):
    assert published_key(f"model.{ours}.weight") == f"model.transformer.{theirs}.weight"


def test_the_head_has_its_published_name_too():
    assert native_key(published_key("lm_head.weight")) == "lm_head.weight"


def test_an_exported_folder_is_three_files_without_code_and_below_8_mb(exported):
    sizes = {path.name: path.stat().st_size for path in exported.iterdir()}
    assert sorted(sizes) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert sum(sizes.values()) < 8 * MIB
    data = (exported / "model.safetensors").read_bytes()
    header = int.from_bytes(data[:8], "little")
    assert set(json.loads(data[8 : 8 + header])) > {"__metadata__", "model.transformer.wte.weight"}


def test_exported_weights_are_the_networks_rounded_to_float16(network, exported):
    weights = load_file(exported / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert "model.transformer.ff_out.weight" not in weights, "the output is tied to the embedding"
    parameters = dict(network.named_parameters())
    assert len(weights) == len(parameters)
    for key, tensor in weights.items():
        assert torch.equal(tensor, parameters[native_key(key)].detach().half())


def test_there_are_fewer_than_4_million_parameters(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 862_848
