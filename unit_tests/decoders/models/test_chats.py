"""The chats of the families as text."""

import pytest

from decoders.models import dream, sdar
from decoders.text import chat

CHAT = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Copy: a "},
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": "Again"},
)
FORMS = {
    "dream": dream.CHAT,
    "diffucoder": dream.CODER_CHAT,
    "sdar": sdar.CHAT,
    "ling": chat.LING_CHAT,
    "llama3": chat.LLAMA3_CHAT,
    "qwen2": chat.QWEN2_CHAT,
    "qwen3": chat.QWEN3_CHAT,
    "seed_coder": chat.SEED_CODER_CHAT,
}


def test_chatml_writes_contents_as_they_are():
    assert dream.CHAT.render(CHAT) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n Copy: a <|im_end|>\n"
        "<|im_start|>assistant\na<|im_end|>\n"
        "<|im_start|>user\nAgain<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("form", "system"),
    [
        (dream.CHAT, "You are a helpful assistant."),
        (chat.QWEN2_CHAT, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
        (sdar.CHAT, None),
    ],
    ids=["dream", "qwen2", "sdar"],
)
def test_a_chat_without_a_system_message_gets_the_one_of_its_family(form, system):
    opening = "" if system is None else f"<|im_start|>system\n{system}<|im_end|>\n"
    assert form.render(CHAT[3:]) == f"{opening}<|im_start|>user\nAgain<|im_end|>\n<|im_start|>assistant\n"


def test_diffucoder_ends_the_line_before_the_end_of_a_users_turn():
    assert dream.CODER_CHAT.render(CHAT) == dream.CHAT.render(CHAT).replace(
        " Copy: a <|im_end|>", " Copy: a \n<|im_end|>"
    ).replace("Again<|im_end|>", "Again\n<|im_end|>")


def test_a_seed_coder_chat_always_has_a_system_turn_that_ends_with_a_blank_line():
    begin, end = "<[begin▁of▁sentence]>", "<[end▁of▁sentence]>"
    rest = f"{begin}user\nAgain{end}{begin}assistant\n"
    written = chat.SEED_CODER_CHAT.render(CHAT)
    assert written.startswith(
        f"{begin}system\nBe brief.\n\n{end}{begin}user\n Copy: a {end}{begin}assistant\na{end}"
    )
    assert written.endswith(rest)
    assert chat.SEED_CODER_CHAT.render(CHAT[3:]) == f"{begin}system\n{chat.SEED_CODER_SYSTEM}\n\n{end}{rest}"


def test_qwen3_answers_after_an_empty_thought():
    assert chat.QWEN3_CHAT.render(CHAT) == dream.CHAT.render(CHAT) + "<think>\n\n</think>\n\n"


def test_a_ling_chat_always_has_a_system_turn_that_switches_thinking_off():
    off = "detailed thinking off<|role_end|>"
    assert chat.render_ling(CHAT[3:]) == (
        f"<role>SYSTEM</role>{off}<role>HUMAN</role>Again<|role_end|><role>ASSISTANT</role>"
    )
    assert chat.render_ling(CHAT) == (
        f"<role>SYSTEM</role>Be brief.\n{off}<role>HUMAN</role> Copy: a <|role_end|>"
        "<role>ASSISTANT</role>a<|role_end|><role>HUMAN</role>Again<|role_end|><role>ASSISTANT</role>"
    )


def test_a_llama3_chat_always_has_a_system_turn_with_two_dates():
    dates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    opening = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n" + dates
    answer = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    assert chat.render_llama3(CHAT[3:]) == (
        f"{opening}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAgain<|eot_id|>{answer}"
    )
    assert chat.render_llama3(CHAT[:2]) == (
        f"{opening}Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nCopy: a<|eot_id|>{answer}"
    )


@pytest.mark.parametrize("name", FORMS)
def test_the_markers_of_a_format_are_those_it_writes(name):
    form = FORMS[name]
    text = form.render(CHAT)
    assert all(marker in text for marker in form.markers)
    for marker in form.markers:
        text = text.replace(marker, "")
    assert "<|" not in text
    assert set(form.end_of_turn) & set(form.markers)


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_chat_is_refused(name):
    with pytest.raises(ValueError, match="messages must hold at least one message"):
        FORMS[name].render([])
