"""Chats and answers as bytes: they come back as they went."""

from hypothesis import given
from hypothesis import strategies as st

from decoders.served.wire import END, WireTokenizer, answer_ids, chat_ids, chat_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
CHAT = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT}),
    min_size=1,
)


@given(CHAT)
def test_a_chat_comes_back(chat):
    ids = chat_ids(chat)
    assert all(0 <= token < 256 for token in ids)
    assert chat_of(tuple(ids)) == chat


@given(TEXT, st.booleans())
def test_an_answer_comes_back_and_equal_ids_are_equal_texts(text, ended):
    ids = answer_ids(text, ended=ended)
    assert WireTokenizer().decode(ids) == text
    assert (END in ids) == ended
    assert tuple(WireTokenizer().encode(text)) == ids[: len(ids) - ended]


def test_half_a_character_of_a_server_is_no_crash():
    assert WireTokenizer().decode(answer_ids("a\ud800b", ended=True)) == "a?b"
