"""Sub-blocks: stretches by hand, limits, and where a block that begins in the prompt is counted from."""

from dataclasses import replace

import pytest

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.sub_blocks import SubBlocks
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import left_to_right

PROMPTS = [(3,), (4, 5), (6, 7, 8)]


@pytest.mark.parametrize(
    "method", [SubBlocks(), SubBlocks(size=2, gamma=0.4), SubBlocks(upstream_exact=True)]
)
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [SubBlocks(**params).gamma for params in SubBlocks.sweep] == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def chosen(make_view, method, row, begin=0):
    view = replace(make_view([row], block_begin=[begin]))
    update, memory = method.step(view, None)
    assert memory is None
    return update.unmask[0].nonzero().flatten().tolist()


BY_HAND = {
    "the first stretch": (SubBlocks(size=3), [0.95, 0.2, 0.9, 0.99, 0.99, 0.99], 0, [0, 2]),
    "its best": (SubBlocks(size=3), [0.1, 0.3, 0.2, 0.99, 0.99, 0.99], 0, [1]),
    "the next one when it is full": (SubBlocks(size=3), [None, None, None, 0.5, 0.99, 0.91], 0, [4, 5]),
    "counted from the prompt": (SubBlocks(size=3), [0.1, 0.3, 0.99, 0.98, 0.97, 0.2], -1, [1]),
    "as published the first position": (
        SubBlocks(size=3, upstream_exact=True),
        [0.1, 0.95, 0.99, 0.98, 0.97, 0.2],
        0,
        [0],
    ),
    "not where the block begins in the prompt": (
        SubBlocks(size=3, upstream_exact=True),
        [0.1, 0.95, 0.99, 0.98, 0.97, 0.2],
        -1,
        [1],
    ),
}


@pytest.mark.parametrize(("method", "row", "begin", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_stretches_by_hand(make_view, method, row, begin, expected):
    assert chosen(make_view, method, row, begin) == expected


def test_only_the_first_forward_of_a_block_is_spent_on_its_first_position(make_view):
    view = make_view([[0.1, 0.95, 0.99]], block_begin=[0])
    later = replace(view, step=view.step + 1)
    update, _ = SubBlocks(upstream_exact=True).step(later, None)
    assert update.unmask[0].tolist() == [False, True, True]


def test_a_stretch_of_the_block_is_threshold():
    for size in (6, 50):
        ours = decode(HashDenoiser(), PROMPTS, SubBlocks(gamma=0.3, size=size), gen_length=12, block_length=6)
        assert ours == decode(HashDenoiser(), PROMPTS, Threshold(gamma=0.3), gen_length=12, block_length=6)


def test_stretches_of_a_block_are_blocks_of_a_model_with_full_attention():
    ours = decode(HashDenoiser(), PROMPTS, SubBlocks(gamma=0.3, size=3), gen_length=12)
    assert ours == decode(HashDenoiser(), PROMPTS, Threshold(gamma=0.3), gen_length=12, block_length=3)


def test_stretches_of_one_are_left_to_right():
    ours = decode(HashDenoiser(), PROMPTS, SubBlocks(gamma=0.3, size=1), gen_length=8)
    assert ours == decode(HashDenoiser(), PROMPTS, left_to_right(), gen_length=8, k=1)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"gamma": 0.0}, r"gamma must be in \(0, 1\], got 0\.0; 0\.9 is the published default"),
        ({"size": 0}, "size must be a whole number of at least 1, got 0; 8 is the published default"),
    ],
)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        SubBlocks(**given_)
