"""The tokenizer of a checkpoint that has none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.text.byte_tokenizer import ByteTokenizer

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(text=TEXTS)
def test_text_survives_a_round_trip(text):
    tokenizer = ByteTokenizer(vocab_size=320)
    ids = tokenizer.encode(text)
    assert ids == list(text.encode("utf-8"))
    assert tokenizer.decode(ids) == text


@given(ids=st.lists(st.integers(0, 319)))
def test_every_row_of_the_vocabulary_prints(ids):
    text = ByteTokenizer(vocab_size=320).decode(ids)
    assert text.count("<3") >= sum(300 <= token < 320 for token in ids)


def test_ids_that_are_no_bytes_print_as_their_number():
    assert ByteTokenizer(vocab_size=320).decode([72, 105, 256, 310, 33]) == "Hi<256><310>!"


def test_broken_utf8_shows_as_replacement_characters():
    assert ByteTokenizer(vocab_size=320).decode([0x61, 0xC3, 300, 0xA4]) == "a\ufffd<300>\ufffd"


def test_it_says_that_it_is_a_fallback_and_how_long_it_is():
    tokenizer = ByteTokenizer(vocab_size=320)
    assert (tokenizer.is_fallback, tokenizer.name, len(tokenizer)) == (True, "bytes", 320)


@pytest.mark.parametrize("token", [-1, 320])
def test_an_id_outside_the_vocabulary_is_refused(token):
    with pytest.raises(
        ValueError, match=rf"ids must be in \[0, 320\), got {token}; they belong to another vocabulary"
    ):
        ByteTokenizer(vocab_size=320).decode([1, token])


def test_a_byte_without_a_row_is_refused():
    with pytest.raises(
        ValueError, match="text must have bytes below vocab_size=64, got byte 104; a checkpoint with fewer"
    ):
        ByteTokenizer(vocab_size=64).encode("hi")


def test_an_empty_vocabulary_is_refused():
    with pytest.raises(
        ValueError, match="vocab_size must be at least 1, got 0; take the rows of the embedding"
    ):
        ByteTokenizer(vocab_size=0)
