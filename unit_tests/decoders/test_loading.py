"""From a request to weights in memory: what is found, what is refused, what is checked."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders import self_tests
from decoders.loading import (
    LoadError,
    Preset,
    choose_device,
    choose_dtype,
    find_checkpoint,
    need_packages,
    read_config,
)
from decoders.models.llada import FAMILY, PRESETS, load
from decoders.protocols import ModelRequest

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]
HEAD = "model.transformer.ff_out.weight"
NORM = "model.transformer.ln_f.weight"
PRESET = {"small": Preset(hub_id="owner/small", revision="v1", dtype="bfloat16", licence="MIT")}


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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            None,
            None,
            r"source must be an existing folder or a hub id OWNER/NAME, got .*; give the folder that holds config",
        ),
        (
            "config.json",
            None,
            r"checkpoint must hold config\.json, got .* without it; give a complete folder",
        ),
        (
            "config.json",
            "{'d_model': 3}",
            r"config\.json must be JSON, got .*line 1 column 2.*; fetch it again",
        ),
        ("config.json", "[]", r"config\.json must be a JSON object, got \[\]; fetch it again"),
        (
            "config.json",
            '{"architectures": ["LlamaForCausalLM", "LLaDAModelLM"]}',
            r"config\.json: architectures must be a list that starts with 'LLaDAModelLM', got \['LlamaFor.*; choose the model",
        ),
        ("config.json", "{}", r"architectures must be a list that starts with 'LLaDAModelLM', got None"),
        (
            "model.safetensors",
            None,
            r"weights must be model\.safetensors, or shards with .*, got none in .*; fetch a safetensors",
        ),
        (
            "model.safetensors",
            "not tensors",
            r"model\.safetensors must be a safetensors file, got .*; fetch it again",
        ),
    ],
    ids=[
        "no folder",
        "no config",
        "no JSON",
        "no object",
        "architecture",
        "no architecture",
        "no weights",
        "broken weights",
    ],
)
def test_an_incomplete_checkpoint_is_refused(folder, name, content, message):
    if name is None:
        shutil.rmtree(folder)
    elif content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(LoadError, match=message):
        load(request(folder))


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


def test_a_tokenizer_larger_than_the_embedding_is_refused(folder, llada_tokenizer_text):
    (folder / "tokenizer.json").write_text(
        llada_tokenizer_text.replace(":310", ":400").replace(": 310", ": 400")
    )
    with pytest.raises(
        LoadError, match=r"tokenizer\.json must have ids below the 320 rows of the embedding, got 400"
    ):
        load(request(folder))


def test_tokenizer_files_that_cannot_be_read_never_mean_bytes(folder):
    (folder / "vocab.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LoadError, match=r"tokenizer must be a tokenizer\.json, got \['vocab\.json'\]"):
        load(request(folder))


@pytest.mark.parametrize(
    ("requested", "fields", "dtype"),
    [
        ("bfloat16", {"torch_dtype": "float32"}, "bfloat16"),
        (None, {"torch_dtype": "float32"}, "float32"),
        (None, {"dtype": "bfloat16", "torch_dtype": "float32"}, "bfloat16"),
        (None, {}, "bfloat16"),
        (None, {"torch_dtype": None}, "bfloat16"),
    ],
)
def test_the_dtype_is_as_asked_for_then_as_the_config_says_then_the_presets(
    tmp_path, requested, fields, dtype
):
    assert choose_dtype(requested, config_of(tmp_path, fields), "bfloat16") == dtype


def config_of(folder, fields):
    (folder / "config.json").write_text(json.dumps({"architectures": ["A"], **fields}), encoding="utf-8")
    return read_config(folder, "A")


@pytest.mark.parametrize(
    ("requested", "fields", "message"),
    [
        (
            "float8",
            {},
            r"dtype must be one of float32, bfloat16, got 'float8' \(asked for\); ask for one of them",
        ),
        (
            None,
            {"torch_dtype": "float16"},
            r"got 'float16' \(torch_dtype of .*config\.json\); ask for one of them",
        ),
        (None, {"dtype": ["x"]}, r"got \['x'\] \(dtype of .*config\.json\)"),
    ],
)
def test_an_unknown_dtype_is_refused_with_where_it_came_from(tmp_path, requested, fields, message):
    with pytest.raises(LoadError, match=message):
        choose_dtype(requested, config_of(tmp_path, fields), "bfloat16")


@pytest.mark.parametrize("device", ["fast", "cuda:99", ""])
def test_a_device_this_machine_does_not_have_is_refused(device):
    with pytest.raises(
        LoadError, match=rf"device must be one this machine has, got '{device}' \(.+\); try 'cpu'"
    ):
        choose_device(device)


@pytest.mark.parametrize(
    ("cuda", "mps", "best"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
    ids=["cuda", "mps", "cpu"],
)
def test_the_best_device_present_is_chosen(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device(None) == torch.device(best)
    assert choose_device("cpu") == torch.device("cpu")


def test_missing_packages_are_named_with_the_extra_that_brings_them():
    need_packages("torch")
    message = r"packages must be installed to run network models, got none of no_such_package; pip install '.*\[models\]'"
    with pytest.raises(LoadError, match=message):
        need_packages("torch", "no_such_package")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Calls to the hub's client, none of which leaves this machine."""
    import huggingface_hub

    calls = []

    def snapshot_download(repo_id, **options):
        calls.append((repo_id, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return calls


@pytest.mark.parametrize(
    ("fields", "hub_id", "revision"),
    [
        ({"name": "small"}, "owner/small", "v1"),
        ({"name": "small", "revision": "v2"}, "owner/small", "v2"),
        ({"name": "small", "source": "other/large"}, "other/large", None),
        ({"name": "new", "source": "other/large", "revision": "v3"}, "other/large", "v3"),
    ],
    ids=["preset", "preset at a revision", "hub id", "hub id at a revision"],
)
def test_a_preset_or_hub_id_is_fetched_without_code_or_pickles(hub, tmp_path, fields, hub_id, revision):
    assert find_checkpoint(ModelRequest(**fields), PRESET) == tmp_path
    [(called, options)] = hub
    assert (called, options["revision"]) == (hub_id, revision)
    from fnmatch import fnmatch

    def allowed(name):
        return any(fnmatch(name, pattern) for pattern in options["allow_patterns"])

    assert all(
        map(allowed, ["config.json", "model-00001-of-00006.safetensors", "tokenizer.json", "merges.txt"])
    )
    assert not any(
        map(allowed, ["modeling_llada.py", "pytorch_model.bin", "model.pt", "tokenizer.py", "README.md"])
    )


def test_a_folder_is_never_fetched(hub, tmp_path):
    (tmp_path / "owner" / "small").mkdir(parents=True)
    folder = tmp_path / "owner" / "small"
    assert find_checkpoint(ModelRequest(name="small", source=str(folder)), PRESET) == folder
    assert hub == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"name": "big"},
            r"model must be one of small or have a source, got 'big'; give a folder .*--model big=DIR",
        ),
        (
            {"name": "small", "source": "/no/such/folder"},
            r"source must be an existing folder or a hub id OWNER/NAME, got '/no",
        ),
        (
            {"name": "small", "source": "./owner/small"},
            r"source must be an existing folder or a hub id .*\(--model small=DIR\)",
        ),
        (
            {"name": "small", "source": "gpt"},
            "source must be an existing folder or a hub id OWNER/NAME, got 'gpt'",
        ),
        ({"name": "small", "source": __file__}, "source must be an existing folder or a hub id OWNER/NAME"),
        (
            {"name": "small", "source": str(ROOT), "revision": "v1"},
            "revision must be left out for a folder, got 'v1'",
        ),
    ],
    ids=["unknown preset", "absolute path", "relative path", "one word", "file", "folder at a revision"],
)
def test_a_request_that_names_no_checkpoint_is_refused_without_the_network(hub, fields, message):
    with pytest.raises(LoadError, match=message):
        find_checkpoint(ModelRequest(**fields), PRESET)
    assert hub == []


