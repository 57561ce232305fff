"""A template is filled with plain fields, and says what is wrong with it."""

import pytest

from task_specs.template import field_names, fill


def test_fields_are_filled_in_and_doubled_braces_are_single():
    assert fill("{{{word}}} at {index}", {"word": "{x}", "index": 2}) == "{{x}} at 2"


def test_a_missing_field_is_named():
    with pytest.raises(LookupError, match=r"a field of the prompt must be one of word, got 'index'; correct"):
        fill("{index}", {"word": "A"})


@pytest.mark.parametrize("template", ["{a.b}", "{a[0]}", "{}", "{0}", "{a!r}", "{a:>9}", "{a:}{b!s}"])
def test_a_template_holds_plain_names_only(template):
    with pytest.raises(ValueError, match="prompt must be a template of plain field names, got"):
        field_names(template)


@pytest.mark.parametrize("template", ["{a", "a}", "{{a}"])
def test_braces_come_in_pairs(template):
    with pytest.raises(ValueError, match=r"prompt must be a template with paired braces, got .*; write"):
        field_names(template)
