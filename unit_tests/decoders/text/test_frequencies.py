"""Token counts: what is counted, the file's round trip and checksum, and what is wrong in a bad file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.frequencies import TokenCounts, count_tokens, read_counts

GOLDEN_TABLE = (
    Path(__file__).resolve().parents[3] / ".." / "shared" / "golden" / "traces" / "token_frequency.json"
)


def test_every_token_of_every_text_is_counted():
    found = count_tokens(iter(["abba", "", "b"]), ByteTokenizer(vocab_size=320))
    (a,), (b,) = (ByteTokenizer(vocab_size=320).encode(letter) for letter in "ab")
    assert found.total == 5
    assert found.counts == {a: 2, b: 3}


@given(st.dictionaries(st.integers(0, 10**6), st.integers(1, 10**12), min_size=1), st.integers(0, 9))
def test_a_written_table_reads_back_equal(tmp_path_factory, counts, unlisted):
    path = tmp_path_factory.mktemp("counts") / "counts.json"
    table = TokenCounts(total=sum(counts.values()) + unlisted, counts=counts)
    table.write(path)
    assert read_counts(path) == table
    assert read_counts(path).checksum == table.checksum


def test_the_file_has_the_published_keys_and_ascending_ids(tmp_path):
    TokenCounts(total=9, counts={10: 2, 9: 3}).write(tmp_path / "t.json")
    content = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert content == {"num_token": 9, "p_baseline_dict": {"9": 3, "10": 2}}
    assert list(content["p_baseline_dict"]) == ["9", "10"]


def test_the_checksum_is_of_the_numbers_and_not_of_the_layout(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('{"p_baseline_dict": {"7": 1,\n "3": 2}, "note": "x", "num_token": 3}', encoding="utf-8")
    same = TokenCounts(total=3, counts={3: 2, 7: 1})
    assert read_counts(path).checksum == same.checksum
    others = [
        TokenCounts(total=4, counts={3: 2, 7: 1}),
        TokenCounts(total=3, counts={3: 1, 7: 2}),
        TokenCounts(total=3, counts={3: 2, 8: 1}),
    ]
    assert len({same.checksum, *(other.checksum for other in others)}) == 4


@pytest.mark.skipif(
    not GOLDEN_TABLE.is_file(), reason="the golden table is development data not present here"
)
def test_the_golden_table_is_read():
    table = read_counts(GOLDEN_TABLE)
    assert table.total == sum(table.counts.values()) == 1749374
    assert len(table.counts) == 221
    assert table.counts[0] == 126


def test_texts_without_a_token_are_refused():
    with pytest.raises(ValueError, match="texts must hold at least one token, got none; give a file"):
        count_tokens(["", ""], ByteTokenizer(vocab_size=320))


BAD = {
    "not json": ('{"num_token": 3,\n oops}', r"t\.json:2: table must be JSON, got .*; write the file anew"),
    "list": ("[1]", r"t\.json: table must be an object with num_token and p_baseline_dict .*got \[1\]; make"),
    "no counts": ('{"num_token": 3}', r"t\.json: table must be an object with .* got \{'num_token': 3\}"),
    "empty": ('{"num_token": 3, "p_baseline_dict": {}}', r"t\.json: table must be an object with"),
    "long": (json.dumps({"x": "y" * 99}), r"got \{'x': 'y{53} \.\.\.; make"),
    "key": (
        '{"num_token": 3, "p_baseline_dict": {"cat": 3}}',
        r"t\.json: keys of p_baseline_dict must be token ids, got 'cat'; remove it",
    ),
    "zeros in key": ('{"num_token": 3, "p_baseline_dict": {"007": 3}}', "must be token ids, got '007'"),
    "superscript": ('{"num_token": 3, "p_baseline_dict": {"\u00b2": 3}}', "must be token ids, got '\u00b2'"),
    "negative key": ('{"num_token": 3, "p_baseline_dict": {"-1": 3}}', "must be token ids, got '-1'"),
    "zero": (
        '{"num_token": 3, "p_baseline_dict": {"7": 0}}',
        r"t\.json: p_baseline_dict\['7'\] must be a whole number, at least 1, got 0; leave out",
    ),
    "float": ('{"num_token": 3, "p_baseline_dict": {"7": 1.5}}', r"at least 1, got 1\.5"),
    "bool": ('{"num_token": 3, "p_baseline_dict": {"7": true}}', "at least 1, got True"),
    "total": (
        '{"num_token": 2, "p_baseline_dict": {"7": 3}}',
        r"t\.json: num_token must be a whole number, at least the sum 3 of the counts, got 2; count again",
    ),
    "no total": ('{"p_baseline_dict": {"7": 3}}', "num_token must be a whole number, .* got None"),
    "float total": ('{"num_token": 3.0, "p_baseline_dict": {"7": 3}}', r"num_token must be .* got 3\.0"),
    "twice": (
        '{"num_token": 9, "p_baseline_dict": {"7": 3, "7": 4}}',
        r"t\.json: keys must be given once, got '7' twice; remove one",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_file_that_is_no_table_is_named_with_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "t.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_counts(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"table must be a readable JSON file of token counts, got '.*gone'"):
        read_counts(tmp_path / "gone")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        ValueError, match=r"table must be a readable JSON file of token counts, got '.*bytes'"
    ):
        read_counts(tmp_path / "bytes")
