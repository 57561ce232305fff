"""The text-writing tasks: one item per cell of the plan."""

import pytest


@pytest.mark.pb_category("text_writing")
def test_text_writing(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
