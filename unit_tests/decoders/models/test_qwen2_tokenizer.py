"""vocab.json and merges.txt read as Qwen2 reads them."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from decoders.loading.checkpoint import LoadError
from decoders.models.dream import load
from decoders.protocols import ModelRequest
from decoders.text.qwen2_tokenizer import qwen2_backend

MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "a"), ("a", "b"), ("1", "2"), ("Ċ", "Ċ")]
ADDED = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|mask|>")


def write(folder, added=None):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *("".join(pair) for pair in MERGES)]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = "#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in MERGES)
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    first = len(vocabulary)
    listed = {str(first + i): {"content": token, "special": True} for i, token in enumerate(ADDED)}
    config = {"added_tokens_decoder": listed if added is None else added}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return vocabulary


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen2")
    write(folder)
    return folder


@pytest.fixture(scope="module")
def ours(folder):
    return qwen2_backend(folder)


@pytest.fixture(scope="module")
def theirs(folder):
    from transformers import Qwen2Tokenizer

    tokenizer = Qwen2Tokenizer.from_pretrained(folder)
    return tokenizer


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="the ab12\n\t'sé\u0301ß中.!<|>_", max_size=30) | st.text(max_size=20))
def test_texts_become_the_ids_of_the_published_class(ours, theirs, text):
    assert ours.encode(text, add_special_tokens=False).ids == theirs.encode(text, add_special_tokens=False)


def test_markers_become_their_own_ids(ours, folder):
    first = len(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
    ids = ours.encode("<|im_start|>the<|im_end|><|mask|>", add_special_tokens=False).ids
    assert [token - first for token in (ids[0], *ids[-2:])] == [1, 2, 3]
    assert ours.decode(ids, skip_special_tokens=True) == "the"


def test_a_checkpoint_with_these_files_needs_no_tokenizer_json(tiny, tmp_path):
    checkpoint = shutil.copytree(tiny["dream"].folder, tmp_path / "checkpoint")
    vocabulary = write(checkpoint)
    path = checkpoint / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"mask_token_id": len(vocabulary) + 3}), encoding="utf-8")
    model = load(ModelRequest(name="dream", source=str(checkpoint), device="cpu"))
    assert not model.tokenizer.is_fallback
    assert model.eos_ids == {300, len(vocabulary), len(vocabulary) + 2}
    assert len(vocabulary) + 3 in model.suppressed_ids
    prompt = model.encode_prompt([{"role": "user", "content": "the ab"}])
    assert prompt[0] == len(vocabulary) + 1
    assert model.tokenizer.decode(prompt) == "system\nYou are a helpful assistant.\nuser\nthe ab\nassistant\n"


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            {"999": {"content": "<|mask|>"}},
            r"must continue the ids of vocab\.json without gaps, got '<\|mask\|>'",
        ),
        ({"x": {"content": "<|mask|>"}}, "added_tokens_decoder must map ids to tokens, got"),
        ({"263": {}}, "added_tokens_decoder must map ids to tokens, got"),
        ([], "added_tokens_decoder must map ids to tokens, got"),
    ],
)
def test_added_tokens_with_other_ids_are_refused(tiny, tmp_path, added, message):
    checkpoint = shutil.copytree(tiny["dream"].folder, tmp_path / "checkpoint")
    write(checkpoint, added)
    with pytest.raises(LoadError, match=message):
        load(ModelRequest(name="dream", source=str(checkpoint), device="cpu"))


@pytest.mark.parametrize("file", ["vocab.json", "merges.txt", "tokenizer_config.json"])
def test_a_folder_without_one_of_the_files_is_left_to_others(tmp_path, file):
    write(tmp_path)
    (tmp_path / file).unlink()
    assert qwen2_backend(tmp_path) is None


@pytest.mark.parametrize(
    ("file", "content"),
    [("vocab.json", "[]"), ("vocab.json", '{"a": "b"}'), ("vocab.json", '{"a": -1}'), ("merges.txt", "a")],
)
def test_files_of_another_shape_are_refused_with_file_and_cure(tmp_path, file, content):
    write(tmp_path)
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"vocab\.json must be a tokenizer that the package .*; fetch it again"
    ):
        qwen2_backend(tmp_path)
