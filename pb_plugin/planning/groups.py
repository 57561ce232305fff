"""Which cells are decoded together, by which worker: the same labels in every process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pb_plugin.planning.cell import Cell

GROUPS_PER_WORKER = 2
"""With fewer groups than this for each worker, groups are split."""


def groups(cells: Iterable[Cell], n_workers: int, *, for_gates: bool = False) -> dict[str, str]:
    """Return the label of the group of every cell, by cell id.

    A group is decoded in one sweep by one worker: a model and task; with fewer than two groups per worker
    also a method, then a single setting. A run *for_gates* alone has groups of a model and setting, all tasks
    together, as gates ask for means over tasks. Every process that has the same cells gets the same labels.
    """
    chosen = list(cells)
    by_task = {cell.id: "|".join(cell.group) for cell in chosen}
    by_method = {cell.id: f"{by_task[cell.id]}|{cell.asked.method}" for cell in chosen}
    by_setting = {cell.id: f"{by_task[cell.id]}|{cell.id}" for cell in chosen}
    if n_workers <= 1:
        return by_task
    if for_gates:
        return {cell.id: f"{cell.asked.model}|{cell.id.removeprefix(cell.task)}" for cell in chosen}
    for labels in (by_task, by_method):
        if len(set(labels.values())) >= GROUPS_PER_WORKER * n_workers:
            return labels
    return by_setting


def model_of(label: str) -> str:
    """Return the model of a group label; a label that is no group of cells stands for itself."""
    return label.partition("|")[0]


def cell_id_of(nodeid: str) -> str:
    """Return what a node id has in its last brackets, or nothing."""
    return nodeid.rpartition("[")[2][:-1] if nodeid.endswith("]") else ""


def label_items(
    nodeids: Sequence[str], cells: Mapping[str, Cell], n_workers: int, *, for_gates: bool = False
) -> dict[str, str]:
    """Return the group label of every node id; items that are no cells go by their module.

    Args:
        nodeids: The selected items of the session.
        cells: The plan's cells by id.
        n_workers: How many processes share the items.
        for_gates: See `groups`.
    """
    chosen = {nodeid: cells[cell_id_of(nodeid)] for nodeid in nodeids if cell_id_of(nodeid) in cells}
    labels = groups(dict.fromkeys(chosen.values()), n_workers, for_gates=for_gates)
    return {
        nodeid: labels[chosen[nodeid].id] if nodeid in chosen else nodeid.partition("::")[0]
        for nodeid in nodeids
    }
