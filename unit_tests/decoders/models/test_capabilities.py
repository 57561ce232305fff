"""Attention maps, shadow columns and caches of every family, against the same network called by hand."""

import copy
from importlib import import_module

import pytest
import torch

from decoders.loop.batching import sweep
from decoders.loop.needs import check_offered
from decoders.models.llada import load as load_llada
from decoders.network import attention, transformers_interior
from decoders.network.attention_maps import AttentionMaps, with_twins
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, NotSupported, Row, Setting
from decoders.testing import check_denoiser
from decoders.unmasking.dapd import DAPD
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence, left_to_right
from decoders.unmasking.wino import WINO

torch.set_num_threads(1)

FAMILIES = ("llada", "dream", "sdar", "llada_moe", "llada2", "fast_dllm_v2", "stable_diffcoder")
SHIFTED = ("dream", "fast_dllm_v2")
PADS = (0, 3, 1)
LENGTH, FIRST = 14, 6


@pytest.fixture(scope="module")
def models(tiny, tiny_llada_dir):
    request = ModelRequest(name="llada", source=str(tiny_llada_dir), device="cpu")
    loaded = {"llada": load_llada(request)}
    for family in FAMILIES[1:]:
        source = str(tiny[family].folder)
        request = ModelRequest(name=family.replace("_", "-"), source=source, device="cpu")
        loaded[family] = import_module(f"decoders.models.{family}").load(request)
    loaded["llada2"].block_length = 4
    return loaded


@pytest.fixture
def batch():
    """Three rows of different padding; half of the generated region is masked."""
    canvas = torch.randint(0, 300, (3, LENGTH), generator=torch.Generator().manual_seed(1))
    attend = torch.arange(LENGTH) >= torch.tensor(PADS).unsqueeze(1)
    return canvas, attend


def masked(model, canvas):
    canvas = canvas.clone()
    canvas[:, FIRST + 1 :: 2] = model.mask_id
    return canvas, (canvas[:, FIRST:] == model.mask_id).nonzero() + torch.tensor([0, FIRST])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_obeys_the_rules_of_what_it_offers(models, family):
    check_denoiser(models[family])


def eager_attention(model, canvas, attend):
    """Return the weights of every layer [layers, B, L, L], mean over heads, from transformers itself."""
    network = copy.deepcopy(model.network)
    network.set_attn_implementation("eager")
    mask = model._mask(attend)
    floats = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
    with torch.inference_mode():
        found = network.model(
            input_ids=canvas,
            attention_mask=floats,
            position_ids=attention.position_ids(attend),
            use_cache=False,
            output_attentions=True,
        ).attentions
    return torch.stack(found).mean(dim=2)


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_is_what_transformers_computes_in_the_last_layers(models, batch, family):
    """Of two layers the last one counts: 2 - int(1.4)."""
    model, (canvas, attend) = models[family], batch
    canvas, query = masked(model, canvas)
    logits, found = model.with_attention(canvas, attend, query, FIRST, [None] * 3)
    torch.testing.assert_close(logits, model(canvas, attend, query, [None] * 3), atol=1e-4, rtol=0.0)
    expected = eager_attention(model, canvas, attend)[1:, :, FIRST:, FIRST:].mean(dim=0)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("layers", "counted"), [(1, 1), (2, 2), (4, 2)])
