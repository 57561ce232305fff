"""LLaDA checkpoints, loaded from a small one built here: logits, prompts, answers, what the mapping refuses."""

import json
import logging
import shutil
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from decoders.loading import LoadError
from decoders.models.llada import FAMILY, PRESETS, load, native_key
from decoders.protocols import ModelRequest

torch.set_num_threads(1)

USER = ({"role": "user", "content": " Copy: a b "},)
LACKING = {*range(256, 297), *range(303, 310), *range(311, 320)}


def request(folder, **fields):
    return ModelRequest(name="llada", source=str(folder), device="cpu", **fields)


@pytest.fixture(scope="module")
def model(tiny_llada_dir):
    return load(request(tiny_llada_dir))


@pytest.fixture(scope="module")
def raw(model):
    return replace(model, suppressed_ids=())


@pytest.fixture
def folder(tiny_llada_dir, tmp_path):
    return shutil.copytree(tiny_llada_dir, tmp_path / "checkpoint")


@pytest.fixture(scope="module")
def with_tokenizer(tiny_llada_dir, llada_tokenizer_text, tmp_path_factory):
    folder = shutil.copytree(tiny_llada_dir, tmp_path_factory.mktemp("with_tokenizer") / "checkpoint")
    (folder / "tokenizer.json").write_text(llada_tokenizer_text, encoding="utf-8")
    return load(request(folder))


def rewrite(folder, **fields):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(
        json.dumps({key: value for key, value in config.items() if value != "absent"}), encoding="utf-8"
    )


def everywhere(canvas):
    return torch.ones_like(canvas, dtype=torch.bool).nonzero()


def whole(model, canvas):
    """Return logits [B, L, V] of an unpadded canvas."""
    query = everywhere(canvas)
    return model(canvas, torch.ones_like(canvas, dtype=torch.bool), query, [None] * len(canvas)).unflatten(
        0, canvas.shape
    )


def ids(*shape, seed=0):
    return torch.randint(0, 320, shape, generator=torch.Generator().manual_seed(seed))


def test_logits_are_those_of_the_network_under_published_names_without_a_causal_mask(raw, tiny_llada_network):
    canvas = ids(3, 11)
    see_all = torch.ones(3, 1, 11, 11, dtype=torch.bool)
    with torch.inference_mode():
        expected = tiny_llada_network(canvas, attention_mask=see_all, use_cache=False).logits
        causal = tiny_llada_network(canvas, use_cache=False).logits
    torch.testing.assert_close(whole(raw, canvas), expected, atol=1e-5, rtol=0.0)
    assert (expected - causal).abs().max() > 1.0


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 14), min_size=1, max_size=4), seed=st.integers(0, 2**20))
def test_a_row_in_a_padded_batch_gets_the_logits_it_gets_alone(raw, lengths, seed):
    width = max(lengths)
    rows = [ids(length, seed=seed + place) for place, length in enumerate(lengths)]
    canvas = torch.stack([torch.cat([torch.full((width - len(row),), raw.pad_id), row]) for row in rows])
    attend = torch.arange(width) >= torch.tensor([width - length for length in lengths]).unsqueeze(1)
    batch = raw(canvas, attend, attend.nonzero(), [None] * len(rows))
    alone = torch.cat([whole(raw, row.unsqueeze(0))[0] for row in rows])
    torch.testing.assert_close(batch, alone, atol=1e-4, rtol=0.0)


@given(wanted=st.sets(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_queried_positions_reach_the_output_head_and_they_come_in_order(raw, wanted):
    canvas, query = ids(2, 7), torch.tensor(sorted(wanted))
    seen = []
    hook = raw.network.lm_head.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0].shape)
    )
    try:
        logits = raw(canvas, torch.ones_like(canvas, dtype=torch.bool), query, [None, None])
    finally:
        hook.remove()
    assert seen == [(len(wanted), 64)]
    torch.testing.assert_close(logits, whole(raw, canvas)[query[:, 0], query[:, 1]], atol=1e-5, rtol=0.0)


