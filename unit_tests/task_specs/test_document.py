"""A YAML file is plain data or one message with file, line and key: characters, aliases, tags, long ones."""

import random
import time

import pytest

from task_specs.document import LOADER, parse, problem, shown

BOMB = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED = {
    "control": (
        "id: a\nb: \x01",
        r"f.yaml, line 2: the file must be plain text, got the character '\x01'; remove",
    ),
    "nul": ("id: a\x00b", r"f.yaml, line 1: the file must be plain text, got the character '\x00'; remove"),
    "alias": (
        "a: &a [x]\nb: *a",
        "f.yaml, line 2: b must be without aliases, got 'an alias'; write the value out",
    ),
    "alias-in-list": ("a:\n - &x 1\nc:\n - *x", "f.yaml, line 3: c must be without aliases, got 'an alias'"),
    "alias-key": ("&a x: 1\ny: {*a : 2}", "y.x must be without aliases"),
    "bomb": (BOMB, "f.yaml, line 2: b must be without aliases"),
    "recursion": ("a: &a\n  b: *a", "f.yaml, line 2: a.b must be without aliases"),
    "timestamp": (
        "id: a\nb: !!timestamp abc",
        "f.yaml, line 2: b must be a timestamp, got 'abc'; correct it, or",
    ),
    "date": ("id: a\nb:\n  c: [2001-99-99]", "f.yaml, line 3: b.c must be a timestamp, got '2001-99-99'"),
    "float": ("id: !!float abc", "f.yaml, line 1: id must be a float, got 'abc'"),
    "int": ("id: !!int ''", "f.yaml, line 1: id must be a int, got ''"),
    "bool": ("id: !!bool maybe", "f.yaml, line 1: id must be a bool, got 'maybe'"),
    "key": ("2001-99-99: x", "f.yaml, line 1: 2001-99-99 must be a timestamp, got '2001-99-99'"),
    "digits": (f"id: {'9' * 5000}", f"f.yaml, line 1: id must be a int, got '{'9' * 80} ... {'9' * 40}'"),
    "deep": ("a: " + "[" * 100_000, "f.yaml"),
    "deep-but-closed": ("a: " + "[" * 900 + "]" * 900, "f.yaml"),
    "object": ("a: !!python/object:os.system x", "f.yaml, line 1: the file must be plain YAML, got"),
    "twice": (
        f'? "{"k" * 999}"\n: x\n? "{"k" * 999}"\n: y',
        f"line 3: '{'k' * 80} ... {'k' * 40}' must be there once",
    ),
    "escape-in-key": ('"a\\e[31m": 1\n"a\\e[31m": 2', r"f.yaml, line 2: 'a\x1b[31m' must be there once"),
}


HANG_S = 15.0
"""What an alias bomb took at least; a busy machine is never called a hang."""


def refusal(text):
    """Return the message that refuses *text*, checked for its form, or nothing."""
    try:
        parse(text, "f.yaml")
    except ValueError as error:
        said = str(error)
    else:
        return ""
    assert said.startswith("f.yaml"), said
    assert said.isprintable(), said
    assert len(said) < 600, said
    return said


@pytest.mark.parametrize("loader", [None, "pure"])
@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_data_is_one_message_at_once(monkeypatch, text, message, loader):
    if loader == "pure":
        import yaml

        monkeypatch.setattr("task_specs.document.LOADER", yaml.SafeLoader)
    started = time.process_time()
    said = refusal(text)
    assert message in said or (text.endswith("]") and not said)
    assert time.process_time() - started < HANG_S


def test_an_anchor_that_nobody_uses_is_no_alias():
    assert parse("a: &a 5\nb: [1, 1]", "f.yaml").values == {"a": 5, "b": [1, 1]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "'a'"),
        (None, "None"),
        ("x" * 161, f"'{'x' * 80} ... {'x' * 40}'"),
        ([1] * 999, f"[1, {'1, ' * 25}1 ... "),
    ],
)
def test_a_long_value_is_shown_by_its_ends(value, expected):
    assert shown(value).startswith(expected)
    assert len(str(problem("f", "k", "short", value, "cut it"))) < 200


def test_a_value_that_cannot_be_shown_is_named_by_its_kind():
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert shown(deep) == "a list"
    assert shown(10**5_000) == "a int"


PIECES = [
    "a", "b", ":", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "&a ", "*a", "!!int ", "!!timestamp ",
    "!!binary ", "!!set ", "!!omap ", "!!python/name:os ", "!x ", "'", '"', "\\x", "\\ud800", "|\n", ">\n",
    "#", "? ", "<<: ", "---\n", "...\n", "%YAML 1.1\n", "2001-99-99", "1:2", ".inf", "0x", "~", "\t", "\x00",
    "\x85", "\u2028", "é", "\U0001f600", "9" * 50,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_random_file_is_read_or_refused_in_one_message(seed):
    draw = random.Random(seed)
    for _ in range(1_500):
        text = "".join(draw.choices(PIECES, k=draw.randrange(1, 40)))
        if draw.random() < 0.7:
            text = f"id: x\n{text}"
        started = time.process_time()
        refusal(text)
        assert time.process_time() - started < HANG_S, text


def test_the_loader_is_one_of_plain_data():
    assert LOADER.__name__ in ("CSafeLoader", "SafeLoader")
