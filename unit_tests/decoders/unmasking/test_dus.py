"""DUS: its levels by hand and against a plain construction, deferral, what is left masked as published."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.dus import DUS
from decoders.unmasking.top_k import left_to_right

VARIANTS = {
    "default": DUS(),
    "never defers": DUS(tau=0.0),
    "always defers": DUS(tau=1.0),
    "base 3": DUS(base=3),
    "binary": DUS(order="binary", tau=0.5),
    "published": DUS(tau=0.5, upstream_exact=True),
}


@pytest.mark.parametrize("method", VARIANTS.values(), ids=VARIANTS)
def test_the_rules_are_obeyed(method):
    check_method(method)


def levels_of(make_view, method, block, length=None):
    """Return the offsets of every level of the first block."""
    view = make_view([[0.5] * (length or block)])
    view = replace(view, block_end=view.block_start + block)
    level = method.init(view).level[0].tolist()
    assert level == level[:block] * (len(level) // block), "every block has the same levels"
    return [[j for j in range(block) if level[j] == t] for t in range(max(level[:block]) + 1)]


SIZES = {
    1: [1],
    2: [2],
    3: [3],
    4: [2, 2],
    5: [5],
    6: [2, 4],
    7: [3, 4],
    8: [2, 2, 4],
    12: [2, 2, 8],
    16: [2, 2, 4, 8],
    32: [2, 2, 4, 8, 16],
    64: [2, 2, 4, 8, 16, 32],
}


@pytest.mark.parametrize("block", SIZES)
def test_a_block_has_the_published_levels(make_view, nfe_of, block):
    assert [len(level) for level in levels_of(make_view, DUS(), block)] == SIZES[block]
    assert nfe_of(DUS(tau=0.0), gen_length=2 * block, block_length=block) == {2 * len(SIZES[block])}


def test_the_levels_of_eight_go_from_coarse_to_fine(make_view):
    assert levels_of(make_view, DUS(), 8, length=24) == [[0, 4], [2, 6], [1, 3, 5, 7]]


def test_binary_levels_are_the_midpoints_of_what_is_left(make_view):
    assert levels_of(make_view, DUS(order="binary"), 12) == [[5], [2, 8], [0, 3, 6, 10], [1, 4, 7, 9, 11]]


def plain_levels(order, block, base):
    """The levels as lists: strides or midpoints, then the merge of a small last level."""
    levels, listed, stride = [], set(), block // base
    if order == "binary":
        spans = [(0, block - 1)]
        while spans:
            levels.append(sorted((low + high) // 2 for low, high in spans))
            halves = [
                half
                for low, high in spans
                for half in ((low, (low + high) // 2 - 1), ((low + high) // 2 + 1, high))
            ]
            spans = [(low, high) for low, high in halves if low <= high]
    else:
        while stride >= 1:
            levels.append([j for j in range(0, block, stride) if j not in listed])
            listed |= set(levels[-1])
            stride //= base
        levels += [[j for j in range(block) if j not in listed]] if len(listed) < block else []
    if len(levels) > 1 and len(levels[-1]) < len(levels[-2]):
        levels[-2:] = [sorted(levels[-2] + levels[-1])]
    return levels


@given(st.integers(1, 70), st.integers(2, 5), st.sampled_from(["dilated", "binary"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_levels_equal_those_built_from_lists(make_view, block, base, order):
    found = levels_of(make_view, DUS(base=base, order=order), block, length=3 * block)
    assert found == plain_levels(order, block, base)


def test_rows_of_different_blocks_have_their_own_levels(make_view):
    view = make_view([[0.5] * 8] * 3)
    view = replace(view, block_end=torch.tensor([8, 4, 2]))
    level = DUS().init(view).level.tolist()
    assert level == [[0, 2, 1, 2, 0, 2, 1, 2], [0, 1] * 4, [0] * 8]


UNSURE_AT_FOUR = [[0.9, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9], [0.9] * 8, [0.2] * 8]


def test_a_deferred_position_joins_the_next_level(play):
    """{0, 4} without 4, then {2, 6} and 4, then the rest although nothing is sure any more."""
    outcome, _ = play(DUS(tau=0.3), UNSURE_AT_FOUR)
    assert outcome.commit_step == (0, 2, 1, 2, 1, 2, 1, 2)
    assert outcome.ids == (10, 12, 11, 12, 11, 12, 11, 12)
    assert outcome.nfe == 3


def test_a_position_can_be_deferred_again_until_the_last_level(play):
    never = [[0.9] * 4 + [0.1] + [0.9] * 3] * 3
    assert play(DUS(tau=0.3), never)[0].commit_step == (0, 2, 1, 2, 2, 2, 1, 2)


def test_the_published_code_leaves_a_deferred_position_masked(play):
    outcome, canvases = play(DUS(tau=0.3, upstream_exact=True), UNSURE_AT_FOUR)
    assert outcome.ids == (10, 12, 11, 12, 0, 12, 11, 12)
    assert outcome.nfe == 3
    assert canvases[2] == [10, None, 11, None, None, None, 11, None]


def test_published_masks_left_behind_do_not_hold_up_the_next_block(play):
    unsure = [[0.1] * 8, [0.9] * 8] * 2
    outcome, canvases = play(DUS(tau=0.3, upstream_exact=True), unsure, block_length=4)
    assert outcome.ids == (0, 11, 0, 11, 0, 13, 0, 13)
    assert canvases[2] == [None, 11] * 2 + [None] * 4


def test_a_level_without_anything_sure_commits_its_best_position(play):
    script = [
        [0.1, 0.9, 0.9, 0.9, 0.2, 0.9, 0.9, 0.9],
        [0.15, 0.9, 0.2, 0.9, 0.9, 0.9, 0.2, 0.9],
        [0.9] * 8,
    ]
    assert play(DUS(tau=0.3), script)[0].commit_step == (2, 2, 1, 2, 0, 2, 2, 2)


def test_a_level_that_a_template_fills_costs_no_forward(play):
    template = [5, None, None, None, 5, None, None, None]
    outcome, _ = play(DUS(tau=0.3), [[0.1] * 8] * 2, template=template)
    assert outcome.commit_step == (-1, 1, 0, 1, -1, 1, 1, 1)
    outcome, _ = play(DUS(tau=0.3), [[0.1] * 8], template=[None] + [5] * 7)
    assert outcome.commit_step == (0,) + (-1,) * 7


def test_deferral_allows_a_millionth(play):
    for p, steps in ((0.3 - 6e-7, (0, 1, 0, 1)), (0.3 - 3e-6, (0, 1, 1, 1))):
        assert play(DUS(tau=0.3), [[0.9, 0.9, p, 0.9], [0.9] * 4])[0].commit_step == steps


def test_a_block_of_one_is_left_to_right():
    ours = decode(HashDenoiser(), [(3,), (4, 5)], DUS(), gen_length=6, block_length=1)
    assert ours == decode(HashDenoiser(), [(3,), (4, 5)], left_to_right(), gen_length=6, k=1)


def test_deferral_never_costs_a_forward(nfe_of):
    assert nfe_of(DUS(tau=1.0), gen_length=16) == nfe_of(DUS(tau=0.0), gen_length=16) == {4}


REFUSED = {
    "tau": ({"tau": 1.5}, r"tau must be in \[0, 1\], got 1\.5; 0 defers nothing"),
    "tau nan": ({"tau": float("nan")}, r"tau must be in \[0, 1\], got nan"),
    "base": ({"base": 1}, "base must be at least 2, got 1; 2 is the published default"),
    "order": ({"order": "random"}, "order must be one of dilated, binary, got 'random'; choose"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        DUS(**given)
