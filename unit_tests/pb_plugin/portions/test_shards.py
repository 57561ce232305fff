"""Shards of a plan: disjoint, complete, even, and the same for every order of items."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.planning.option_grammar import Shard, parse_shard
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.portions.groups import PARTS_PER_WORKER, cell_id_of, cost_of_item
from pb_plugin.portions.shards import items_of_shard

CELLS = {
    cell.id: cell
    for cell in plan(
        Options(
            model=("ideal", "llada", "dream"), task=("copy", "sort", "sudoku"), unmasking=("random", "klass")
        )
    ).cells
}
ITEMS = [*(f"bench.py::test_cell[{cell_id}]" for cell_id in CELLS), "unit.py::test_a", "unit.py::test_b[1]"]


@given(st.lists(st.sampled_from(ITEMS), unique=True), st.integers(1, 50), st.randoms())
def test_the_shards_of_any_items_are_disjoint_and_complete_in_any_order(items, count, rng):
    shards = [items_of_shard(items, CELLS, Shard(number, count)) for number in range(1, count + 1)]
    assert sorted(nodeid for shard in shards for nodeid in shard) == sorted(items)
    rng.shuffle(items)
    assert [items_of_shard(items, CELLS, Shard(number, count)) for number in range(1, count + 1)] == shards


@pytest.mark.parametrize("count", range(1, 9))
def test_the_shards_are_even_by_cost_and_need_few_models(count):
    costs, n_models = [], 0
    for number in range(1, count + 1):
        mine = items_of_shard(ITEMS, CELLS, Shard(number, count))
        costs.append(sum(cost_of_item(nodeid, CELLS) for nodeid in mine))
        n_models += len({CELLS[cell_id_of(nodeid)].model for nodeid in mine if cell_id_of(nodeid) in CELLS})
    even = sum(costs) / count
    largest_part = max(even / PARTS_PER_WORKER, max(cost_of_item(nodeid, CELLS) for nodeid in ITEMS))
    assert max(costs) <= even + largest_part
    assert n_models <= 3 + count - 1, "each boundary parts one model at most"


def test_one_shard_is_everything_and_more_shards_than_items_leave_some_empty():
    assert items_of_shard(ITEMS, CELLS, Shard(1, 1)) == set(ITEMS)
    assert items_of_shard([], CELLS, Shard(1, 3)) == set()
    few = [items_of_shard(ITEMS[:2], CELLS, Shard(number, 50)) for number in range(1, 51)]
    assert sorted(map(len, few))[-3:] == [0, 1, 1]


@pytest.mark.parametrize("text", ["", "1", "/", "1/", "0/3", "4/3", "-1/3", "a/b", "1/2/3"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(
        ValueError, match=r"--pb-shard must be i/n with 1 <= i <= n, got .*; the first of eight"
    ):
        parse_shard(text)


def test_a_shard_is_written_as_it_is_read():
    assert parse_shard(" 2 / 8 ") == Shard(2, 8)
    assert str(Shard(2, 8)) == "2/8"
