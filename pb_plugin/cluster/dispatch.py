"""Which group of items goes to which worker, and what becomes of the items of one that is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pb_plugin.faults.tries import Tries
from pb_plugin.portions.groups import model_of
from pb_plugin.portions.turns import model_for


class Dispatch:
    """The items of a run.

    Args:
        labels: The label of the group of every item, in the order of the run.
        cost: Gives what an item costs.
        tries: Decides what is tried again.
    """

    def __init__(self, labels: Mapping[str, str], cost: Callable[[str], int], tries: Tries) -> None:
        self._labels = labels
        self._cost = cost
        self._tries = tries
        self._left: dict[str, list[list[str]]] = {}
        self._running: dict[str, list[str]] = {}
        self._models: dict[str, str] = {}
        groups = sorted(self._grouped(labels), key=self._cost_of, reverse=True)
        for group in groups:
            self._left.setdefault(self._model(group), []).append(group)

    @property
    def n_left(self) -> int:
        """How many items nobody has."""
        return sum(len(group) for groups in self._left.values() for group in groups)

    @property
    def is_finished(self) -> bool:
        """Whether every item has ended."""
        return not self._left and not any(self._running.values())

    def take(self, worker: str) -> list[str] | None:
        """Return the next group for *worker*, None where nothing is left."""
        if not self._left:
            return None
        costs = {model: [self._cost_of(group) for group in groups] for model, groups in self._left.items()}
        others = [model for other, model in self._models.items() if other != worker]
        model = model_for(self._models.get(worker), costs, others)
        group = self._left[model].pop(0)
        if not self._left[model]:
            del self._left[model]
        self._models[worker] = model
        self._running[worker] = list(group)
        return group

    def ended(self, worker: str, nodeid: str) -> None:
        """Note that *worker* is through with an item."""
        self._running[worker].remove(nodeid)

    def crashed(self, worker: str, *, blames_item: bool = True, is_last: bool = False) -> str | None:
        """Take back what *worker* has whose session crashed; it will be run again.

        Returns: its next item where that is given up (`Tries.is_over`).
        """
        items = self._running.pop(worker, [])
        if not items:
            return None
        is_over = self._tries.is_over(items[0], blames_item=blames_item, is_last=is_last)
        self._push_front(items[1:] if is_over else items)
        return items[0] if is_over else None

    def lost(self, worker: str) -> str | None:
        """Do what `crashed` does with a *worker* that is gone with its machine or process."""
        self._models.pop(worker, None)
        return self.crashed(worker)

    def unfit(self, worker: str) -> None:
        """Take back what a *worker* has, all of which is run again: no item is to blame."""
        self.crashed(worker, blames_item=False)

    def give_up(self) -> list[str]:
        """Return all items that nobody has; they are not run."""
        items = [nodeid for groups in self._left.values() for group in groups for nodeid in group]
        self._left = {}
        return items

    def _push_front(self, nodeids: Sequence[str]) -> None:
        for group in reversed(self._grouped(nodeids)):
            model = self._model(group)
            self._left = {model: [group, *self._left.pop(model, [])], **self._left}

    def _grouped(self, nodeids: Iterable[str]) -> list[list[str]]:
        groups: dict[str, list[str]] = {}
        for nodeid in nodeids:
            groups.setdefault(self._labels[nodeid], []).append(nodeid)
        return list(groups.values())

    def _model(self, group: Sequence[str]) -> str:
        return model_of(self._labels[group[0]])

    def _cost_of(self, group: Sequence[str]) -> int:
        return sum(map(self._cost, group))
