"""LLaDA2.1's editing loop against the same rules written down row by row."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.models.llada21 import PRESETS, fingerprint, load
from decoders.protocols import ModelRequest
from decoders.testing import check_generator

torch.set_num_threads(1)

PARAMS = {"threshold": 0.3, "editing_threshold": 0.2, "max_post_steps": 3, "num_to_transfer": 2}
EAGER = {"threshold": 0.05, "editing_threshold": 0.05, "max_post_steps": 5, "num_to_transfer": 4}


@pytest.fixture(scope="module")
def model(tiny):
    loaded = load(ModelRequest(name="llada2.1", source=str(tiny["llada2"].folder), device="cpu"))
    assert loaded.denoiser.block_length == 32
    loaded.denoiser.block_length = 4
    return loaded


def by_hand(denoiser, prompt, length, threshold, editing_threshold, max_post_steps, num_to_transfer):
    """Decode one row position by position, as the published loop is described."""
    mask, block = denoiser.mask_id, denoiser.block_length
    row, nfe, edits = list(prompt) + [mask] * length, 0, 0
    written = [-1] * len(row)
    for start in range(len(prompt) // block * block, len(row), block):
        places = [place for place in range(start, min(start + block, len(row))) if place >= len(prompt)]
        post_steps = 0
        while True:
            masked = [place for place in places if row[place] == mask]
            post_steps += not masked
            if post_steps > max_post_steps:
                break
            canvas = torch.tensor([row])
            query = torch.tensor([[0, place] for place in places])
            p = denoiser(canvas, torch.ones_like(canvas, dtype=torch.bool), query, (None,)).softmax(dim=1)
            best = {place: (float(q.max()), int(q.argmax())) for place, q in zip(places, p, strict=True)}
            chosen = [place for place in masked if best[place][0] > threshold]
            if len(chosen) < num_to_transfer:
                chosen = sorted(masked, key=lambda place: -best[place][0])[:num_to_transfer]
            edited = [
                place
                for place in places
                if place not in masked and best[place][0] > editing_threshold and best[place][1] != row[place]
            ]
            for place in (*chosen, *edited):
                row[place], written[place] = best[place][1], nfe
            nfe, edits = nfe + 1, edits + len(edited)
            if not masked and not edited:
                break
    return tuple(row[len(prompt) :]), nfe, tuple(written[len(prompt) :]), edits


@settings(max_examples=12, deadline=None)
@given(
    prompt=st.lists(st.integers(0, 299), min_size=1, max_size=9),
    length=st.integers(1, 11),
    threshold=st.sampled_from([0.15, 0.3, 0.95]),
    editing_threshold=st.sampled_from([0.1, 0.25, 0.9]),
    max_post_steps=st.integers(0, 3),
    num_to_transfer=st.integers(1, 3),
)
def test_a_row_is_decoded_as_by_hand(model, make_row_once, prompt, length, **params):
    [result] = model.generate([make_row_once(0, prompt, length)], params)
    ids, nfe, written, _ = by_hand(model.denoiser, prompt, length, **params)
    assert (result.ids, result.nfe, result.commit_step) == (ids, nfe, written)


@pytest.fixture(scope="module")
def make_row_once():
    from types import SimpleNamespace

    from decoders.rows import Row, Setting

    native = SimpleNamespace(name="native", takes_k=False)

    def make(key, prompt, length):
        setting = Setting(method=native)
        return Row(key=key, prompt_ids=tuple(prompt), gen_length=length, setting=setting)

    return make


def test_tokens_are_edited_and_forwards_are_not_bounded_by_the_length(model, make_row):
    found = [by_hand(model.denoiser, [seed, 6, 7], 9, **EAGER) for seed in range(8)]
    assert sum(edits for *_, edits in found) > 20
    assert max(nfe for _, nfe, *_ in found) > 9
    for seed, (ids, nfe, written, _) in enumerate(found):
        [result] = model.generate([make_row(seed, [seed, 6, 7], 9)], EAGER)
        assert (result.ids, result.nfe, result.commit_step) == (ids, nfe, written)


def test_rows_of_different_lengths_decode_in_a_batch_as_alone(model, make_row):
    rows = [
        make_row(i, range(7 * i, 7 * i + n), g) for i, (n, g) in enumerate([(1, 8), (9, 8), (4, 5), (2, 8)])
    ]
    together = model.generate(rows, PARAMS)
    assert [result.key for result in together] == [0, 1, 2, 3]
    assert together == [model.generate([row], PARAMS)[0] for row in rows]
    assert len({result.nfe for result in together}) > 1, "rows leave the batch at different times"


def test_the_conformance_kit_finds_nothing(model):
    check_generator(model, {})
    check_generator(model, PARAMS)


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_forward_is_run_whose_result_is_dropped(model, make_row, monkeypatch, most):
    """A block that has had its forwards without masks ends at once; every forward is in nfe."""
    calls, call = [], model.denoiser.raw_logits
    monkeypatch.setattr(
        model.denoiser, "raw_logits", lambda *given, **more: calls.append(1) or call(*given, **more)
    )
    [result] = model.generate([make_row(0, [1, 2, 3], 8)], EAGER | {"max_post_steps": most})
    assert len(calls) == result.nfe


def test_all_positions_are_counted(model, make_row):
    [result] = model.generate([make_row(0, [1, 2, 3], 8)], {})
    assert result.evaluated_positions == result.nfe * 11
    assert max(result.commit_step) < result.nfe


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_to_transfer": 0}, "num_to_transfer must be at least 1, got 0; raise it"),
        ({"max_post_steps": -1}, "max_post_steps must be at least 0, got -1; raise it"),
        ({"threshold": "high"}, r"threshold must be of type float for 'llada2\.1', got 'high'"),
        (
            {"steps": 3},
            "must be of editing_threshold, max_post_steps, num_to_transfer, threshold, got 'steps'",
        ),
    ],
)
def test_parameters_that_the_loop_does_not_have_are_refused(model, make_row, params, message):
    with pytest.raises(ValueError, match=message):
        model.generate([make_row(0, [1], 4)], params)


def test_a_whole_number_is_a_threshold_too(model, make_row):
    rows = [make_row(0, [1, 2], 4)]
    assert model.generate(rows, {"threshold": 1}) == model.generate(rows, {"threshold": 1.0})


def test_a_temperature_is_refused(model, make_row):
    with pytest.raises(
        ValueError, match=r"temperature must be 0 for 'llada2\.1', got 0\.5 in row 2; its own loop"
    ):
        model.generate([make_row(2, [1], 4, temperature=0.5)], {})


def test_it_is_the_llada2_network_with_its_own_names(model, tiny):
    assert (model.name, model.eos_ids, model.tokenizer.is_fallback) == ("llada2.1", {300}, True)
    assert model.encode_prompt([{"role": "user", "content": "a"}]) == list(b"a\n\n")
    assert model.answer_ids([4, 300]) == (4,)
    assert all(test.passed for test in model.self_tests)
    assert {preset.hub_id for preset in PRESETS.values()} == {
        "inclusionAI/LLaDA2.1-mini",
        "inclusionAI/LLaDA2.1-flash",
    }
    source = ModelRequest(name="llada2.1", source=str(tiny["llada2"].folder))
    assert len(fingerprint(source)) == 64


def test_a_closed_model_says_so(tiny, make_row):
    model = load(ModelRequest(name="llada2.1", source=str(tiny["llada2"].folder), device="cpu"))
    model.sync()
    model.close()
    with pytest.raises(RuntimeError, match=r"model 'llada2\.1' must be open to be called, got a closed one"):
        model.generate([make_row(0, [1], 4)], {})
