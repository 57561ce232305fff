"""What is asked for: flat parts, equal for equal questions, and names of what is not the default."""

from dataclasses import fields

import pytest

from decoders.rows import Setting
from decoders.unmasking.top_k import confidence
from pb_plugin.planning.options import Options
from pb_plugin.records.asked import DEFAULTS, TAGS, Asked, tags, value_text


def asked(**changes):
    values = {
        "task": "copy",
        "data_source": "own",
        "model": "ideal",
        "method": "confidence",
        "method_params": {},
        "k": 8,
        "block_length": None,
        "canvas": 32,
        "seed": 0,
    }
    return Asked(**{**values, **changes})


def test_a_block_of_the_whole_canvas_is_no_block():
    assert asked(block_length=32).parts() == asked().parts()
    assert asked(block_length=16).parts()["block_length"] == 16
    assert (asked().block, asked(block_length=32).block, asked(block_length=16).block) == (32, 32, 16)


def test_every_field_is_a_part():
    assert set(asked().parts()) == {field.name for field in fields(Asked)}


def test_a_tagged_field_is_an_option_and_a_knob_of_the_loop_with_the_same_default():
    setting, options = Setting(method=confidence(), k=1), Options()
    for name in TAGS:
        assert getattr(setting, name) == DEFAULTS[name]
        given = getattr(options, name)
        assert DEFAULTS[name] == (given[0] if isinstance(given, tuple) else given)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, []),
        ({"temperature": 1.0}, ["t1"]),
        ({"temperature": 0.25, "cache": "prefix"}, ["prefix", "t0.25"]),
    ],
)
def test_what_is_not_the_default_has_a_name(changes, names):
    assert tags(asked(**changes).tagged) == names


def test_values_have_their_shortest_form():
    assert [value_text(value) for value in (True, None, 0.9, "x", 3)] == ["true", "none", "0.9", "x", "3"]
