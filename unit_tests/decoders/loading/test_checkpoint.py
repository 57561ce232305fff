"""From a request to a checkpoint folder, its config, dtype and device: what is found, what is refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from decoders.loading.checkpoint import (
    LoadError,
    Preset,
    choose_device,
    choose_dtype,
    find_checkpoint,
    need_packages,
    read_config,
)
from decoders.models.llada import PRESETS, load
from decoders.protocols import ModelRequest

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[3]
PRESET = {"small": Preset(hub_id="owner/small", revision="v1", dtype="bfloat16", licence="MIT")}


def request(folder, **fields):
    return ModelRequest(name="llada", source=str(folder), device="cpu", **fields)


@pytest.fixture
def folder(tiny_llada_dir, tmp_path):
    return shutil.copytree(tiny_llada_dir, tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            None,
            None,
            r"source must be an existing folder or a hub id OWNER/NAME, got .*; give the folder that",
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
            r"config\.json: architectures must be a list that starts with 'LLaDAModelLM', got .*; choose",
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
        choose_device(ModelRequest(name="m", device=device))


@pytest.mark.parametrize(
    ("cuda", "mps", "best"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
    ids=["cuda", "mps", "cpu"],
)
def test_the_best_device_present_is_chosen(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device(ModelRequest(name="m")) == torch.device(best)
    assert choose_device(ModelRequest(name="m", device="cpu")) == torch.device("cpu")


def test_missing_packages_are_named_with_the_extra_that_brings_them():
    need_packages("torch")
    message = r"packages must be installed .*, got none of no_such_package; pip install '.*\[models\]'"
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
        "from decoders.loading.checkpoint import LoadError\n"
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


def test_presets_of_the_family_can_be_requested_by_name(hub):
    for name, preset in PRESETS.items():
        find_checkpoint(ModelRequest(name=name), PRESETS)
        assert hub[-1][0] == preset.hub_id
