"""The synthetic list operations, which run only when named by --task: one item per cell of the plan."""

import pytest


@pytest.mark.pb_category("list_ops")
def test_list_ops(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