def test_logits_are_float32_without_gradient_and_no_input_is_changed(model):
    canvas = ids(2, 5)
    attend, query = torch.ones_like(canvas, dtype=torch.bool), torch.tensor([[0, 1], [1, 4]])
    before = (canvas.clone(), attend.clone(), query.clone())
    logits = model(canvas, attend, query, [None, None])
    assert (logits.dtype, logits.shape, logits.is_inference()) == (torch.float32, (2, 320), True)
    assert all(torch.equal(now, then) for now, then in zip((canvas, attend, query), before, strict=True))


def test_without_a_tokenizer_only_the_mask_is_suppressed(model, raw):
    logits, free = whole(model, ids(1, 6)), whole(raw, ids(1, 6))
    assert model.suppressed_ids == (310,)
    assert (logits[..., 310] == float("-inf")).all()
    others = [token for token in range(320) if token != 310]
    assert torch.equal(logits[..., others], free[..., others])
    assert torch.isfinite(free).all()


def test_with_a_tokenizer_the_mask_and_every_row_without_a_token_are_suppressed(with_tokenizer):
    logits = whole(with_tokenizer, ids(1, 6))
    suppressed = {token for token in range(320) if (logits[0, :, token] == float("-inf")).all()}
    assert suppressed == LACKING | {310} == set(with_tokenizer.suppressed_ids)
    assert torch.isfinite(logits[..., sorted(set(range(320)) - suppressed)]).all()


def test_ids_come_from_the_config_and_the_tokenizer(model, with_tokenizer):
    assert (model.mask_id, model.pad_id, model.vocab_size, model.max_length) == (310, 301, 320, 128)
    assert model.eos_ids == {300}
    assert model.tokenizer.is_fallback
    assert with_tokenizer.eos_ids == {300, 302}
    assert (with_tokenizer.tokenizer.name, with_tokenizer.tokenizer.is_fallback) == ("llada", False)


def test_several_ends_in_the_config_all_end_an_answer(folder):
    rewrite(folder, eos_token_id=[300, 7])
    assert load(request(folder)).eos_ids == {300, 7}


def test_an_answer_is_what_comes_before_the_first_end(with_tokenizer):
    assert with_tokenizer.answer_ids([1, 2, 302, 3, 300]) == (1, 2)
    assert with_tokenizer.answer_ids([1, 300, 302]) == (1,)


def test_a_prompt_without_a_tokenizer_is_the_text_as_bytes(model):
    assert model.encode_prompt(USER) == list(b"Copy: a b\n\n")


def test_a_prompt_with_a_tokenizer_is_the_chat_in_special_tokens(with_tokenizer):
    encode = with_tokenizer.tokenizer.encode
    assert with_tokenizer.encode_prompt(USER) == [
        297,
        298,
        *encode("user"),
        299,
        *encode("\n\nCopy: a b"),
        302,
        298,
        *encode("assistant"),
        299,
        *encode("\n\n"),
    ]


def test_a_tokenizer_without_the_chat_markers_is_refused_at_the_first_prompt(folder, llada_tokenizer_text):
    text = llada_tokenizer_text.replace("<|eot_id|>", "<|stop|>")
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    model = load(request(folder))
    assert model.eos_ids == {300}
    with pytest.raises(
        ValueError, match=r"tokenizer 'llada' must hold the chat markers of 'llada', got none of <\|eot_id\|>"
    ):
        model.encode_prompt(USER)


def test_a_canvas_longer_than_the_model_is_refused(with_tokenizer):
    whole(with_tokenizer, ids(1, 128))
    message = "canvas of 'llada' must be at most 128 tokens long, got 129; use shorter prompts"
    with pytest.raises(ValueError, match=message):
        whole(with_tokenizer, ids(1, 129))


