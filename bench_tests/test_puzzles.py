"""The puzzle tasks: one item per cell of the plan."""

import pytest


@pytest.mark.pb_category("puzzles")
def test_puzzles(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
