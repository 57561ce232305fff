"""Which rows, methods and models are not tried again, because they hung or ended the process.

Of rows that were in work together nobody knows which one is to blame. So they are suspects: decoded one by
one, after all others. A row is left out when it ended two processes, the last time alone; or once alone,
where the process could say why (it hung, or its device was lost). A setting of a method is left out with a
model when two of its rows are and none was ever decoded; a method when rows of two settings are and none of
it was decoded; a model when rows of two methods are and none at all was decoded. A model that ends two
processes while it is loaded is not loaded again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pb_plugin.faults.at_work import Ended

TRIES = 2


class Blame:
    """What is known of the ends of processes and calls, of this run and of one before that could say why."""

    def __init__(self) -> None:
        self._ends: list[Ended] = []
        self._suspects: dict[str, int] = {}
        self._alone: dict[str, tuple[str, Ended]] = {}
        self._decoded: dict[str, Counter[str]] = {}

    def note(self, ended: Ended) -> None:
        """Take in an end."""
        self._ends.append(ended)
        for key, label in ended.rows:
            self._suspects[key] = self._suspects.get(key, 0) + 1
            if len(ended.rows) == 1:
                self._alone[key] = (label, ended)
        for label, number in ended.decoded.items():
            self._decoded.setdefault(ended.model, Counter())[label] += number

    def decoded(self, model: str, label: str) -> None:
        """Take in that a row was decoded."""
        self._decoded.setdefault(model, Counter())[label] += 1

    def loading(self, model: str) -> str | None:
        """Return why *model* is not to be loaded, or None."""
        ends = [ended for ended in self._ends if ended.stage == "loading" and ended.model == model]
        if len(ends) < TRIES:
            return None
        return f"{ends[-1].kind}: loading it ended {len(ends)} processes: {ends[-1].why}"

    def reason(self, model: str, key: str, label: str) -> tuple[str, str] | None:
        """Return the class and the message of a row that is left out, None for one that is to be decoded."""
        found = self._alone.get(key)
        if found is not None and self._is_to_blame(key):
            _, ended = found
            times = _times(self._suspects[key])
            return ended.kind, f"left out: it stopped the decoding {times}, the last time alone: {ended.why}"
        guilty = [
            (of_row, ended)
            for row, (of_row, ended) in self._alone.items()
            if ended.model == model and self._is_to_blame(row)
        ]
        decoded = self._decoded.get(model, Counter())
        of_setting = [(of_row, ended) for of_row, ended in guilty if of_row == label]
        if len(of_setting) >= TRIES and not decoded[label]:
            return _given_up(f"{label.partition(' ')[2]} with model {model}", of_setting)
        method = method_of(label)
        of_method = [(of_row, ended) for of_row, ended in guilty if method_of(of_row) == method]
        n_decoded = sum(number for name, number in decoded.items() if method_of(name) == method)
        if len({of_row for of_row, _ in of_method}) >= TRIES and not n_decoded:
            return _given_up(f"method {method} with model {model}", of_method)
        if len({method_of(of_row) for of_row, _ in guilty}) >= TRIES and not decoded.total():
            return _given_up(f"model {model}", guilty)
        return None

    def next_part(self, rows: Mapping[str, str]) -> list[str]:
        """Return which of *rows* (decode keys, each with its label) are decoded together next.

        First all that are no suspects; then one suspect, of the method and setting least to blame.
        """
        free = [key for key in rows if key not in self._suspects]
        if free or not rows:
            return free
        blamed = Counter(label for key, (label, _) in self._alone.items() if self._is_to_blame(key))
        methods: Counter[str] = Counter()
        for label, number in blamed.items():
            methods[method_of(label)] += number
        return [min(rows, key=lambda key: (methods[method_of(rows[key])], blamed[rows[key]]))]

    def _is_to_blame(self, key: str) -> bool:
        _, ended = self._alone[key]
        return ended.kind != "worker_crash" or self._suspects[key] >= TRIES


def method_of(label: str) -> str:
    """Return the method of a row's label."""
    return label.partition(" ")[0]


def _given_up(who: str, guilty: Sequence[tuple[str, Ended]]) -> tuple[str, str]:
    _, ended = guilty[-1]
    return ended.kind, (
        f"left out: {who} stopped the decoding with {len(guilty)} samples, each alone, and has decoded none: "
        f"{ended.why}"
    )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
