"""A published tokenizer.json behind our interface."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.text.hf_tokenizer import HFTokenizer, has_tokenizer


@pytest.fixture
def folder(tmp_path, llada_tokenizer_text):
    (tmp_path / "tokenizer.json").write_text(llada_tokenizer_text, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory, llada_tokenizer_text):
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "tokenizer.json").write_text(llada_tokenizer_text, encoding="utf-8")
    return HFTokenizer.from_folder(folder, name="letters")


@given(text=st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "<|" not in text))
def test_text_survives_a_round_trip(tokenizer, text):
    ids = tokenizer.encode(text)
    assert len(ids) == len(text.encode("utf-8"))
    assert tokenizer.decode(ids) == text


def test_special_tokens_are_one_id_when_written_and_dropped_when_decoded(tokenizer):
    a, b = tokenizer.encode("a"), tokenizer.encode("b")
    assert tokenizer.encode("a<|eot_id|>b") == [*a, 302, *b]
    assert tokenizer.decode([297, *a, 302, 300, *b, 300]) == "ab"


def test_nothing_is_put_around_a_text_that_the_file_would_frame(folder):
    from tokenizers import Tokenizer, processors

    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A", special_tokens=[("<|startoftext|>", 297)]
    )
    backend.enable_truncation(2)
    backend.enable_padding(length=9)
    assert backend.encode("abc").ids[0] == 297
    backend.save(str(folder / "tokenizer.json"))
    tokenizer = HFTokenizer.from_folder(folder)
    assert len(tokenizer.encode("abc")) == 3
    assert tokenizer.decode(tokenizer.encode("abc")) == "abc"


def test_it_knows_its_ids_and_its_name(tokenizer, folder):
    assert (tokenizer.name, tokenizer.is_fallback) == ("letters", False)
    assert tokenizer.ids == {*range(256), 297, 298, 299, 300, 301, 302, 310}
    assert len(tokenizer) == 311
    assert (tokenizer.token_id("<|mdm_mask|>"), tokenizer.token_id("<|none|>")) == (310, None)
    assert HFTokenizer.from_folder(folder).name == folder.name


def test_an_id_without_a_token_is_refused(tokenizer):
    with pytest.raises(
        ValueError, match="ids must be tokens of 'letters', got 309; suppress rows without a token"
    ):
        tokenizer.decode([1, 309])


@pytest.mark.parametrize(
    ("settings", "eos_id"),
    [
        (None, None),
        ({}, None),
        ({"eos_token": None}, None),
        ({"eos_token": "<|endoftext|>"}, 300),
        ({"eos_token": {"content": "<|eot_id|>", "special": True}}, 302),
        ({"eos_token": "<|gone|>"}, None),
    ],
    ids=["no file", "no key", "null", "text", "object", "not in the vocabulary"],
)
def test_the_end_of_text_is_read_from_its_settings(folder, settings, eos_id):
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert HFTokenizer.from_folder(folder).eos_id == eos_id


def test_a_folder_has_a_tokenizer_as_soon_as_it_has_a_file_of_one(tmp_path):
    assert not has_tokenizer(tmp_path)
    (tmp_path / "merges.txt").touch()
    assert has_tokenizer(tmp_path)


def test_a_tokenizer_in_another_form_is_refused_with_the_way_to_convert_it(tmp_path):
    (tmp_path / "vocab.json").write_text("{}", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"tokenizer must be a tokenizer\.json, got \['vocab\.json'\] in .*save_pretrained"
    ):
        HFTokenizer.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", '{"model": ', r"tokenizer\.json must be JSON, got .*line 1.*; fetch it again"),
        ("tokenizer.json", "[]", r"tokenizer\.json must be a JSON object, got \[\]; fetch it again"),
        ("tokenizer.json", "{}", r"tokenizer\.json model must be an object, got None; fetch it again"),
        ("tokenizer_config.json", "{", r"tokenizer_config\.json must be JSON, got"),
        ("tokenizer_config.json", "3", r"tokenizer_config\.json must be a JSON object, got 3"),
        (
            "tokenizer_config.json",
            '{"eos_token": 7}',
            r"tokenizer_config\.json eos_token must be a text, got 7",
        ),
    ],
)
def test_a_broken_file_is_named(folder, file, content, message):
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        HFTokenizer.from_folder(folder)
