"""Every family that our loop drives: logits, alignment, masks and padding, on small checkpoints."""

import json
import shutil
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from decoders.budget import Budget
from decoders.loading.checkpoint import LoadError, read_config
from decoders.loop.batching import sweep
from decoders.network import self_tests
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row, Setting
from decoders.testing import check_denoiser
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence

torch.set_num_threads(1)

FAMILIES = ("dream", "sdar", "sdar_moe", "llada_moe", "llada2", "fast_dllm_v2", "stable_diffcoder")
BLOCKS = {"sdar": 4, "sdar_moe": 4, "llada2": 32, "fast_dllm_v2": 4, "stable_diffcoder": 4}


def module(family):
    return import_module(f"decoders.models.{family}")


def load(family, folder, **fields):
    request = ModelRequest(name=family.replace("_", "-"), source=str(folder), **{"device": "cpu", **fields})
    return module(family).load(request)


@pytest.fixture(scope="module")
def models(tiny):
    """Return our model of each family; LLaDA2 with a block of 4, as nothing shorter than 64 shows its 32."""
    loaded = {family: load(family, tiny[family].folder) for family in FAMILIES}
    assert {family: model.block_length for family, model in loaded.items() if model.block_length} == BLOCKS
    loaded["llada2"].block_length = 4
    return loaded


@pytest.fixture
def folder(tiny, tmp_path, request):
    return shutil.copytree(tiny[request.param].folder, tmp_path / "checkpoint")


def ids(*shape, seed=0):
    return torch.randint(0, 300, shape, generator=torch.Generator().manual_seed(seed))


def whole(model, canvas):
    """Return logits [B, L, V] of an unpadded canvas, nothing suppressed."""
    attend = torch.ones_like(canvas, dtype=torch.bool)
    free = replace(model, suppressed_ids=())
    return free(canvas, attend, attend.nonzero(), [None] * len(canvas)).unflatten(0, canvas.shape)


def sees(family, length):
    """Return what may attend to what, written down position by position."""
    block = 4 if family in BLOCKS else length
    return torch.tensor(
        [[key // block <= query // block for key in range(length)] for query in range(length)]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_network_under_the_familys_mask_and_alignment(models, tiny, family):
    canvas = ids(2, 11)
    with torch.inference_mode():
        network = tiny[family].network
        rows = network(canvas, attention_mask=sees(family, 11)[None, None].expand(2, 1, 11, 11)).logits
        causal = network(canvas, use_cache=False).logits
    expected = torch.cat([rows[:, :1], rows[:, :-1]], dim=1) if models[family].shift else rows
    torch.testing.assert_close(whole(models[family], canvas), expected, atol=1e-4, rtol=0.0)
    assert (rows - causal).abs().max() > 1.0


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 13), min_size=1, max_size=4), seed=st.integers(0, 2**20))
def test_a_row_in_a_padded_batch_gets_the_logits_it_gets_alone(models, family, lengths, seed):
    model, width = replace(models[family], suppressed_ids=()), max(lengths)
    rows = [ids(length, seed=seed + place) for place, length in enumerate(lengths)]
    canvas = torch.stack([torch.cat([torch.full((width - len(row),), model.pad_id), row]) for row in rows])
    attend = torch.arange(width) >= torch.tensor([width - length for length in lengths]).unsqueeze(1)
    batch = model(canvas, attend, attend.nonzero(), [None] * len(rows))
    alone = torch.cat([whole(model, row.unsqueeze(0))[0] for row in rows])
    torch.testing.assert_close(batch, alone, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_conformance_kit_finds_nothing(models, family):
    check_denoiser(models[family], tolerance=2e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", [confidence(), Threshold(gamma=0.4)], ids=["k=2", "threshold"])
def test_rows_with_prompts_of_different_lengths_decode_in_a_batch_as_alone(models, family, method):
    rows = [
        Row(
            key=length,
            prompt_ids=tuple(ids(length, seed=length).tolist()),
            gen_length=12,
            setting=Setting(method=method, k=2 if method.takes_k else None, block_length=4),
            sample_id=str(length),
        )
        for length in (1, 3, 6, 9)
    ]
    together = {outcome.key: outcome for outcome in sweep(models[family], rows)}
    alone = {outcome.key: outcome for outcome in sweep(models[family], rows, budget=Budget(tokens=1))}
    assert all(isinstance(outcome, Decoded) for outcome in together.values())
    assert together == alone


@pytest.mark.parametrize("family", ["sdar", "llada2"])
def test_a_later_block_changes_nothing_and_the_same_block_does(models, family):
    canvas = ids(1, 14)
    other = canvas.clone()
    other[0, 9] = (other[0, 9] + 1) % 300
    change = (whole(models[family], canvas) - whole(models[family], other)).abs().amax(dim=2)[0]
    assert change[:8].max() < 1e-4
    assert change[[8, 10, 11, 12, 13]].min() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_two_loads_give_identical_logits(tiny, family):
    first, second = (load(family, tiny[family].folder) for _ in range(2))
    assert torch.equal(whole(first, ids(1, 9)), whole(second, ids(1, 9)))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_self_test_is_reported(models, family):
    attention = "block_causal" if family in BLOCKS else "both_directions"
    assert [(test.name, test.passed) for test in models[family].self_tests] == [
        (name, True)
        for name in ("keys", "inv_freq", "padding", attention, "aligned", "suppression", "mask_token")
    ]


def failing(model, family):
    plan = module(family).FAMILY.plan(read_config(model.directory))
    return [test.name for test in self_tests.run(model, plan) if not test.passed]


@pytest.mark.parametrize("family", ["sdar", "llada2"])
@pytest.mark.parametrize("wrong", ["full", "causal"])
def test_attention_that_is_not_block_causal_fails_its_self_test(models, family, wrong, monkeypatch):
    def mask(attend, block_length):
        length = attend.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool)
        return attend[:, None, None, :] & (seen if wrong == "full" else seen.tril())

    assert failing(models[family], family) == []
    monkeypatch.setattr("decoders.network.attention.block_mask", mask)
    assert "block_causal" in failing(models[family], family)


def test_a_grid_that_does_not_start_at_the_first_token_fails_the_padding_self_test(models, monkeypatch):
    def mask(attend, block_length):
        block = torch.arange(attend.shape[1]) // block_length
        return attend[:, None, None, :] & (block[None, :] <= block[:, None])

    monkeypatch.setattr("decoders.network.attention.block_mask", mask)
    assert failing(models["sdar"], "sdar") == ["padding"]


def test_a_wrong_shift_fails_its_self_test(models, monkeypatch):
    from decoders.network.denoiser import NativeDenoiser

    assert failing(models["dream"], "dream") == []
    monkeypatch.setattr(NativeDenoiser, "_network_rows", lambda self, attend, query: query)
    assert failing(models["dream"], "dream") == ["aligned"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_garbage_rotary_table_fails_its_self_test(tiny, family):
    model = load(family, tiny[family].folder)
    for name, table in model.network.named_buffers():
        if name.endswith("inv_freq"):
            table[1] = 0.7
    assert failing(model, family) == ["inv_freq"]


def test_a_router_bias_keeps_its_precision_under_bfloat16(tiny):
    network = load("llada2", tiny["llada2"].folder, dtype="bfloat16").network
    bias = network.model.layers[1].mlp.gate.e_score_correction_bias
    assert bias.dtype == torch.float32
    assert torch.equal(bias, tiny["llada2"].network.model.layers[1].mlp.gate.e_score_correction_bias)
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16}


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("folder", "key", "native"),
    [
        ("dream", "model.layers.1.self_attn.q_proj.bias", "model.layers.1.self_attn.q_proj.bias"),
        ("sdar", "model.layers.0.self_attn.q_norm.weight", "model.layers.0.self_attn.q_norm.weight"),
        (
            "llada_moe",
            "model.layers.0.mlp.experts.3.up_proj.weight",
            "model.layers.0.mlp.experts.gate_up_proj",
        ),
        ("llada2", "model.layers.1.mlp.experts.0.down_proj.weight", "model.layers.1.mlp.experts.down_proj"),
        (
            "llada2",
            "model.layers.0.attention.query_key_value.weight",
            "model.layers.0.self_attn.q_proj.weight, model.layers.0.self_attn.k_proj.weight",
        ),
    ],
    indirect=["folder"],
)
def test_a_missing_key_is_refused_by_its_native_name(folder, key, native, request):
    family = request.node.callspec.params["folder"]
    change_weights(folder, lambda weights: weights.pop(key))
    with pytest.raises(LoadError, match=rf"got \d missing keys \(native names\): {native}"):
        load(family, folder)


