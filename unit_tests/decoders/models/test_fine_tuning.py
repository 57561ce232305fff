"""Every family in training: its loss sees what decoding sees, and what is written loads as the model."""

import json
import shutil
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("peft", reason="adapters need the extra tune")

from decoders.protocols import ModelRequest
from decoders.tuning import subject as subjects
from decoders.tuning.batches import Chosen, Example, collate
from decoders.tuning.objective import twin_mask
from decoders.tuning.settings import settings_of
from decoders.tuning.subject import open_subject

torch.set_num_threads(1)

FAMILIES = ("llada", "dream", "sdar", "sdar_moe", "llada_moe", "llada2", "stable_diffcoder")
CHATS = [([{"role": "user", "content": "abc"}], 8)]
FEW = {"rank": 4, "alpha": 8, "batch": 2, "train_samples": 2}
TARGETS = ("q_proj", "k_proj", "v_proj")
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def folders(tiny, tiny_llada_dir):
    """The checkpoint of each family."""
    return {**{name: one.folder for name, one in tiny.items()}, "llada": tiny_llada_dir}


def module(family):
    return f"decoders.models.{family}"


def request(family, source):
    return ModelRequest(name=family.replace("_", "-"), source=str(source), device="cpu")


def opened(family, source, way="lora", **given):
    return open_subject(request(family, source), module(family), settings_of(way, {**FEW, **given}), CHATS)


def loaded(family, source):
    return import_module(module(family)).load(request(family, source))


def example(prompt, canvas):
    return Example(prompt=tuple(prompt), canvas=tuple(canvas), learned=(True,) * len(canvas))


def chosen(*times):
    return [
        Chosen(split="train", number=row, time=time, rng=np.random.default_rng(row))
        for row, time in enumerate(times)
    ]


def rows_of(subject):
    return collate([example(range(3, 9), range(11, 19)), example(range(4, 7), range(21, 29))], subject.pad_id)


def disturb(subject):
    """Give the adapters weights that change something."""
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, one in subject.objective.named_parameters():
            if "lora_B" in name:
                one.copy_(0.05 * torch.randn(one.shape, generator=source))


def logits(model):
    canvas = torch.arange(3, 15)[None]
    attend = torch.ones_like(canvas, dtype=torch.bool)
    return model.raw_logits(canvas, attend, attend.nonzero())


@every_family
def test_the_loss_is_the_cross_entropy_of_the_logits_that_decoding_sees(family, folders):
    subject = opened(family, folders[family])
    subject.model.block_length = subject.objective.block_length = 4 if subject.model.block_length else None
    clean = rows_of(subject)
    ids, attend, hidden, weights = subject.objective.noise(clean, chosen(0.4, 0.9))
    assert not hidden[:, :6].any()
    found = subject.objective(ids, attend, hidden, weights).tolist()
    free = replace(subject.model, suppressed_ids=())
    block = subject.model.block_length
    for row in range(2):
        total = 0.0
        for column in hidden[row].nonzero()[:, 0].tolist():
            canvas, seen = ids[row : row + 1].clone(), attend[row : row + 1].clone()
            masked = hidden[row : row + 1].clone()
            if block is not None:  # only the block of this position is noisy, and none is there after it
                place = (seen.cumsum(1) - 1) // block
                masked &= place == place[0, column]
            query = torch.tensor([[0, column]])
            one = free(canvas.masked_fill(masked, subject.mask_id), seen, query, [None])
            total += float(torch.nn.functional.cross_entropy(one, ids[row, column : column + 1]))
        assert found[row] == pytest.approx(total * float(weights[row]), rel=1e-4)


def test_a_row_weighs_one_over_its_time_and_its_length_and_hides_something(folders):
    subject = opened("llada", folders["llada"])
    _, _, hidden, weights = subject.objective.noise(rows_of(subject), chosen(0.0, 1.0))
    assert hidden.sum(dim=1).tolist() == [1, 8]
    assert weights.tolist() == pytest.approx([1 / (1e-3 * 8), 1 / 8])


