"""Which items of a plan are a job's own, where many jobs share a run and know nothing of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pb_plugin.planning.cell import Cell
from pb_plugin.planning.option_grammar import Shard
from pb_plugin.portions.groups import cell_id_of, cost_of_item, label_items


def items_of_shard(nodeids: Sequence[str], cells: Mapping[str, Cell], shard: Shard) -> set[str]:
    """Return which of *nodeids* belong to *shard*.

    The groups stand in the order of the plan, so that a job needs few models, and are cut into *shard.total*
    stretches of about equal cost: a group goes to the stretch that its middle lies in. Hence the shards of a
    plan are disjoint and complete, and depend on the set of items alone.
    """
    ordered = sorted(set(nodeids), key=lambda nodeid: _place(nodeid, cells))
    labels = label_items(ordered, cells, shard.total)
    parts: dict[str, list[str]] = {}
    for nodeid in ordered:
        parts.setdefault(labels[nodeid], []).append(nodeid)
    costs = {label: sum(cost_of_item(nodeid, cells) for nodeid in part) for label, part in parts.items()}
    everything, before, chosen = sum(costs.values()), 0, set[str]()
    for label, part in parts.items():
        stretch = (2 * before + costs[label]) * shard.total // (2 * everything)
        if stretch + 1 == shard.number:
            chosen.update(part)
        before += costs[label]
    return chosen


def _place(nodeid: str, cells: Mapping[str, Cell]) -> tuple[str, int, str]:
    """Return what items are ordered by: the model, then the plan; those that are no cells come first."""
    cell = cells.get(cell_id_of(nodeid))
    return ("", -1, nodeid) if cell is None else (cell.asked.model, cell.position, nodeid)
