"""Draws are uniform, independent of each other, and functions of their key alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop import draws

N = 200_000
ALPHA = 1e-6
KS_LIMIT = math.sqrt(-math.log(ALPHA / 2) / 2)
INT64 = st.integers(-(2**63), 2**63 - 1)
FIVE = torch.tensor(5)


def distance_from_uniform(sample):
    """Return sqrt(n) times the largest gap between the sample's distribution and the uniform one."""
    ordered = sample.sort().values
    steps = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
    return (
        float(torch.maximum(steps - ordered, ordered - steps + 1 / len(ordered)).max()) * len(ordered) ** 0.5
    )


@given(keys=st.lists(INT64, min_size=1, max_size=20))
@settings(deadline=None)
def test_every_draw_is_float64_strictly_between_0_and_1(keys):
    drawn = draws.uniform(torch.tensor([*keys, -1, 0, -(2**63), 2**63 - 1]))
    assert drawn.dtype == torch.float64
    assert ((drawn > 0.0) & (drawn < 1.0)).all()


def test_gumbel_noise_of_the_extreme_draws_is_finite():
    noise = -torch.log(-torch.log(draws.uniform(torch.tensor([0, -1]))))
    assert torch.isfinite(noise).all()


@pytest.mark.parametrize("varied", ["row", "step", "position", "purpose", "canvas"])
def test_draws_are_uniform_over_every_part_of_the_key(varied):
    counter = torch.arange(N)
    parts = {"row": draws.row_key(0, "n4-017"), "step": 3, "canvas": 12345, "position": 7, "purpose": 2}
    key = draws.combine(*[counter if name == varied else torch.tensor(parts[name]) for name in parts])
    assert distance_from_uniform(draws.uniform(key)) < KS_LIMIT


def test_draws_of_hashed_sample_ids_are_uniform():
    keys = torch.tensor([draws.row_key(0, f"n4-{index:03d}") for index in range(5000)])
    assert distance_from_uniform(draws.uniform(draws.combine(keys, 0, draws.ORDER))) < KS_LIMIT


PAIRS = {
    "purposes": lambda i: (draws.combine(i, draws.TOKEN_TIE), draws.combine(i, draws.POSITION_TIE)),
    "neighbouring positions": lambda i: (draws.combine(FIVE, i), draws.combine(FIVE, i + 1)),
    "neighbouring steps": lambda i: (draws.combine(i, 4, 9), draws.combine(i + 1, 4, 9)),
    "swapped parts": lambda i: (draws.combine(i, 5), draws.combine(FIVE, i)),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_draws_of_keys_that_differ_in_one_part_are_independent(pair):
    """A table of 16 x 16 cells holds what independence says (chi-square, 255 degrees, 1e-6)."""
    first, second = (draws.uniform(key) for key in pair(torch.arange(N) + 10))
    cell = (first * 16).long() * 16 + (second * 16).long()
    counts = torch.bincount(cell, minlength=256).double()
    expected = N / 256
    assert float(((counts - expected) ** 2 / expected).sum()) < 377.0
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) * N**0.5 < 5.0


def test_row_key_never_changes():
    """Records depend on these numbers: a change makes every stored result another experiment."""
    assert draws.row_key(0, "n4-017") == 7644696630319441341
    assert draws.row_key(1, "n4-017") == 6118003990068533982


def test_hash_and_draw_never_change():
    key = draws.combine(torch.tensor([1, 2]), 3)
    assert draws.combine(torch.tensor(1), 2).item() == -4838594755968170389
    assert draws.uniform(key).tolist() == [0.6924455848746632, 0.6521223026039132]


@given(rows=st.lists(INT64, min_size=1, max_size=5), width=st.integers(1, 6))
@settings(deadline=None)
def test_a_draw_does_not_depend_on_the_shape_it_is_drawn_in(rows, width):
    together = draws.combine(torch.tensor(rows).unsqueeze(1), torch.arange(width), draws.ORDER)
    for row, key in enumerate(rows):
        for position in range(width):
            assert draws.combine(torch.tensor(key), position, draws.ORDER) == together[row, position]


def test_the_order_of_the_parts_matters():
    assert draws.combine(torch.tensor(1), 2) != draws.combine(torch.tensor(2), 1)


@given(data=st.data(), length=st.integers(1, 8))
@settings(deadline=None)
def test_canvas_keys_agree_exactly_where_canvases_do(data, length):
    row = st.lists(st.integers(0, 3), min_size=length, max_size=length)
    rows = data.draw(st.lists(row, min_size=2, max_size=6))
    keys = draws.canvas_key(torch.tensor(rows)).tolist()
    alone = [draws.canvas_key(torch.tensor([one])).item() for one in rows]
    assert keys == alone
    assert len(set(keys)) == len({tuple(one) for one in rows})
