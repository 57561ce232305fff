"""Which rows, methods and models are not tried again, because they hung or ended the process.

Of rows that were in work together nobody knows which one is to blame. So they are suspects: decoded one by
one, after all others. A row is left out when it ended two processes, the last time alone; or once alone,
where the process could say why (it hung, or its device was lost). A method is left out with a model when
two of its rows are and none was ever decoded; a model when rows of two methods are and none at all was
decoded. A model that ends two processes while it is loaded is not loaded again.
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
        for key, method in ended.rows:
            self._suspects[key] = self._suspects.get(key, 0) + 1
            if len(ended.rows) == 1:
                self._alone[key] = (method, ended)
        for method, number in ended.decoded.items():
            self._decoded.setdefault(ended.model, Counter())[method] += number

    def decoded(self, model: str, method: str) -> None:
        """Take in that a row was decoded."""
        self._decoded.setdefault(model, Counter())[method] += 1

    def loading(self, model: str) -> str | None:
        """Return why *model* is not to be loaded, or None."""
        ends = [ended for ended in self._ends if ended.stage == "loading" and ended.model == model]
        if len(ends) < TRIES:
            return None
        return f"{ends[-1].kind}: loading it ended {len(ends)} processes: {ends[-1].why}"

    def reason(self, model: str, key: str, method: str) -> tuple[str, str] | None:
        """Return the class and the message of a row that is left out, None for one that is to be decoded."""
        found = self._alone.get(key)
        if found is not None and self._is_to_blame(key):
            _, ended = found
            times = self._suspects[key]
            return (
                ended.kind,
                f"left out: it stopped the decoding {_times(times)}, the last time alone: {ended.why}",
            )
        guilty = [
            (of_method, ended)
            for of_row, (of_method, ended) in self._alone.items()
            if ended.model == model and self._is_to_blame(of_row)
        ]
        of_same = [(name, ended) for name, ended in guilty if name == method]
        decoded = self._decoded.get(model, Counter())
        if len(of_same) >= TRIES and not decoded[method]:
            return _given_up(f"method {method} with model {model}", of_same)
        if len({name for name, _ in guilty}) >= TRIES and not decoded.total():
            return _given_up(f"model {model}", guilty)
        return None

    def next_part(self, rows: Mapping[str, str]) -> list[str]:
        """Return which of *rows* (decode keys, each with its method) are decoded together next.

        First all that are no suspects; then one suspect, of the method with the fewest rows to blame.
        """
        free = [key for key in rows if key not in self._suspects]
        if free or not rows:
            return free
        blamed = Counter(method for key, (method, _) in self._alone.items() if self._is_to_blame(key))
        return [min(rows, key=lambda key: blamed[rows[key]])]

    def _is_to_blame(self, key: str) -> bool:
        _, ended = self._alone[key]
        return ended.kind != "worker_crash" or self._suspects[key] >= TRIES


def _given_up(who: str, guilty: Sequence[tuple[str, Ended]]) -> tuple[str, str]:
    _, ended = guilty[-1]
    return ended.kind, (
        f"left out: {who} stopped the decoding with {len(guilty)} samples, each alone, and has decoded none: "
        f"{ended.why}"
    )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
