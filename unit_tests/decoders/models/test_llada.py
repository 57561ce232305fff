"""LLaDA checkpoints, loaded from a small one built here: logits, prompts, answers."""

import json
import logging
import shutil
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from decoders.models.llada import load
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


def test_padding_takes_no_position_of_the_model(with_tokenizer):
    """128 tokens fit, and so do they behind 22 pads; 129 do not."""
    canvas, query = ids(1, 150), torch.tensor([[0, 149]])
    attend = torch.arange(150).unsqueeze(0) >= 22
    logits = with_tokenizer(canvas, attend, query, (None,))
    alone = with_tokenizer(canvas[:, 22:], attend[:, 22:], torch.tensor([[0, 127]]), (None,))
    torch.testing.assert_close(logits, alone, atol=1e-4, rtol=0.0)
    with pytest.raises(ValueError, match="must be at most 128 tokens long, got 129"):
        with_tokenizer(canvas, torch.arange(150).unsqueeze(0) >= 21, query, (None,))


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


@pytest.mark.parametrize(("kind", "waits"), [("cpu", []), ("cuda", ["cuda"]), ("mps", ["mps"])])
def test_sync_waits_for_the_device_of_the_model(model, monkeypatch, kind, waits):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(device.type))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    replace(model, device=torch.device(kind)).sync()
    assert waited == waits


def test_closing_gives_the_memory_of_the_device_back(model, monkeypatch):
    freed = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(True))
    replace(model, device=torch.device("cuda")).close()
    assert freed == [True]


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
