"""Adaptive Parallel Decoding against its rule written down without a cache, and against its two limits."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from decoders.fingerprint import checkpoint_hash
from decoders.loading.checkpoint import LoadError
from decoders.loop import draws
from decoders.models import apd
from decoders.models.apd import PRESETS, VERIFIERS, fingerprint, load
from decoders.protocols import ModelRequest
from decoders.testing import check_generator

torch.set_num_threads(1)

PROMPTS = ([7, 250, 31], [3], [12, 80, 99, 140, 2, 17, 60, 33, 41])
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "rope_theta": 1000000.0,
    "vocab_size": 318,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "intermediate_size": 96,
    "hidden_act": "silu",
    "eos_token_id": 300,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}


def request(*folders, **fields):
    return ModelRequest(name="apd", source="+".join(map(str, folders)), **{"device": "cpu", **fields})


@pytest.fixture(scope="module")
def verifier(write_tiny):
    import transformers

    network = transformers.Qwen2ForCausalLM(transformers.Qwen2Config.from_dict(dict(CONFIG)))
    return write_tiny("verifier", CONFIG, network, 11)


@pytest.fixture(scope="module")
def model(tiny, verifier):
    """Both models, of 318 and 320 rows, without an end of text."""
    loaded = load(request(tiny["dream"].folder, verifier.folder))
    loaded.denoiser.eos_ids = frozenset()
    return loaded


@pytest.fixture
def folders(tiny, verifier, tmp_path):
    return (
        shutil.copytree(tiny["dream"].folder, tmp_path / "dream"),
        shutil.copytree(verifier.folder, tmp_path / "verifier"),
    )


def causal(network, ids):
    """Return what the causal network expects next after each of *ids*, without a cache."""
    with torch.inference_mode():
        return network(torch.tensor([ids]), use_cache=False).logits[0, :, :318].float()


def diffusion(network, ids, masks):
    """Return what the diffusion network expects at *masks* positions after *ids*, from its bare network."""
    canvas = torch.tensor([ids + [310] * masks])
    attend = torch.ones(1, 1, canvas.shape[1], canvas.shape[1], dtype=torch.bool)
    with torch.inference_mode():
        logits = network(canvas, attention_mask=attend, use_cache=False).logits[0, len(ids) - 1 : -1, :318]
    return logits.float().index_fill(1, torch.tensor([310]), -math.inf)


def best(logits, row, place):
    """Return the token of one position, by the noise of that position and nothing else."""
    if row.setting.temperature == 0.0:
        return int(logits.argmax())
    key = draws.combine(
        torch.tensor([draws.row_key(row.seed, row.sample_id)]), 0, torch.tensor([place]), draws.TOKEN_NOISE
    )
    u = draws.uniform(draws.combine(key, torch.arange(len(logits))))
    return int((logits.double() / row.setting.temperature - torch.log(-torch.log(u))).argmax())


def by_hand(dream, verifier, row, mix, lookahead, first="draft"):
    """Decode one row, token by token, with neither cache nor end of text."""
    ids, made, steps, nfe = list(row.prompt_ids), 0, [], 0
    while made < row.gen_length:
        width = min(lookahead, row.gen_length - made)
        drafted = diffusion(dream, ids, width)
        draft = [best(logits, row, made + i) for i, logits in enumerate(drafted)]
        committed = []
        for i in range(width):
            follows = causal(verifier, ids + draft[:i])[-1]
            mixed = torch.where(drafted[i].isinf(), drafted[i], mix * drafted[i] + (1 - mix) * follows)
            target = best(mixed, row, made + i)
            if target == draft[i]:
                committed.append(target)
                continue
            if i == 0:
                committed.append(draft[0] if first == "draft" else target)
            break
        ids, made = ids + committed, made + len(committed)
        steps += [nfe] * len(committed)
        nfe += 1
    return tuple(ids[len(row.prompt_ids) :]), tuple(steps), nfe


@pytest.mark.parametrize("first", ["draft", "target"])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize(("mix", "lookahead"), [(0.9, 5), (0.7, 3), (0.5, 100), (0.97, 4)])
def test_a_row_is_decoded_as_by_hand_without_a_cache(
    model, tiny, verifier, make_row, mix, lookahead, temperature, first
):
    rows = [make_row(place, prompt, 14, temperature=temperature) for place, prompt in enumerate(PROMPTS)]
    results = model.generate(rows, {"mix": mix, "lookahead": lookahead, "first": first})
    for row, result in zip(rows, results, strict=True):
        expected = by_hand(tiny["dream"].network, verifier.network, row, mix, lookahead, first)
        assert (result.ids, result.commit_step, result.nfe) == expected
        assert result.nfe_other == result.nfe
    if mix >= 0.9:
        assert min(result.nfe for result in results) < 14, "some step must have accepted more than one token"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("lookahead", [1, 4, 10, 100])
def test_with_all_weight_on_the_diffusion_model_whole_windows_of_its_drafts_are_committed(
    model, tiny, make_row, lookahead, temperature
):
    row = make_row(0, PROMPTS[0], 10, temperature=temperature)
    ids = list(row.prompt_ids)
    while len(ids) < 13:
        drafted = diffusion(tiny["dream"].network, ids, min(lookahead, 13 - len(ids)))
        ids += [best(logits, row, len(ids) - 3 + i) for i, logits in enumerate(drafted)]
    [result] = model.generate([row], {"mix": 1.0, "lookahead": lookahead})
    assert list(result.ids) == ids[3:]
    assert result.nfe == math.ceil(10 / lookahead)
    assert result.commit_step == tuple(place // lookahead for place in range(10))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_with_next_to_no_weight_and_first_target_the_text_is_the_causal_models_own(
    model, verifier, make_row, prompt, temperature
):
    row = make_row(5, prompt, 12, temperature=temperature)
    ids = list(prompt)
    for place in range(12):
        ids.append(
            best(causal(verifier.network, ids)[-1].index_fill(0, torch.tensor([310]), -1e9), row, place)
        )
    [result] = model.generate([row], {"mix": 1e-9, "first": "target"})
    assert list(result.ids) == ids[len(prompt) :]


def test_as_published_the_first_drafted_token_of_a_step_is_never_refused(model, tiny, make_row):
    row = make_row(0, PROMPTS[0], 12)
    [result] = model.generate([row], {"mix": 1e-9})
    for step in range(result.nfe):
        place = result.commit_step.index(step)
        ids = [*PROMPTS[0], *result.ids[:place]]
        assert result.ids[place] == int(diffusion(tiny["dream"].network, ids, 12 - place)[0].argmax())


def test_steps_go_from_left_to_right_and_are_at_most_one_per_token(model, make_row):
    rows = [make_row(place, prompt, 16, temperature=1.0) for place, prompt in enumerate(PROMPTS)]
    for mix in (0.3, 0.8, 0.95):
        for result in model.generate(rows, {"mix": mix}):
            assert 1 <= result.nfe <= 16
            assert (len(result.ids), result.finish_reason, result.nfe_kind) == (16, "length", "counted")
            assert list(result.commit_step) == sorted(result.commit_step)
            assert set(result.commit_step) == set(range(result.nfe))


def test_evaluated_positions_are_the_canvases_of_the_diffusion_model(model, make_row):
    [result] = model.generate([make_row(0, [1, 2, 3], 8)], {"mix": 1.0, "lookahead": 4})
    assert result.evaluated_positions == 7 + 11


def test_the_conformance_kit_finds_nothing(model):
    check_generator(model, {})
    check_generator(model, {"mix": 0.95, "lookahead": 3, "first": "target"})


def test_a_sampled_row_depends_on_its_seed_and_not_on_its_batch(model, make_row):
    rows = [make_row(place, prompt, 12, temperature=1.0) for place, prompt in enumerate(PROMPTS)]
    together = model.generate(rows, {})
    assert [model.generate([row], {})[0] for row in reversed(rows)] == together[::-1]
    other = model.generate([replace(row, seed=1) for row in rows], {})
    assert [result.ids for result in other] != [result.ids for result in together]


@pytest.mark.parametrize("params", [{"mix": 1.0}, {"mix": 0.9}, {"mix": 0.9, "lookahead": 1}])
def test_a_row_ends_with_its_first_end_of_text(model, make_row, params):
    row = make_row(0, PROMPTS[0], 10)
    [free] = model.generate([row], params)
    end = free.ids[4]
    stop = free.ids.index(end) + 1
    [result] = replace(model, denoiser=replace(model.denoiser, eos_ids=frozenset({end}))).generate(
        [row], params
    )
    assert (result.ids, result.finish_reason) == (free.ids[:stop], "eos")
    assert result.commit_step == free.commit_step[:stop]
    assert result.nfe == free.commit_step[stop - 1] + 1


def test_ids_that_one_model_lacks_are_never_generated(model, make_row):
    rows = [make_row(0, PROMPTS[0], 8)]
    assert (model.n_ids, model.unwanted_ids) == (318, (310,))
    [free] = model.generate(rows, {"mix": 1.0})
    [result] = replace(model, unwanted_ids=(310, free.ids[0])).generate(rows, {"mix": 1.0})
    assert free.ids[0] not in result.ids
    with pytest.raises(
        ValueError, match="prompt_ids must be below the 318 ids that both models of 'apd' have, "
    ):
        model.generate([make_row(0, [1, 319], 4)], {})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"mix": 0}, "mix must be above 0 and at most 1, got 0; it is the weight"),
        ({"mix": 1.1}, r"mix must be above 0 and at most 1, got 1\.1"),
        ({"mix": math.nan}, "mix must be above 0 and at most 1, got nan"),
        ({"mix": "x"}, "mix must be of type float for 'apd', got 'x'"),
        ({"lookahead": 0}, "lookahead must be at least 1, got 0; raise it"),
        ({"first": "best"}, "first must be one of draft, target, got 'best'; choose one"),
        ({"window": 16}, "parameters of native for 'apd' must be of first, lookahead, mix, got 'window'"),
    ],
)
def test_parameters_out_of_range_are_refused(model, make_row, params, message):
    with pytest.raises(ValueError, match=message):
        model.generate([make_row(0, [1], 4)], params)


def test_rows_that_it_cannot_decode_are_refused(model, make_row):
    with pytest.raises(
        ValueError, match="prompt_ids must not be empty for 'apd', got none in row 4; the first"
    ):
        model.generate([make_row(4, [], 4)], {})
    with pytest.raises(ValueError, match="template_ids must be None for 'apd'"):
        model.generate([make_row(4, [1], 2, template_ids=(310, 310))], {})
    real = replace(model.denoiser, tokenizer=type("Real", (), {"is_fallback": False})())
    with pytest.raises(
        ValueError, match="canvas of 'apd' must be at most 128 tokens long, got 130; use shorter"
    ):
        replace(model, denoiser=real).generate([make_row(0, [1] * 126, 4)], {})


@pytest.mark.parametrize("source", ["one", "one+two+three", "+two", "one+", None])
def test_a_source_that_is_not_two_is_refused(source):
    name = "apd" if source else "mine"
    with pytest.raises(LoadError, match=r"source must be DIFFUSION\+AUTOREGRESSIVE, two folders or hub ids "):
        load(ModelRequest(name=name, source=source))
    with pytest.raises(LoadError, match=r"joined by one plus sign, got .*; name a Dream checkpoint"):
        fingerprint(ModelRequest(name=name, source=source))


def test_a_revision_of_two_checkpoints_is_refused():
    with pytest.raises(
        LoadError, match=r"revision must be left out for two checkpoints, got 'v1' with 'a/b\+c/d'"
    ):
        load(request("a/b", "c/d", revision="v1"))


def test_the_preset_is_the_published_pair(monkeypatch):
    asked = []
    monkeypatch.setattr(apd, "find_checkpoint", lambda one, presets: asked.append((one.source, one.revision)))
    monkeypatch.setattr(apd, "checkpoint_hash", str)
    fingerprint(ModelRequest(name="apd"))
    assert asked == [("Dream-org/Dream-v0-Instruct-7B", "main"), ("Qwen/Qwen2.5-0.5B", "main")]
    assert PRESETS.keys() == VERIFIERS.keys()


def rewrite(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")


def write_tokenizer(folder, words):
    from tokenizers import Tokenizer, models

    vocabulary = {word: place for place, word in enumerate(words)}
    Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=words[0])).save(str(folder / "tokenizer.json"))


def test_vocabularies_that_differ_are_refused(folders):
    dream, verifier = folders
    words = [f"w{place}" for place in range(318)]
    write_tokenizer(dream, words)
    with pytest.raises(
        LoadError, match=r"both checkpoints must hold a tokenizer or neither, got none in .*verifier"
    ):
        load(request(*folders))
    write_tokenizer(verifier, [*words[:7], "x", *words[8:]])
    with pytest.raises(
        LoadError,
        match="both tokenizers must have the same ids, got 1 that differ, the first of 'w7'; choose",
    ):
        load(request(*folders))
    write_tokenizer(verifier, ["<|im_end|>", *words[1:]])
    with pytest.raises(LoadError, match=r"got 2 that differ, the first of '<\|im_end\|>'"):
        load(request(*folders))
    write_tokenizer(verifier, words[:305])
    both = load(request(*folders))
    assert (both.n_ids, both.unwanted_ids) == (318, tuple(range(305, 318)))
    write_tokenizer(verifier, words[:300])
    with pytest.raises(
        LoadError, match=r"an EOS must be among the 300 ids that both models have, got \[300\]"
    ):
        load(request(*folders))


def test_a_fingerprint_depends_on_both_checkpoints_and_their_roles(folders):
    dream, verifier = folders
    before = fingerprint(request(*folders))
    assert before not in (checkpoint_hash(dream), checkpoint_hash(verifier))
    assert before != fingerprint(request(verifier, dream))
    for folder in folders:
        rewrite(folder, note=1)
        assert fingerprint(request(*folders)) != before
        before = fingerprint(request(*folders))


def test_a_closed_model_says_so(folders, make_row):
    model = load(request(*folders))
    model.sync()
    assert (model.name, model.eos_ids, model.tokenizer.is_fallback) == ("apd", {300}, True)
    assert [test.name for test in model.self_tests].count("keys") == 2
    assert all(test.passed for test in model.self_tests)
    model.close()
    assert model.verifier.network is None
    with pytest.raises(
        RuntimeError, match="model 'apd' must be open to be called, got a closed one; load it"
    ):
        model.generate([make_row(0, [1], 4)], {})
