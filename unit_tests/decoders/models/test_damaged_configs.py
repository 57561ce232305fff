"""A damaged config.json, weight index or header of weights is read or refused in one message."""

import json
import random
import time
from importlib import import_module

import pytest

from decoders.loading.checkpoint import LoadError
from decoders.protocols import ModelRequest
from unit_tests.json_mutations import damaged

FAMILIES = (
    "dream",
    "sdar",
    "llada_moe",
    "llada2",
    "fast_dllm_v2",
    "stable_diffcoder",
    "llada",
    "autoregressive",
)

SLOWEST = 10.0


def copied(folder, target):
    target.mkdir(exist_ok=True)
    for path in folder.iterdir():
        (target / path.name).symlink_to(path.resolve())
    (target / "config.json").unlink()
    return target


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def source(family, tiny, tiny_llada_dir):
    if family == "llada":
        return tiny_llada_dir
    return tiny["dream" if family == "autoregressive" else family].folder


def check(said, part):
    """Assert that an error is one short line with *part* and a cure."""
    assert part in said
    assert "; " in said
    assert "\n" not in said
    assert len(said) < 1200


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_a_damaged_config_is_read_or_refused_with_file_and_cure(family, source, tmp_path, count):
    folder = copied(source, tmp_path / "checkpoint")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if family == "autoregressive":
        config["architectures"] = ["Qwen2ForCausalLM"]
    load = import_module(f"decoders.models.{family}").load
    refused = 0
    for seed in range(count):
        (folder / "config.json").write_text(damaged(json.dumps(config), seed), encoding="utf-8")
        start = time.process_time()
        try:
            load(ModelRequest(name=family, source=str(folder), device="cpu"))
        except LoadError as error:
            check(str(error), "; ")
            refused += 1
        assert time.process_time() - start < SLOWEST, seed
    assert count // 3 < refused


@pytest.mark.parametrize("count", [40, pytest.param(150, marks=pytest.mark.slow)])
def test_a_damaged_weight_index_is_read_or_refused(tiny_llada_dir, tmp_path, count):
    from decoders.models.llada import load

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").symlink_to(tiny_llada_dir / "config.json")
    (folder / "part.safetensors").symlink_to(tiny_llada_dir / "model.safetensors")
    index = json.dumps(
        {"metadata": {"total_size": 3}, "weight_map": {"a": "part.safetensors", "b": "part.safetensors"}}
    )
    for seed in range(count):
        (folder / "model.safetensors.index.json").write_text(damaged(index, seed), encoding="utf-8")
        try:
            load(ModelRequest(name="llada", source=str(folder), device="cpu"))
        except LoadError as error:
            check(str(error), "index.json")


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_a_damaged_header_of_weights_is_read_or_refused(tiny_llada_dir, tmp_path, count):
    """The header is JSON behind its length in eight bytes; here JSON, its length or both are wrong."""
    from decoders.models.llada import load

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").symlink_to(tiny_llada_dir / "config.json")
    whole = (tiny_llada_dir / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    refused = 0
    for seed in range(count):
        header = damaged(whole[8:end].decode(), seed).encode()
        draw = random.Random(seed)
        wrong = draw.choice((0, 1, len(header) - 1, len(header) + 1, 2**31, 2**63, 2**64 - 1))
        length = wrong if draw.random() < 0.2 else len(header)
        written = length.to_bytes(8, "little") + header + whole[end:]
        (folder / "model.safetensors").write_bytes(written)
        start = time.process_time()
        try:
            load(ModelRequest(name="llada", source=str(folder), device="cpu"))
        except LoadError as error:
            check(str(error), "; ")
            refused += 1
        assert time.process_time() - start < SLOWEST, seed
    assert refused > count // 2