def test_a_canvas_longer_than_a_model_without_tokenizer_is_only_logged_and_once(
    model, tiny_llada_network, caplog
):
    model, canvas = replace(model, suppressed_ids=()), ids(1, 150)
    with caplog.at_level(logging.WARNING):
        first, second = whole(model, canvas), whole(model, canvas)
    assert [record.getMessage()[:70] for record in caplog.records] == [
        "canvas of 'llada' must be at most 128 tokens long, got 150; use shorte"
    ]
    with torch.inference_mode():
        expected = tiny_llada_network(
            canvas, attention_mask=torch.ones(1, 1, 150, 150, dtype=torch.bool)
        ).logits
    torch.testing.assert_close(first, expected, atol=1e-4, rtol=0.0)
    assert torch.equal(first, second)


def test_a_closed_model_says_so_and_holds_no_network(tiny_llada_dir):
    model = load(request(tiny_llada_dir))
    model.sync()
    model.close()
    assert model.network is None
    with pytest.raises(
        RuntimeError, match="model 'llada' must be open to be called, got a closed one; load it again"
    ):
        whole(model, ids(1, 3))


def in_float32(q, k, cos, sin, unsqueeze_dim=1):
    """Rotate as the published code does: in float32, then rounded once."""

    def rotate(x):
        x1, x2 = x.float().chunk(2, dim=-1)
        return torch.cat((-x2, x1), dim=-1)

    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return (
        (q.float() * cos + rotate(q) * sin).to(q.dtype),
        (k.float() * cos + rotate(k) * sin).to(k.dtype),
    )


def test_in_bfloat16_queries_and_keys_are_rotated_in_float32(folder, tiny_llada_network, monkeypatch):
    import copy

    from transformers.models.llama import modeling_llama

    canvas, see_all = ids(2, 40), torch.ones(2, 1, 40, 40, dtype=torch.bool)
    full = load(request(folder, dtype="bfloat16"))
    rewrite(folder, rope_full_precision=False)
    rounded = load(request(folder, dtype="bfloat16"))
    reference = copy.deepcopy(tiny_llada_network).bfloat16()
    frequencies = tiny_llada_network.model.rotary_emb.inv_freq

    def tables(hidden, position_ids):
        angles = (position_ids[..., None].float() * frequencies).repeat(1, 1, 2)
        return angles.cos(), angles.sin()

    with torch.inference_mode():
        monkeypatch.setattr(reference.model.rotary_emb, "forward", tables)
        monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", in_float32)
        expected = reference(canvas, attention_mask=see_all, use_cache=False).logits.float()
        monkeypatch.undo()
    assert torch.equal(whole(replace(full, suppressed_ids=()), canvas), expected)
    assert not torch.equal(whole(replace(rounded, suppressed_ids=()), canvas), expected)


def test_in_float32_the_precision_of_rope_makes_no_difference(folder, raw):
    rewrite(folder, rope_full_precision=False)
    assert torch.equal(
        whole(replace(load(request(folder)), suppressed_ids=()), ids(2, 9)), whole(raw, ids(2, 9))
    )


