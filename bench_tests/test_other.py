"""Tasks of your own categories: one item per cell of the plan."""

import pytest


@pytest.mark.pb_category("other")
def test_other(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
