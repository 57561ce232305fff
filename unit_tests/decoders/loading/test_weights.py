"""Weights of a checkpoint in memory: strict keys, safetensors only, little more memory than they need."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders.loading.checkpoint import LoadError
from decoders.models.llada import load
from decoders.protocols import ModelRequest
from unit_tests.long_forms import by_hand

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[3]
HEAD = "model.transformer.ff_out.weight"
NORM = "model.transformer.ln_f.weight"


def request(folder, **fields):
    return ModelRequest(name="llada", source=str(folder), device="cpu", **fields)


@pytest.fixture
def folder(tiny_llada_dir, tmp_path):
    return shutil.copytree(tiny_llada_dir, tmp_path / "checkpoint")


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def in_shards(folder):
    """Split the weights of *folder* over two files with an index, as large checkpoints are published."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    keys = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": keys[::2], "model-00002-of-00002.safetensors": keys[1::2]}
    for name, part in shards.items():
        save_file({key: weights[key] for key in part}, folder / name)
    shard_of = {key: name for name, part in shards.items() for key in part}
    index = {"metadata": {"total_size": 1}, "weight_map": shard_of}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def logits(model):
    canvas = (torch.arange(12) * 29 % 320).unsqueeze(0)
    attend = torch.ones_like(canvas, dtype=torch.bool)
    return model.raw_logits(canvas, attend, attend.nonzero())


def test_two_loads_give_identical_logits(tiny_llada_dir):
    assert torch.equal(logits(load(request(tiny_llada_dir))), logits(load(request(tiny_llada_dir))))


def test_a_checkpoint_in_shards_is_the_same_model(folder, tiny_llada_dir):
    in_shards(folder)
    assert torch.equal(logits(load(request(folder))), logits(load(request(tiny_llada_dir))))


def test_a_loaded_network_is_not_tied_to_the_file_it_came_from(folder):
    model = load(request(folder))
    before = logits(model)
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(b"\0" * (folder / "model.safetensors").stat().st_size)
    assert torch.equal(logits(model), before)


def test_weights_are_stored_in_the_dtype_asked_for_and_rotary_tables_in_float32(tiny_llada_dir):
    network = load(request(tiny_llada_dir, dtype="bfloat16")).network
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16}
    assert {table.dtype for table in network.buffers()} == {torch.float32}
    assert not any(
        tensor.is_meta or tensor.requires_grad for tensor in (*network.parameters(), *network.buffers())
    )
    assert not network.training


@pytest.mark.parametrize("pickle_file", ["pytorch_model.bin", "model.pt"])
def test_pickles_are_refused_and_never_read(folder, pickle_file):
    (folder / "model.safetensors").rename(folder / pickle_file)
    with pytest.raises(
        LoadError, match=rf"got only {pickle_file}, which may run code when read in .*; fetch a safetensors"
    ):
        load(request(folder))


def test_a_file_cut_short_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(LoadError, match=r"model\.safetensors must be a safetensors file, got"):
        load(request(folder))


def test_a_missing_shard_is_named(folder):
    in_shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    message = (
        r"every shard it names must be present, got none of model-00002-of-00002\.safetensors; fetch them"
    )
    with pytest.raises(LoadError, match=message):
        load(request(folder))


@pytest.mark.parametrize(
    "weight_map",
    [None, {}, [], {"a": "../model.safetensors"}, {"a": 3}],
    ids=["absent", "empty", "list", "path", "number"],
)
def test_an_index_that_is_no_map_to_file_names_is_refused(folder, weight_map):
    in_shards(folder)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": weight_map}), encoding="utf-8"
    )
    with pytest.raises(
        LoadError, match=r"index\.json: weight_map must map keys to file names, got .*; fetch it again"
    ):
        load(request(folder))


def test_a_key_in_two_shards_is_refused(folder):
    in_shards(folder)
    first, second = sorted(folder.glob("model-*.safetensors"))
    key = next(iter(load_file(first)))
    save_file(load_file(second) | {key: load_file(first)[key]}, second)
    message = rf"model-00002.*: {key} must be stored once, got it also in model-00001.*; remove one"
    with pytest.raises(LoadError, match=message):
        load(request(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: w.pop(HEAD),
            r"got 1 missing keys \(native names\): lm_head\.weight; check that config\.json and",
        ),
        (lambda w: w.update(extra=torch.ones(2)), "got 1 unexpected keys: extra; check that"),
        (
            lambda w: w.update({HEAD: w[HEAD][1:].clone()}),
            r"got 1 shapes: .*ff_out\.weight \[319, 64\] \(wanted \[320, 64\]\)",
        ),
        (
            lambda w: w.update({NORM: w[NORM].to(torch.int8)}),
            r"ln_f\.weight must hold floats, got 'I8'; use .* not quantised",
        ),
        (lambda w: w.clear(), r"got 21 missing keys \(native names\): .*, .*, .*, .*, .* and 16 more"),
    ],
    ids=["missing", "unexpected", "shape", "integers", "empty file"],
)
def test_weights_that_do_not_match_the_config_are_refused(folder, change, message):
    change_weights(folder, change)
    with pytest.raises(LoadError, match=message):
        load(request(folder))