def test_attention_of_a_whole_row_over_as_many_layers_as_asked_for(models, batch, family, layers, counted):
    model, (canvas, attend) = models[family], batch
    canvas, query = masked(model, canvas)
    _, found = model.with_attention(canvas, attend, query, 0, [None] * 3, layers=layers)
    expected = eager_attention(model, canvas, attend)[2 - counted :].mean(dim=0)
    torch.testing.assert_close(found[attend], expected[attend], atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(("layers", "counted"), [(1, 1), (2, 1), (4, 2), (28, 9), (32, 10), (36, 11)])
def test_the_last_30_percent_of_the_layers_count(layers, counted):
    """LLaDA has 32 layers, of which 22 to 31 count; Dream 28, of which 19 to 27 do."""
    maps = AttentionMaps(first=1, n_layers=layers)
    assert maps.n_layers == counted
    one = torch.ones(1, 1, 3, 2)
    for layer in range(layers):
        counts = torch.full((1, 1, 3, 3), True)
        counts[..., 2] = layer % 2 == 0
        maps.add(layer, one, one, counts, 1.0)
    even = sum(layer % 2 == 0 for layer in range(layers - counted, layers))
    weights = maps.mean()[0]
    assert weights.shape == (2, 2)
    assert weights[0, 1].item() == pytest.approx(even / counted / 3)
    assert weights[0, 0].item() == pytest.approx((even / 3 + (counted - even) / 2) / counted)


def test_maps_of_a_network_with_another_attention_are_refused():
    with pytest.raises(
        RuntimeError, match=r"attention maps must come from 2 layers, got 0; the network must"
    ):
        AttentionMaps(first=0, n_layers=4).mean()


def twins_by_hand(model, canvas, attend, blocks, judged):
    """Return the twins' logits from a mask written entry by entry, one row at a time."""
    found = []
    for row, position in judged.tolist():
        start, end = blocks[row]
        plain = model._mask(attend)[row, 0]
        columns = [*range(LENGTH), *range(start, end)]
        mask = torch.zeros(1, 1, len(columns), len(columns), dtype=torch.bool)
        for i, own in enumerate(columns):
            for j, seen in enumerate(columns):
                to_canvas = j < LENGTH
                if i < LENGTH:
                    mask[0, 0, i, j] = to_canvas and plain[own, seen]
                else:
                    mask[0, 0, i, j] = plain[own, seen] and (not to_canvas or own != seen)
        ids = torch.cat([canvas[row], torch.full((end - start,), model.mask_id)]).unsqueeze(0)
        positions = attention.position_ids(attend)[row][columns].unsqueeze(0)
        with torch.inference_mode():
            hidden = model.network.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
            ).last_hidden_state
            found.append(model.network.lm_head(hidden[0, LENGTH + position - start]))
    return torch.stack(found)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in SHIFTED])
@pytest.mark.parametrize("blocks", [[(6, 14)] * 3, [(6, 10), (6, 14), (10, 14)]], ids=["equal", "mixed"])
def test_a_twin_sees_the_canvas_but_its_original_and_the_other_twins(models, batch, family, blocks):
    model, (canvas, attend) = models[family], batch
    canvas, query = masked(model, canvas)
    judged = torch.tensor([[row, p] for row, (start, end) in enumerate(blocks) for p in range(start, end, 2)])
    logits, found = model.with_shadows(canvas, attend, query, blocks, judged, [None] * 3)
    torch.testing.assert_close(logits, model(canvas, attend, query, [None] * 3), atol=1e-4, rtol=0.0)
    expected = twins_by_hand(model, canvas, attend, blocks, judged)
    expected[:, list(model.suppressed_ids)] = float("-inf")
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0.0)
    assert found.argmax(dim=1).unique().numel() > 1


