"""Which cells are decoded together, by which worker: the same labels in every process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pb_plugin.planning.cell import Cell
from pb_plugin.portions.cost import cost_of

PARTS_PER_WORKER = 4
"""A group that costs more than this part of a worker's share is cut, so that the last worker to end is alone
for a short while. A finer cut would share fewer forwards."""


def groups(cells: Iterable[Cell], n_workers: int, *, for_gates: bool = False) -> dict[str, str]:
    """Return the label of the group of every cell, by cell id.

    A group is decoded in one sweep by one worker: a model and task. Where workers share, an expensive group
    is cut into parts of whole methods, and an expensive method into parts of its settings. A run *for_gates*
    alone has groups of a model and setting, all tasks together, as gates ask for means over tasks. Every
    process that has the same cells gets the same labels.
    """
    chosen = sorted(cells, key=lambda cell: cell.position)
    if for_gates and n_workers > 1:
        return {cell.id: f"{cell.asked.model}|{cell.id.removeprefix(cell.task)}" for cell in chosen}
    whole: dict[str, list[Cell]] = {}
    for cell in chosen:
        whole.setdefault("|".join(cell.group), []).append(cell)
    if n_workers <= 1:
        return {cell.id: label for label, group in whole.items() for cell in group}
    most = sum(map(cost_of, chosen)) / (n_workers * PARTS_PER_WORKER)
    return {
        cell.id: label if part == group else f"{label}|{part[0].id}"
        for label, group in whole.items()
        for part in _parts(group, most)
        for cell in part
    }


def _parts(group: Sequence[Cell], most: float) -> Iterator[list[Cell]]:
    """Yield *group* in parts of at most *most* each, or of a cell; a method stays whole where it can."""
    by_method: dict[str, list[Cell]] = {}
    for cell in group:
        by_method.setdefault(cell.asked.method, []).append(cell)
    part, cost = list[Cell](), 0
    for method in by_method.values():
        for unit in [method] if total(method) <= most else [[cell] for cell in method]:
            if part and cost + total(unit) > most:
                yield part
                part, cost = [], 0
            part += unit
            cost += total(unit)
    yield part


def total(cells: Iterable[Cell]) -> int:
    """Return what *cells* cost together."""
    return sum(map(cost_of, cells))


def model_of(label: str) -> str:
    """Return the model of a group label; a label that is no group of cells stands for itself."""
    return label.partition("|")[0]


def cell_id_of(nodeid: str) -> str:
    """Return what a node id has in its last brackets, or nothing."""
    return nodeid.rpartition("[")[2][:-1] if nodeid.endswith("]") else ""


def cost_of_item(nodeid: str, cells: Mapping[str, Cell]) -> int:
    """Return what an item costs; one that is no cell costs next to nothing."""
    cell = cells.get(cell_id_of(nodeid))
    return 1 if cell is None else cost_of(cell)


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
