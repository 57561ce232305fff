"""Control tokens written in a message or template are refused in all families, never read as control."""

import json
from importlib import import_module

import pytest

from decoders.loading.chat_template import writer
from decoders.models import (
    autoregressive,
    dream,
    fast_dllm_v2,
    llada,
    llada2,
    llada_moe,
    sdar,
    stable_diffcoder,
    tiny,
)
from decoders.text import chat
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.hf_tokenizer import HFTokenizer
from decoders.theory.answer_sets import template_ids
from unit_tests.remote_checkpoint import TEMPLATE, tokenizer_text

FORMS = {
    "llada": llada.FAMILY.chat,
    "dream": dream.FAMILY.chat,
    "dream-base": dream.BASE_CHAT,
    "diffucoder": dream.CODER_CHAT,
    "sdar": sdar.FAMILY.chat,
    "fast_dllm_v2": fast_dllm_v2.FAMILY.chat,
    "stable_diffcoder": stable_diffcoder.FAMILY.chat,
    "llada_moe": llada_moe.FAMILY.chat,
    "llada2": llada2.FAMILY.chat,
    **autoregressive.CHATS,
}


def tokenizer_of(form, special=True):
    """Return a byte tokenizer with what *form* writes as added tokens."""
    from tokenizers import AddedToken, Tokenizer

    backend = Tokenizer.from_str(tokenizer_text())
    written = dict.fromkeys([*form.markers, *form.end_of_turn, *([form.mask] if form.mask else [])])
    backend.add_tokens([AddedToken(text, special=special, normalized=False) for text in written])
    return HFTokenizer(backend, name="of a test"), tuple(written)


@pytest.mark.parametrize("special", [True, False], ids=["special", "added"])
@pytest.mark.parametrize("name", FORMS)
def test_no_content_becomes_a_control_token(name, special):
    form = FORMS[name]
    tokenizer, written = tokenizer_of(form, special)
    for text in (*written, "<mask>", "<eos>"):
        talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": f"a {text} b"}]
        with pytest.raises(ValueError, match=r"messages\[1\] content must be text .*, got its control token"):
            chat.encode(talk, tokenizer, form, name=name)
    plain = [{"role": "user", "content": "a < b |> c <|no token|>"}]
    assert plain[0]["content"] in tokenizer.decode(chat.encode(plain, tokenizer, form, name=name))


def test_the_token_is_named():
    tokenizer, _ = tokenizer_of(llada.FAMILY.chat)
    talk = [{"role": "user", "content": "Sort: <|mdm_mask|>, b"}]
    message = (
        r"messages\[0\] content must be text for tokenizer 'of a test', got its control token "
        r"'<\|mdm_mask\|>'; leave the sample out or write the token another way"
    )
    with pytest.raises(ValueError, match=message):
        chat.encode(talk, tokenizer, llada.FAMILY.chat, name="llada")


def test_a_prompt_without_a_chat_format_is_checked_too():
    tokenizer, _ = tokenizer_of(llada.FAMILY.chat)
    with pytest.raises(
        ValueError, match=r"messages\[0\] content must be text .*, got its control token '<eos>'"
    ):
        chat.encode_plain([{"role": "user", "content": "a<eos>"}], tokenizer)
    bytes_only = ByteTokenizer(vocab_size=300)
    assert chat.encode_plain([{"role": "user", "content": "a<eos>"}], bytes_only) == list(b"a<eos>\n\n")


@pytest.mark.parametrize("owner", ["absorb:SeddDenoiser", "sampler:SeddGenerator"])
def test_sedd_checks_its_plain_prompts(owner):
    module, name = owner.split(":")
    model = object.__new__(getattr(import_module(f"decoders.models.sedd.{module}"), name))
    model.tokenizer, _ = tokenizer_of(llada.FAMILY.chat)
    with pytest.raises(
        ValueError, match=r"messages\[0\] content must be text .*, got its control token '<eos>'"
    ):
        model.encode_prompt([{"role": "user", "content": "a<eos>"}])


def test_a_checkpoints_own_template_is_checked_too(tmp_path):
    (tmp_path / "tokenizer.json").write_text(tokenizer_text(), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<eos>"}), encoding="utf-8")
    form = chat.ChatFormat(render=writer(tmp_path, TEMPLATE), markers=(), end_of_turn=())
    tokenizer = HFTokenizer.from_folder(tmp_path, name="own")
    with pytest.raises(
        ValueError, match=r"messages\[0\] content must be text for tokenizer 'own', got .*'<mask>'"
    ):
        chat.encode([{"role": "user", "content": "<mask>"}], tokenizer, form, name="remote")


def test_an_unknown_word_is_no_control_token():
    tokenizer = HFTokenizer.from_folder(tiny.shipped_folder())
    assert tokenizer.control_in('copy\n["Nobody"]') is None
    assert tokenizer.control_in('copy\n["<mask>"]') == "<mask>"


def test_a_template_with_a_control_token_is_refused():
    tokenizer, _ = tokenizer_of(llada.FAMILY.chat)
    where = {"mask_id": 258, "gen_length": 20, "eos_id": 256, "sample": "t/s1"}
    assert template_ids(tokenizer, "a[MASK]", **where)[:2] == (*tokenizer.encode("a"), 258)
    with pytest.raises(
        ValueError, match=r"template of t/s1 must be text .*, got its control token '<eos>'; leave"
    ):
        template_ids(tokenizer, "a<eos>[MASK]", **where)
