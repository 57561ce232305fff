"""An OpenAI-style stream becomes an answer, or is refused: never half of one, never a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.served.client.answer import Gathered, Malformed
from unit_tests.decoders.served.scripted import chunks

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "content", "usage", "finish_reason", "model", "nfe"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def gathered(pieces):
    found = Gathered()
    held = [found.take(piece) for piece in pieces]
    return held, found.answer(seconds=1.0, first_token_s=None)


def test_pieces_come_together_with_what_is_told_beside_them():
    held, answer = gathered(chunks("four words are here", pieces=4, extra={"nfe": 3}))
    assert answer.text == "four words are here"
    assert (answer.finish, answer.model, answer.prompt_tokens, answer.tokens) == (
        "stop",
        "served-model",
        12,
        5,
    )
    assert held == [True] * (len(held) - 2) + [False, False]
    assert answer.extra_count("nfe") == 3


def test_extras_are_found_in_usage_and_choice_too():
    for place in ("usage", "choice"):
        (*pieces, last) = chunks("text")
        if place == "usage":
            last = {**last, "usage": {**last["usage"], "num_spec_steps": 4}}
        else:
            pieces[-1]["choices"][0]["num_spec_steps"] = 4
        assert gathered([*pieces, last])[1].extra_count("num_spec_steps") == 4


@given(st.lists(JSON, max_size=4))
def test_any_json_is_an_answer_or_malformed(pieces):
    try:
        _, answer = gathered(pieces)
    except Malformed:
        return
    assert isinstance(answer.text, str)
    assert answer.finish in {"stop", "length", "content_filter"}
    assert answer.tokens is None or answer.tokens >= 0


@given(st.text(min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 9))
def test_no_prefix_of_a_stream_is_an_answer(text, pieces, cut):
    whole = chunks(text, pieces=pieces)
    part = whole[: min(cut, len(whole) - 3)]
    with pytest.raises(Malformed, match="cut on the way"):
        gathered(part)
