"""Chat templates that others wrote: what they may write, how long they may take, and how they are refused."""

import json
import time
from random import Random

import pytest

from decoders.loading.chat_template import SECONDS, TemplateProcess, read_template, writer
from decoders.loading.checkpoint import LoadError
from unit_tests.remote_checkpoint import TEMPLATE, tokenizer_text

CHAT = [{"role": "user", "content": " Copy: a "}]
CONTENT = "{{ messages[0].content }}"


def test_the_prompt_is_that_of_transformers(tmp_path):
    from transformers import PreTrainedTokenizerFast

    (tmp_path / "tokenizer.json").write_text(tokenizer_text(), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": "<eos>"}', encoding="utf-8")
    theirs = PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"), chat_template=TEMPLATE, bos_token="<eos>"
    )
    chat = [{"role": "system", "content": "Be\nbrief. é😀"}, *CHAT]
    expected = theirs.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    render = writer(tmp_path, TEMPLATE)
    assert render(chat) == expected == "<eos><system>Be\nbrief. é😀<user> Copy: a <assistant>"
    assert render(CHAT) == "<eos><user> Copy: a <assistant>"


REFUSED = {
    "nothing of the user": (
        "{{ messages[0].role }}",
        r"must write every message, got .*messages\[0\] \(user\)",
    ),
    "the start only": ("{{ messages[0].content[:3] }}", r"must write every message, got a prompt without"),
    "random": ("{{ range(10**5)|random }}" + CONTENT, "got two different prompts for the same chat"),
    "division": ("{{ 1/0 }}", r"got division by zero \(ZeroDivisionError\); correct the template, or"),
    "recursion": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", r"got .*RecursionError\); correct"),
    "include": ("{% include 'other' %}", r"got no loader .*\(TypeError\); correct the template"),
    "syntax": ("{% if %}", r"\(TemplateSyntaxError\); correct the template, or remove it"),
    "refusal": ("{{ raise_exception('no') }}", r"got no \(TemplateError\); correct the template"),
    "long": (CONTENT + "{{ 'a' * 2000000 }}", "got a prompt of 2000009 characters, above 1000000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_template_may_not_do_is_refused_in_one_message(tmp_path, name):
    template, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        writer(tmp_path, template)(CHAT)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


HUNGRY = {
    "product": "{{ 'a' * 10**10 }}" + CONTENT,
    "indent": "{{ [1]|tojson(indent=10**9) }}" + CONTENT,
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}" + CONTENT,
}


@pytest.mark.parametrize("name", HUNGRY)
def test_a_template_that_never_ends_is_stopped_and_the_next_chat_is_written(tmp_path, name):
    process = TemplateProcess(seconds=1.0)
    start = time.monotonic()
    answer = process.ask({"template": HUNGRY[name], "messages": CHAT, "tokens": {}})
    assert "MemoryError" in answer["error"] or answer["error"] == "no prompt within 1 s and 512 MB"
    assert time.monotonic() - start < 60.0
    again = process.ask({"template": CONTENT, "messages": CHAT, "tokens": {}})
    assert again == {"text": " Copy: a "}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("chat_template.jinja", b"\xff", r"chat_template\.jinja must be UTF-8, got .*; fetch it again"),
        (
            "tokenizer_config.json",
            b'{"chat_template": [{"name": []}]}',
            r"must be a text, got \[\{'name': \[\]",
        ),
        ("tokenizer_config.json", b'{"chat_template": [{"name": "default"}]}', None),
        (
            "tokenizer_config.json",
            b'{"chat_template": {"default": "x"}}',
            "chat_template must be a text, got",
        ),
        (
            "tokenizer_config.json",
            b"[" * 100_000,
            r"tokenizer_config\.json must be JSON, got .*; fetch it again",
        ),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, file, content, message):
    (tmp_path / file).write_bytes(content)
    if message is None:
        assert read_template(tmp_path) is None
        return
    with pytest.raises(LoadError, match=message):
        read_template(tmp_path)


def test_every_default_template_of_a_list_is_read(tmp_path):
    entries = [{"name": "tool", "template": "no"}, {"name": "default", "template": TEMPLATE}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": entries}), encoding="utf-8")
    assert read_template(tmp_path) == TEMPLATE


PIECES = (
    *(
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{ messages[0].content }}",
        "{{ messages }}",
        "{{ bos_token }}",
        " a ",
    ),
    *(
        "{% for m in messages %}",
        "{% endfor %}",
        "{% if messages %}",
        "{% else %}",
        "{% endif %}",
        "{% break %}",
    ),
    *(
        "{% macro f(x) %}",
        "{% endmacro %}",
        "{{ f(1) }}",
        "{% set x = x * 9 %}",
        "{% generation %}",
        "{{ 1/0 }}",
    ),
    *(
        "{% include 'a' %}",
        "{% extends x %}",
        "{{ [].__class__ }}",
        "{{ x|tojson(indent=10**8) }}",
        "{{ 'a'*10**9 }}",
    ),
    *(
        "{{ range(10**7)|list }}",
        "{{ messages.pop() }}",
        "{{ namespace(a=1).a }}",
        "{{ x.y.z }}",
        "\x00",
        "\ud800",
        "é",
    ),
)
"""What random templates are put together from."""


@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_a_random_template_is_rendered_or_refused_in_one_line(tmp_path, count):
    draw = Random(count)
    refused = []
    for _ in range(count):
        template = "".join(draw.choices(PIECES, k=draw.randint(1, 6)))
        start = time.monotonic()
        try:
            assert "Copy: a" in writer(tmp_path, template)(CHAT)
        except ValueError as error:
            refused.append(str(error))
        assert time.monotonic() - start < SECONDS + 60.0, template
    assert 0 < len(refused) < count
    assert all("; correct the template, or" in said and "\n" not in said for said in refused)