def test_given_positions_of_a_template_are_never_hidden(folders):
    subject = opened("llada", folders["llada"])
    template = Example(prompt=(3,), canvas=(5, 6, 7, 8), learned=(False, True, False, True))
    _, _, hidden, weights = subject.objective.noise(collate([template], 0), chosen(1.0))
    assert hidden.tolist() == [[False, False, True, False, True]]
    assert weights.tolist() == [0.5]


def test_the_mask_of_blocks_shows_clean_blocks_before_and_the_noisy_rest_of_its_own():
    attend = torch.tensor([[False, True, True, True, True]])
    mask = twin_mask(attend, 2)[0, 0]
    clean, noisy = mask[:5], mask[5:]
    assert clean[3].tolist() == [False, True, True, True, True, *[False] * 5]
    assert clean[1].tolist() == [False, True, True, False, False, *[False] * 5]
    assert noisy[3].tolist() == [False, True, True, False, False, False, False, False, True, True]
    assert noisy[1].tolist() == [False] * 6 + [True, True, False, False]


@every_family
def test_only_adapters_learn_and_every_one_gets_a_gradient(family, folders):
    subject = opened(family, folders[family])
    disturb(subject)
    subject.objective(*subject.objective.noise(rows_of(subject), chosen(0.5, 0.8))).sum().backward()
    learning = {name: one for name, one in subject.objective.named_parameters() if one.requires_grad}
    assert all("lora_" in name and one.dtype == torch.float32 for name, one in learning.items())
    assert len(learning) == 2 * 2 * len(TARGETS)
    assert all(float(one.grad.abs().max()) > 0.0 for one in learning.values())


@every_family
def test_computing_layers_twice_changes_no_gradient(family, folders):
    found = []
    for twice in (False, True):
        subject = opened(family, folders[family], gradient_checkpointing=twice)
        disturb(subject)
        subject.objective(*subject.objective.noise(rows_of(subject), chosen(0.5, 0.8))).sum().backward()
        found.append([one.grad for one in subject.objective.parameters() if one.requires_grad])
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(plain, again, rtol=1e-4, atol=1e-6)


