"""Every cell of the plan becomes a test item: task x model x method x setting."""


def test_cell(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