def test_weights_of_more_layers_than_the_config_says_are_refused(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"n_layers": 1}), encoding="utf-8")
    with pytest.raises(LoadError, match=r"got 9 unexpected keys: model\.transformer\.blocks\.1\."):
        load(request(folder))


MEASURE = """
import sys
import torch
torch.set_num_threads(1)
import transformers.models.llama.modeling_llama, safetensors
from decoders.models.llada import load
from decoders.protocols import ModelRequest
load(ModelRequest(name="llada", source=sys.argv[1], device="cpu", dtype=sys.argv[3]))
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
before = peak()
load(ModelRequest(name="llada", source=sys.argv[2], device="cpu", dtype=sys.argv[3]))
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=by_hand), "bfloat16"])
def test_loading_needs_little_more_memory_than_the_weights(tiny_llada_dir, folder, dtype):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {
        "n_layers": 8,
        "mlp_hidden_size": 40_000,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    def widen(weights):
        for layer in range(8):
            block, first = f"model.transformer.blocks.{layer}.", "model.transformer.blocks.0."
            for key in [key for key in weights if key.startswith(first)]:
                weights[block + key.removeprefix(first)] = weights[key].clone()
            for name in ("ff_proj", "up_proj"):
                weights[f"{block}{name}.weight"] = torch.zeros(40_000, 64)
            weights[f"{block}ff_out.weight"] = torch.zeros(64, 40_000)

    change_weights(folder, widen)
    size = (folder / "model.safetensors").stat().st_size * (1 if dtype == "float32" else 0.5)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tiny_llada_dir), str(folder), dtype],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) < 1.3 * size + 30e6


EMBEDDING = "model.transformer.wte.weight"


def tied(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"weight_tying": True}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_a_stored_copy_of_a_tied_head_is_taken_when_equal(folder):
    change_weights(tied(folder), lambda weights: weights.pop(HEAD))
    without = logits(load(request(folder)))
    change_weights(folder, lambda weights: weights.update({HEAD: weights[EMBEDDING].clone()}))
    model = load(request(folder))
    assert torch.equal(logits(model), without)
    assert load(request(folder, dtype="bfloat16")).dtype == "bfloat16"
    assert model.network.lm_head.weight.data_ptr() == model.network.model.embed_tokens.weight.data_ptr()


def test_a_tied_pair_that_is_stored_under_its_other_name_is_the_same_model(folder):
    change_weights(tied(folder), lambda weights: weights.pop(HEAD))
    usual = logits(load(request(folder)))
    change_weights(folder, lambda weights: weights.update({HEAD: weights.pop(EMBEDDING)}))
    assert torch.equal(logits(load(request(folder))), usual)


def test_a_tied_head_with_other_values_is_refused(folder):
    message = r"ff_out\.weight must equal what is known without it .*, got other values; check that"
    with pytest.raises(LoadError, match=message):
        load(request(tied(folder)))


PREFIXES = {
    "compiled": lambda key: f"_orig_mod.{key}",
    "compiled inside": lambda key: key.replace("blocks.", "blocks._orig_mod."),
    "left out": lambda key: key.removeprefix("model."),
    "twice": lambda key: f"model.{key}",
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_keys_with_other_prefixes_are_the_same_model(folder, tiny_llada_dir, prefix):
    weights = load_file(folder / "model.safetensors")
    save_file(
        {PREFIXES[prefix](key): weight for key, weight in weights.items()}, folder / "model.safetensors"
    )
    assert torch.equal(logits(load(request(folder))), logits(load(request(tiny_llada_dir))))


def test_a_key_under_two_prefixes_is_refused(folder):
    change_weights(folder, lambda weights: weights.update({f"_orig_mod.{NORM}": weights[NORM].clone()}))
    with pytest.raises(LoadError, match=r"ln_f\.weight must be stored once, got it also in"):
        load(request(folder))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_rotary_frequencies_are_taken_when_config_gives_the_same(folder, tiny_llada_dir, dtype):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    table = config["rope_theta"] ** -(torch.arange(0, 16, 2, dtype=torch.int64).float() / 16)
    keys = ("model.transformer.rotary_emb.inv_freq", "model.layers.1.self_attn.rotary_emb.inv_freq")
    change_weights(folder, lambda weights: weights.update({key: table.to(dtype, copy=True) for key in keys}))
    assert torch.equal(logits(load(request(folder))), logits(load(request(tiny_llada_dir))))
    change_weights(folder, lambda weights: weights.update({keys[1]: 0.9 * table}))
    with pytest.raises(LoadError, match=r"1\.self_attn\.rotary_emb\.inv_freq must equal what is known"):
        load(request(folder))
