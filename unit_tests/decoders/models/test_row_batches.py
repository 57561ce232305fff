"""Batches of rows for models that own their loop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from decoders.network import attention
from decoders.network.row_batches import canvas_of, in_batches, padded_prompts, positions_of, read_params
from decoders.rows import Decoded

torch.set_num_threads(1)


@given(
    shapes=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=12), tokens=st.integers(1, 40)
)
def test_every_row_is_decoded_once_in_fitting_batches_and_comes_back_in_order(make, shapes, tokens):
    rows = [make(place, range(n), g) for place, (n, g) in enumerate(shapes)]
    seen = []

    def decode(batch):
        width = max(len(row.prompt_ids) + row.gen_length for row in batch)
        assert len(batch) == 1 or len(batch) * width <= tokens
        assert len({row.gen_length for row in batch}) == 1
        seen.extend(row.key for row in batch)
        return [Decoded(key=row.key, ids=(), nfe=1, commit_step=None) for row in batch]

    assert [result.key for result in in_batches(rows, decode, tokens=tokens)] == list(range(len(rows)))
    assert sorted(seen) == list(range(len(rows)))


@pytest.fixture(scope="module")
def make():
    from types import SimpleNamespace

    from decoders.rows import Row, Setting

    setting = Setting(method=SimpleNamespace(name="native", takes_k=False))
    return lambda key, prompt, length: Row(
        key=key, prompt_ids=tuple(prompt), gen_length=length, setting=setting
    )


def test_prompts_are_padded_on_the_left(make):
    prompts, attend = padded_prompts([make(0, [4, 5], 1), make(1, [6, 7, 8], 1)], pad_id=9, device="cpu")
    assert prompts.tolist() == [[9, 4, 5], [6, 7, 8]]
    assert attend.tolist() == [[False, True, True], [True, True, True]]


def test_without_any_prompt_a_canvas_is_what_it_is_filled_with(make):
    fill = torch.tensor([[1, 2], [3, 4]])
    canvas, attend = canvas_of([make(0, [], 2), make(1, [], 2)], pad_id=9, fill=fill)
    assert torch.equal(canvas, fill)
    assert attend.all()
    assert positions_of(3, (2, 2), torch.device("cpu")).tolist() == [[0, 3], [0, 4], [1, 3], [1, 4]]


def test_parameters_override_defaults_of_the_same_type():
    defaults = {"steps": None, "rate": 0.5, "kind": "a"}
    assert read_params({"steps": 3, "rate": 1}, defaults, name="m") == {"steps": 3, "rate": 1, "kind": "a"}
    assert read_params({"steps": None}, defaults, name="m") == defaults
    for params in ({"steps": 1.0}, {"rate": True}, {"kind": 3}):
        with pytest.raises(ValueError, match=r"must be of type (int|float|str) for 'm', got"):
            read_params(params, defaults, name="m")


@given(pads=st.integers(0, 3), length=st.integers(1, 6), queries=st.integers(1, 9))
def test_a_causal_mask_shows_what_is_attended_up_to_each_query(pads, length, queries):
    attend = torch.arange(pads + length)[None] >= pads
    queries = min(queries, pads + length)
    mask = attention.causal_mask(attend, queries)
    assert mask.shape == (1, 1, queries, pads + length)
    for row, place in enumerate(range(pads + length - queries, pads + length)):
        expected = [key == place or pads <= key <= place for key in range(pads + length)]
        assert mask[0, 0, row].tolist() == expected


@given(pads=st.integers(0, 5), length=st.integers(1, 12), block=st.integers(1, 5))
def test_a_block_mask_has_its_grid_at_the_first_token(pads, length, block):
    attend = torch.arange(pads + length)[None] >= pads
    mask = attention.block_mask(attend, block)[0, 0]
    for query in range(length):
        for key in range(length):
            assert bool(mask[pads + query, pads + key]) == (key // block <= query // block)
    assert not mask[:, :pads].any()
    assert mask.any(dim=1).all(), "even padding sees something"


def test_masks_of_numbers_are_refused():
    for build in (attention.block_mask, attention.causal_mask):
        with pytest.raises(
            TypeError, match=r"attend must be a bool tensor, got torch\.float32; a 0/1 float mask"
        ):
            build(torch.ones(1, 3), 2)
