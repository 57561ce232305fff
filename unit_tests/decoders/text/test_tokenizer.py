"""The tokenizer of the exact model: given pieces are one token, the rest is bytes, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.text.tokenizer import EOS_ID, FIRST_BYTE, MASK_ID, PieceTokenizer

PIECES = ("Ann", "Anna", " Lee", '["', '", "', '"]', "é", "a", "\n\n")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(text=TEXT, pieces=st.lists(TEXT.filter(bool), unique=True, max_size=5))
def test_decoding_gives_back_any_text_under_any_pieces(text, pieces):
    tokenizer = PieceTokenizer(pieces)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(FIRST_BYTE <= token < len(tokenizer) for token in ids)


@given(text=st.lists(st.sampled_from([*PIECES, "n", "L", " ", "Ø"])).map("".join))
def test_decoding_gives_back_texts_made_of_pieces(text):
    tokenizer = PieceTokenizer(PIECES)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_ids_are_mask_eos_bytes_and_pieces_in_order():
    tokenizer = PieceTokenizer(PIECES)
    assert (MASK_ID, EOS_ID, FIRST_BYTE) == (0, 1, 2)
    assert tokenizer.encode("A") == [2 + 65]
    assert tokenizer.encode("Ann") == [258]
    assert tokenizer.encode("é") == [258 + 6], "two bytes, one piece"
    assert tokenizer.encode("a") == [2 + 97], "an ASCII character is a token anyway"
    assert len(tokenizer) == 258 + len(PIECES) - 1


def test_the_longest_piece_wins():
    tokenizer = PieceTokenizer(PIECES)
    assert [tokenizer.decode([token]) for token in tokenizer.encode("Anna Lee, Ann\n\n")] == [
        *("Anna", " Lee", ",", " ", "Ann", "\n\n")
    ]


def test_pieces_are_texts_and_not_patterns():
    tokenizer = PieceTokenizer([".*", "a+", "[b]"])
    assert len(tokenizer.encode(".*a+[b]")) == 3
    assert len(tokenizer.encode("xaab")) == 4


def test_mask_and_eos_are_dropped_and_broken_bytes_are_shown():
    tokenizer = PieceTokenizer(PIECES)
    assert tokenizer.decode([MASK_ID, 258, EOS_ID, EOS_ID]) == "Ann"
    assert tokenizer.decode([FIRST_BYTE + 0xC3]) == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("pieces", "shown"), [(["Ann", "Bo", "Ann"], "'Ann'"), (["Ann", ""], "''")])
def test_empty_and_repeated_pieces_are_refused(pieces, shown):
    with pytest.raises(ValueError, match=rf"pieces must be distinct and not empty, got {shown}; remove it"):
        PieceTokenizer(pieces)
