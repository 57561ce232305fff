"""Masks and positions of padded rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from decoders.network.attention import key_mask, position_ids

torch.set_num_threads(1)

PADS = st.lists(st.integers(0, 5), min_size=1, max_size=4)


def left_padded(pads, length=8):
    return torch.arange(length) >= torch.tensor(pads).unsqueeze(1)


@given(pads=PADS)
def test_every_query_sees_exactly_the_attended_keys_of_its_row(pads):
    attend = left_padded(pads)
    mask = key_mask(attend)
    assert mask.shape == (len(pads), 1, 8, 8)
    assert mask.dtype == torch.bool
    for row in range(len(pads)):
        for query in range(8):
            assert torch.equal(mask[row, 0, query], attend[row])


def test_the_mask_takes_no_memory_for_its_queries():
    assert key_mask(torch.ones(2, 8, dtype=torch.bool)).stride(2) == 0


@given(pads=PADS)
def test_attended_tokens_are_counted_from_zero_whatever_the_padding(pads):
    for row, pad in zip(position_ids(left_padded(pads)).tolist(), pads, strict=True):
        assert row == [0] * pad + list(range(8 - pad))


def test_positions_of_right_padding_stay_at_the_last_token():
    attend = torch.tensor([[True, True, True, False, False]])
    assert position_ids(attend).tolist() == [[0, 1, 2, 2, 2]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_mask_of_numbers_is_refused(dtype):
    with pytest.raises(
        TypeError, match=r"attend must be a bool tensor, got torch\.\w+; a 0/1 float mask would be added"
    ):
        key_mask(torch.ones(1, 3, dtype=dtype))
