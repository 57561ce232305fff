"""Chat messages to prompts, generated ids to answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.text.chat import LLADA_CHAT, answer_ids, render_llada, render_plain

CHAT = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  Copy: a b\n"},
    {"role": "assistant", "content": "a b"},
    {"role": "user", "content": "Again"},
)


def test_a_llada_chat_has_a_header_per_turn_and_an_open_answer():
    assert render_llada(CHAT) == (
        "<|startoftext|>"
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nCopy: a b<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\na b<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nAgain<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_the_markers_of_a_format_are_those_it_writes():
    assert all(marker in LLADA_CHAT.render(CHAT) for marker in LLADA_CHAT.markers)
    stripped = LLADA_CHAT.render(CHAT)
    for marker in LLADA_CHAT.markers:
        stripped = stripped.replace(marker, "")
    assert "<|" not in stripped


def test_a_plain_prompt_is_the_contents_with_blank_lines_after_them():
    assert render_plain(CHAT) == "Be brief.\n\nCopy: a b\n\na b\n\nAgain\n\n"


@pytest.mark.parametrize("render", [render_llada, render_plain])
@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], r"messages must hold at least one message, got \[\]; add a user message"),
        (
            [CHAT[0], {"role": "bot", "content": ""}],
            r"messages\[1\] role must be one of system, user, assistant, got 'bot'",
        ),
        (
            [{"content": "x"}],
            r"messages\[0\] role must be one of system, user, assistant, got None; rename it",
        ),
        ([{"role": "user", "content": 3}], r"messages\[0\] content must be a text, got 3; write one string"),
    ],
    ids=["empty", "unknown role", "no role", "content is no text"],
)
def test_what_is_no_chat_is_refused(render, messages, message):
    with pytest.raises(ValueError, match=message):
        render(messages)


@given(before=st.lists(st.integers(0, 9)), after=st.lists(st.integers(0, 12)), end=st.sampled_from([10, 11]))
def test_an_answer_ends_before_the_first_end_of_any_kind(before, after, end):
    assert answer_ids([*before, end, *after], frozenset({10, 11})) == tuple(before)


def test_an_answer_without_an_end_is_everything():
    assert answer_ids([1, 2, 3], frozenset({10})) == (1, 2, 3)


def test_an_answer_may_be_empty():
    assert answer_ids([10, 1], {10}) == ()