def test_a_tied_head_is_the_embedding(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.transformer.ff_out.weight"]
    save_file(weights, folder / "model.safetensors")
    rewrite(folder, weight_tying=True)
    tied = replace(load(request(folder)), suppressed_ids=())
    assert tied.network.lm_head.weight.data_ptr() == tied.network.model.embed_tokens.weight.data_ptr()
    save_file(
        weights | {"model.transformer.ff_out.weight": weights["model.transformer.wte.weight"].clone()},
        folder / "model.safetensors",
    )
    rewrite(folder, weight_tying=False)
    untied = replace(load(request(folder)), suppressed_ids=())
    assert torch.equal(whole(tied, ids(1, 9)), whole(untied, ids(1, 9)))


def test_optional_sizes_follow_the_published_class(folder, model):
    rewrite(folder, mlp_hidden_size=None, mlp_ratio=4, n_kv_heads=None, embedding_size=None, vocab_size=384)
    config = FAMILY.plan(read(folder)).native
    assert (config.intermediate_size, config.num_key_value_heads, config.vocab_size) == (256, 4, 384)
    rewrite(folder, embedding_size=512)
    assert FAMILY.plan(read(folder)).rows == 512


def read(folder):
    from decoders.loading import read_config

    return read_config(folder, "LLaDAModelLM")


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        (
            "alibi",
            True,
            "False or None, got True; this variant of the architecture has no native counterpart here",
        ),
        ("rope", False, "True, got False; this variant"),
        ("rope", 1, "True, got 1; this variant"),
        ("rope", "absent", "True, got None; this variant"),
        ("include_bias", True, "False, got True; this variant"),
        ("include_bias", "absent", "False, got None; this variant"),
        ("include_qkv_bias", True, "False or None, got True; this variant"),
        ("bias_for_layer_norm", True, "False or None, got True; this variant"),
        ("layer_norm_type", "low_precision", "'rms', got 'low_precision'; this variant"),
        ("block_type", "sequential", "'llama', got 'sequential'; this variant"),
        ("activation_type", "swiglu", "'silu', got 'swiglu'; this variant"),
        ("attention_layer_norm", True, "False or None, got True; this variant"),
        ("input_emb_norm", True, "False or None, got True; this variant"),
        ("scale_logits", True, "False or None, got True; this variant"),
        ("multi_query_attention", True, "False or None, got True; this variant"),
        ("layer_norm_with_affine", False, "True or None, got False; this variant"),
        ("clip_qkv", 3.0, "None, got 3.0; this variant"),
        ("block_group_size", 2, "1 or None, got 2; this variant"),
        ("weight_tying", "absent", "True or False, got None; this variant"),
        ("d_model", 0, "a whole number from 1 on, got 0; use the checkpoint's own config.json"),
        ("d_model", True, "a whole number from 1 on, got True"),
        ("n_layers", "2", "a whole number from 1 on, got '2'"),
        ("n_heads", 7, r"a divisor of d_model=64 into heads of even width, got 7"),
        ("n_heads", 64, r"a divisor of d_model=64 into heads of even width, got 64"),
        ("n_kv_heads", 3, "a divisor of n_heads=4, got 3"),
        ("max_sequence_length", "absent", "a whole number from 1 on, got None"),
        ("mask_token_id", "absent", "a whole number from 0 on and below 320, got None"),
        ("mask_token_id", 320, "a whole number from 0 on and below 320, got 320"),
        ("pad_token_id", -1, "a whole number from 0 on and below 320, got -1"),
        ("eos_token_id", None, "token ids below 320, got None"),
        ("eos_token_id", [], r"token ids below 320, got \[\]"),
        ("eos_token_id", [2, 320], r"token ids below 320, got \[2, 320\]"),
        ("rope_theta", "absent", "a number above 0, got None"),
        ("rms_norm_eps", 0, "a number above 0, got 0"),
        ("rms_norm_eps", float("inf"), "a number above 0, got inf"),
    ],
)
def test_a_config_that_llama_cannot_express_is_refused_with_file_and_key(folder, key, value, rule):
    rewrite(folder, **{key: value})
    with pytest.raises(LoadError, match=rf"config\.json: {key} must be {rule}"):
        load(request(folder))


@pytest.mark.parametrize(
    ("published", "native"),
    [
        ("model.transformer.ff_out.weight", "lm_head.weight"),
        ("model.transformer.blocks.31.ff_out.weight", "model.layers.31.mlp.down_proj.weight"),
        ("model.transformer.blocks.0.ff_proj.weight", "model.layers.0.mlp.gate_proj.weight"),
        ("model.transformer.blocks.0.q_proj.bias", "model.transformer.blocks.0.q_proj.bias"),
        ("model.transformer.blocks.0.extra.weight", "model.transformer.blocks.0.extra.weight"),
    ],
)
def test_a_published_weight_has_one_native_name_and_others_keep_theirs(published, native):
    assert native_key(published) == native


def test_presets_name_published_checkpoints_with_their_licence():
    assert {name: (preset.hub_id, preset.licence) for name, preset in PRESETS.items()} == {
        "llada": ("GSAI-ML/LLaDA-1.5", "MIT"),
        "llada-8b": ("GSAI-ML/LLaDA-8B-Instruct", "MIT"),
    }
    assert {preset.dtype for preset in PRESETS.values()} == {"bfloat16"}