@pytest.mark.parametrize(
    ("folder", "key"),
    [
        ("dream", "model.layers.0.self_attn.o_proj.bias"),
        ("sdar", "model.layers.0.self_attn.q_proj.bias"),
        ("llada_moe", "model.layers.0.mlp.experts.4.up_proj.weight"),
        ("llada_moe", "model.layers.0.shared_expert.up_proj.weight"),
        ("llada2", "model.layers.2.attention.query_key_value.weight"),
    ],
    indirect=["folder"],
)
def test_an_unexpected_key_is_refused(folder, key, request):
    family = request.node.callspec.params["folder"]
    change_weights(folder, lambda weights: weights.update({key: torch.zeros(32, 64)}))
    with pytest.raises(LoadError, match=f"unexpected keys: {key}; check that config"):
        load(family, folder)


@pytest.mark.parametrize("folder", ["llada2"], indirect=True)
def test_fused_rows_of_another_shape_are_refused(folder):
    key = "model.layers.0.attention.query_key_value.weight"
    change_weights(folder, lambda weights: weights.update({key: torch.zeros(96, 64)}))
    with pytest.raises(LoadError, match=rf"got 1 shapes: {key} \[96, 64\] \(wanted \[128, 64\]\)"):
        load("llada2", folder)


@pytest.mark.parametrize("folder", FAMILIES, indirect=True)
def test_a_tied_head_is_the_embedding(folder, request):
    family = request.node.callspec.params["folder"]
    change_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"tie_word_embeddings": True}
    path.write_text(json.dumps(config), encoding="utf-8")
    network = load(family, folder).network
    assert network.lm_head.weight.data_ptr() == network.model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fingerprint_is_the_hash_of_the_files(tiny, family):
    from decoders.fingerprint import checkpoint_hash

    request = ModelRequest(name=family.replace("_", "-"), source=str(tiny[family].folder))
    assert module(family).fingerprint(request) == checkpoint_hash(tiny[family].folder)