@every_family
def test_an_adapter_is_written_merged_and_beside_and_both_load_as_peft_computes(family, folders, tmp_path):
    source = folders[family]
    before = logits(loaded(family, source))
    subject = opened(family, source)
    disturb(subject)
    with_adapter = logits(subject.model)
    assert float((with_adapter - before).abs().max()) > 0.01
    subject.write(tmp_path)
    merged = loaded(family, tmp_path)
    beside = loaded(family, f"{source}+{tmp_path / subjects.ADAPTER}")
    torch.testing.assert_close(logits(merged), with_adapter, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits(beside), logits(merged), rtol=0.0, atol=0.0)
    stored, written = load_file(source / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert {key: one.shape for key, one in stored.items()} == {key: one.shape for key, one in written.items()}
    moved = {key for key in stored if not torch.equal(stored[key].float(), written[key].float())}
    assert moved
    assert all(
        "q_proj" in key or "k_proj" in key or "v_proj" in key or "query_key_value" in key for key in moved
    )
    torch.testing.assert_close(logits(subject.model), before, rtol=0.0, atol=0.0)


@every_family
def test_all_weights_learn_and_are_written_under_published_names(family, folders, tmp_path):
    source = folders[family]
    subject = opened(family, source, way="full")
    optimizer = torch.optim.SGD(subject.objective.parameters(), lr=0.01)
    subject.objective(*subject.objective.noise(rows_of(subject), chosen(0.9, 1.0))).sum().backward()
    optimizer.step()
    subject.network.eval()
    trained = logits(subject.model)
    subject.write(tmp_path)
    torch.testing.assert_close(logits(loaded(family, tmp_path)), trained, rtol=1e-5, atol=1e-5)
    assert float((trained - logits(loaded(family, source))).abs().max()) > 1e-3


def test_a_tied_output_is_one_weight_in_training(tmp_path):
    from decoders.models.tiny import shipped_folder

    chats = [([{"role": "user", "content": 'copy\n["A", "B"]'}], 8)]
    chosen_settings = settings_of("full", FEW)
    subject = open_subject(request("tiny", shipped_folder()), module("tiny"), chosen_settings, chats)
    assert subject.network.lm_head.weight is subject.network.model.embed_tokens.weight
    subject.objective(*subject.objective.noise(rows_of(subject), chosen(1.0, 1.0))).sum().backward()
    subject.write(tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    assert "model.transformer.ff_out.weight" not in written
    assert not (tmp_path / "card.json").exists()
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["model_type"] == "tiny"


def test_sedd_writes_what_its_own_loader_reads(tiny_sedd, tmp_path):
    for graph in ("absorb", "uniform"):
        source, out = tiny_sedd[graph].folder, tmp_path / graph
        out.mkdir()
        subject = open_subject(
            request("sedd_absorb", source),
            "decoders.models.sedd.sampler",
            settings_of("score_entropy", FEW),
            CHATS,
        )
        before = [one.clone() for one in subject.network.parameters()]
        subject.objective(*subject.objective.noise(rows_of(subject), chosen(0.5, 0.9))).sum().backward()
        torch.optim.SGD(subject.network.parameters(), lr=1e-3).step()
        assert all(one.requires_grad for one in subject.network.parameters())
        assert any(
            not torch.equal(old, new) for old, new in zip(before, subject.network.parameters(), strict=True)
        )
        subject.write(out)
        again = import_module("decoders.models.sedd.sampler").load(request("sedd_absorb", out))
        for old, new in zip(subject.network.parameters(), again.checkpoint.network.parameters(), strict=True):
            assert torch.equal(old, new)


@pytest.mark.parametrize(
    ("family", "way", "given", "message"),
    [
        ("sdar", "score_entropy", {}, "model must be a SEDD .* to be trained by score_entropy, got 'sdar'"),
        ("llada", "lora", {"targets": ["qkv"]}, "targets must be of .*, got 'qkv'; correct the name"),
        ("fast_dllm_v2", "full", {}, "model must have blocks or rows shifted by one to be trained, not both"),
        (
            "llada",
            "full",
            {"long": 500},
            "prompts and canvases of 'llada' must be at most 128 tokens long, got",
        ),
    ],
    ids=["way", "target", "shifted-blocks", "length"],
)
def test_what_cannot_be_trained_is_refused(family, way, given, message, folders):
    chats = [([{"role": "user", "content": "x" * given.get("long", 1)}], 8)]
    chosen_settings = settings_of(way, {**FEW, **{k: v for k, v in given.items() if k != "long"}})
    with pytest.raises(ValueError, match=message):
        open_subject(request(family, folders[family]), module(family), chosen_settings, chats)


def test_a_generator_has_no_masked_loss(tiny_sedd):
    with pytest.raises(
        ValueError, match=r"model must be a mask predictor .* to be trained by lora, got 'sedd-abs"
    ):
        open_subject(
            request("sedd_absorb", tiny_sedd["absorb"].folder),
            "decoders.models.sedd.sampler",
            settings_of("lora", FEW),
            CHATS,
        )


def test_a_training_that_does_not_fit_is_refused_before_weights_are_read(folders, tmp_path, monkeypatch):
    broken = shutil.copytree(folders["llada"], tmp_path / "checkpoint")
    (broken / "model.safetensors").write_bytes(b"not weights")
    monkeypatch.setattr("decoders.tuning.memory.free_memory", lambda device: 1000)
    with pytest.raises(ValueError, match="the training must fit into the free memory of cpu, got about"):
        opened("llada", broken)