def test_offline_the_hub_is_not_asked_and_the_error_names_the_cache_and_the_cures(tmp_path):
    program = (
        "from decoders.models.llada import load; from decoders.protocols import ModelRequest\n"
        "from decoders.loading import LoadError\n"
        "try: load(ModelRequest(name='llada'))\n"
        "except LoadError as error: print(error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "got 'GSAI-ML/LLaDA-1.5' (revision main; " in done.stdout
    assert f"cache looked at: {tmp_path}/models--GSAI-ML--LLaDA-1.5; " in done.stdout
    assert "give a folder (--model llada=DIR), or download it on a machine with network" in done.stdout


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


def test_a_network_without_rotary_tables_fails_its_self_test(tiny_llada_dir, plan):
    model = load(request(tiny_llada_dir))
    del model.network.model.rotary_emb
    assert not next(test for test in [self_tests._rope(model, plan)]).passed


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
    monkeypatch.setattr("decoders.attention.key_mask", mask)
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
    change_weights(folder, lambda weights: weights[NORM].fill_(float("nan")))
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


MEASURE = """
import resource, sys
import torch
torch.set_num_threads(1)
import transformers.models.llama.modeling_llama, safetensors
from decoders.models.llada import load
from decoders.protocols import ModelRequest
load(ModelRequest(name="llada", source=sys.argv[1], device="cpu", dtype=sys.argv[3]))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
load(ModelRequest(name="llada", source=sys.argv[2], device="cpu", dtype=sys.argv[3]))
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="peak memory is read in the unit that Linux reports it in"
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
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


def test_presets_of_the_family_can_be_requested_by_name(hub):
    for name, preset in PRESETS.items():
        find_checkpoint(ModelRequest(name=name), PRESETS)
        assert hub[-1][0] == preset.hub_id
