"""The waiting-line tasks: one item per cell of the plan."""

import pytest


@pytest.mark.pb_category("waiting_line")
def test_waiting_line(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
