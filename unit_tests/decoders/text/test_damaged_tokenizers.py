"""A damaged tokenizer.json is read or refused in one message: no bare error, no panic, no hang."""

import json
import time

import pytest

from decoders.text.hf_tokenizer import HFTokenizer
from unit_tests.json_mutations import damaged

SLOWEST = 5.0


def check(said, part):
    """Assert that an error is one short line with *part* and a cure."""
    assert part in said
    assert "; " in said
    assert "\n" not in said
    assert len(said) < 1200


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_damaged_tokenizer_is_read_or_refused_with_file_and_cure(tmp_path, llada_tokenizer_text, count):
    described = json.loads(llada_tokenizer_text)
    described["normalizer"] = {"type": "Replace", "pattern": {"Regex": " +"}, "content": " "}
    described["post_processor"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}
    path = tmp_path / "tokenizer.json"
    refused = 0
    for seed in range(count):
        path.write_text(damaged(json.dumps(described), seed), encoding="utf-8")
        start = time.process_time()
        try:
            tokenizer = HFTokenizer.from_folder(tmp_path)
            tokenizer.decode(tokenizer.encode("Copy: a, <|eot_id|> b"))
        except ValueError as error:
            check(str(error), str(path))
            refused += 1
        assert time.process_time() - start < SLOWEST, seed
    assert count // 4 < refused < count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "nobody"}}, r"must be a tokenizer that the package .* can read and run, got Exc"),
        (
            {"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": []},
            "got ValueError: no token",
        ),
        ({"decoder": 3}, r"tokenizer\.json must be a tokenizer that the package .*; fetch it again"),
    ],
)
def test_json_of_a_wrong_shape_is_refused_with_file_and_cure(tmp_path, llada_tokenizer_text, change, message):
    described = json.loads(llada_tokenizer_text) | change
    (tmp_path / "tokenizer.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        HFTokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "1" * 10_000 + "}", "\udcff"])
def test_json_that_cannot_be_parsed_is_refused(tmp_path, text):
    (tmp_path / "tokenizer.json").write_bytes(text.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"tokenizer\.json must be JSON, got .*; fetch it again"):
        HFTokenizer.from_folder(tmp_path)