def test_columns_that_fill_up_a_shorter_block_are_seen_by_nobody():
    attend = torch.ones(2, 5, dtype=torch.bool)
    mask, positions = with_twins(attention.key_mask(attend), attention.position_ids(attend), [(1, 5), (3, 5)])
    assert mask.shape == (2, 1, 9, 9)
    assert not mask[1, 0, :7, 7:].any()
    assert mask[0, 0, 5:, 5:].all()
    assert not mask[:, 0, :5, 5:].any()
    assert positions.tolist() == [[0, 1, 2, 3, 4, 1, 2, 3, 4], [0, 1, 2, 3, 4, 3, 4, 4, 4]]
    assert mask[0, 0, 5:, :5].logical_not().nonzero().tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_a_shifted_model_has_no_shadows(models):
    with pytest.raises(NotSupported, match="model must offer shadow for method wino, got 'dream' without it"):
        check_offered(models["dream"], Setting(method=WINO()))
    for family in FAMILIES:
        check_offered(models[family], Setting(method=DAPD()))
        check_offered(models[family], Setting(method=confidence(), k=1, cache="dual"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("window", [(6, 14), (7, 10)], ids=["suffix", "block"])
def test_a_window_sees_new_tokens_inside_and_stored_ones_outside(models, batch, family, window):
    model, (canvas, attend) = models[family], batch
    canvas, _ = masked(model, canvas)
    start, end = window
    fed = (start - model.window_margin, end)
    rows, contexts = torch.tensor([2, 0, 1]), [None] * 3
    query = torch.cartesian_prod(torch.arange(3), torch.arange(start, end))

    def ask(tokens, bounds):
        return model.with_cache(tokens, attend, query, contexts, cache, rows, bounds)

    cache = model.new_cache(3, LENGTH)
    before = ask(canvas, None)
    inside, outside = canvas.clone(), canvas.clone()
    inside[:, end - 1] = 7
    outside[:, 4] = 8
    assert torch.equal(ask(outside, [fed] * 3), ask(canvas, [fed] * 3)), "an old column is not looked at"
    torch.testing.assert_close(ask(canvas, [fed] * 3), before, atol=1e-4, rtol=0.0)
    assert (ask(inside, [fed] * 3) - before).nan_to_num().abs().max() > 0.01
    both = inside.clone()
    both[:, 4] = 8
    assert (ask(both, None) - ask(canvas, None)).nan_to_num().abs().max() > 0.01


def test_rows_of_windows_of_different_width_do_not_mix(models, batch):
    for family in FAMILIES:
        model, (canvas, attend) = models[family], batch
        canvas, _ = masked(model, canvas)
        bounds = [(7 - model.window_margin, 8), (9 - model.window_margin, 14), (7 - model.window_margin, 12)]
        query = torch.tensor([[0, 7], [1, 9], [1, 13], [2, 11]])
        rows, changed = torch.arange(3), canvas.clone()
        changed[:, 7:] = (changed[:, 7:] + 11) % 300
        cache = model.new_cache(3, LENGTH)
        model.with_cache(canvas, attend, query, [None] * 3, cache, rows, None)
        together = model.with_cache(changed, attend, query, [None] * 3, cache, rows, bounds)
        fresh = model.new_cache(3, LENGTH)
        model.with_cache(canvas, attend, query, [None] * 3, fresh, rows, None)
        for row in range(3):
            mine = query[:, 0] == row
            part = query[mine] * torch.tensor([0, 1])
            pick = torch.tensor([row])
            alone = model.with_cache(changed[pick], attend[pick], part, [None], fresh, pick, [bounds[row]])
            torch.testing.assert_close(alone, together[mine], atol=1e-4, rtol=0.0)


def decoded(model, method, cache, **setting):
    rows = [
        Row(
            key=i,
            prompt_ids=tuple(range(5, 5 + n)),
            gen_length=8,
            setting=Setting(method=method, cache=cache, **setting),
        )
        for i, n in enumerate((3, 9, 40))
    ]
    outcomes = {outcome.key: outcome for outcome in sweep(model, rows)}
    assert all(isinstance(outcome, Decoded) for outcome in outcomes.values()), outcomes
    return outcomes


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_forwards_at_block_entry_are_those_without_a_cache(models, family, cache):
    """With k = block every forward is a full pass; a canvas of one block starts with one."""
    model = models[family]
    assert decoded(model, left_to_right(), cache, k=4, block_length=4) == decoded(
        model, left_to_right(), "none", k=4, block_length=4
    )
    with_cache = decoded(model, Threshold(gamma=0.5), cache)
    without = decoded(model, Threshold(gamma=0.5), "none")
    for key, outcome in with_cache.items():
        first = [position for position, step in enumerate(outcome.commit_step) if step == 0]
        assert first == [position for position, step in enumerate(without[key].commit_step) if step == 0]
        assert [outcome.ids[p] for p in first] == [without[key].ids[p] for p in first]


def test_a_cache_of_bfloat16_keeps_the_dtype_of_the_weights(tiny_llada_dir, batch):
    request = ModelRequest(name="llada", source=str(tiny_llada_dir), device="cpu", dtype="bfloat16")
    model, (canvas, attend) = load_llada(request), batch
    canvas, query = masked(model, canvas)
    cache = model.new_cache(3, LENGTH)
    assert cache.keys.dtype == cache.values.dtype == torch.bfloat16
    assert cache.keys.shape == (3, 2, 2, LENGTH + 1, 16)
    full = model.with_cache(canvas, attend, query, [None] * 3, cache, torch.arange(3), None)
    assert torch.equal(full, model(canvas, attend, query, [None] * 3))
    again = model.with_cache(canvas, attend, query, [None] * 3, cache, torch.arange(3), [(6, LENGTH)] * 3)
    torch.testing.assert_close(again, full, atol=0.3, rtol=0.0)


def test_the_attention_that_can_tell_its_weights_is_the_one_in_use(models):
    for model in models.values():
        assert model.network.config._attn_implementation == transformers_interior.ATTENTION
