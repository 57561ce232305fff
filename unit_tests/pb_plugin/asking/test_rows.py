"""A question becomes a row, or is refused with the name of its sample."""

from types import SimpleNamespace

import pytest

from pb_plugin.asking.rows import build_row


def test_a_prompt_that_the_model_refuses_names_the_sample():
    def refuse(messages):
        raise ValueError(f"messages[0] content must be text, got {messages[0]['content']!r}; leave it out")

    model = SimpleNamespace(encode_prompt=refuse, tokenizer=SimpleNamespace(is_fallback=True))
    question = SimpleNamespace(
        sample=SimpleNamespace(id="s7", example=None), messages=[{"role": "user", "content": "<|mdm_mask|>"}]
    )
    spec = SimpleNamespace(id="copy_list", infilling=False, canvas=8)
    message = (
        r"prompt of copy_list/s7: messages\[0\] content must be text, got '<\|mdm_mask\|>'; leave it out"
    )
    with pytest.raises(ValueError, match=message):
        build_row(0, question, spec, None, 0, model, None)
