"""The front door: plain ids in, decoded rows out in order, and an error for what does not fit."""

import pytest
import torch

from decoders.loop.batching import decode
from decoders.rows import DecodeError
from decoders.testing import HashDenoiser
from decoders.unmasking.top_k import confidence


class Full(HashDenoiser):
    """Has no room for any canvas."""

    def __call__(self, canvas, attend, query, contexts):
        raise torch.OutOfMemoryError("tried to allocate")


def test_decode_returns_the_rows_in_the_order_of_the_prompts():
    prompts = [(5,) * 40, (3,), (4, 6), ()]
    done = decode(HashDenoiser(), prompts, confidence(), gen_length=6, k=4, seed=2)
    assert [row.key for row in done] == [0, 1, 2, 3]
    assert [row.nfe for row in done] == [2, 2, 2, 2]
    assert decode(HashDenoiser(), [], confidence(), gen_length=6, k=4) == []


@pytest.mark.parametrize("name", ["templates", "contexts"])
def test_decode_refuses_lists_that_do_not_pair_up(name):
    with pytest.raises(ValueError, match=rf"{name} must be one per prompt \(2\), got 1; pair them up"):
        decode(HashDenoiser(), [(3,), (4,)], confidence(), gen_length=2, k=1, **{name: [(0, 0)]})


def test_decode_refuses_a_setting_that_does_not_fit():
    with pytest.raises(ValueError, match="method 'confidence' needs k or max_steps"):
        decode(HashDenoiser(), [(3,)], confidence(), gen_length=2)


def test_decode_raises_the_first_failure():
    with pytest.raises(DecodeError, match="ran out of memory on row 0 alone") as caught:
        decode(Full(), [(), ()], confidence(), gen_length=2, k=1)
    assert caught.value.kind == "oom"
