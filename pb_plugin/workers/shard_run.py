"""``--pb-shard``: the session keeps the items of its part; a part without items ends well and says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pb_plugin.planning.option_grammar import Shard
from pb_plugin.portions.shards import items_of_shard

if TYPE_CHECKING:
    from pb_plugin.planning.options import Options
    from pb_plugin.session.session import BenchSession


def check_shard(options: Options) -> None:
    """Check that nothing is asked of a part of a run that needs all of it.

    Raises:
        ValueError: Something is.
    """
    if options.shard is None:
        return
    for name, given in (
        ("--pb-sweep gate", options.sweep == "gate"),
        ("--pb-save-baseline", options.save_baseline is not None),
    ):
        if given:
            raise ValueError(
                f"--pb-shard must come without {name}, got both; it needs every sample: run it without "
                "--pb-shard once the stores are joined (pb merge)"
            )


class ShardRun:
    """Hooks of every process of a session that runs one part.

    Args:
        session: The session.
        shard: Its part.
    """

    def __init__(self, session: BenchSession, shard: Shard) -> None:
        self._session = session
        self._shard = shard
        self._n_mine = 0
        self._n_all = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave the items of the other parts out, after -k and -m have left out what nobody runs."""
        mine = items_of_shard([item.nodeid for item in items], self._session.cells, self._shard)
        others = [item for item in items if item.nodeid not in mine]
        items[:] = [item for item in items if item.nodeid in mine]
        self._tell(len(items), len(items) + len(others))
        if others:
            config.hook.pytest_deselected(items=others)

    def _tell(self, n_mine: int, n_all: int) -> None:
        self._n_mine, self._n_all = n_mine, n_all
        if not n_mine and n_all:
            self._session.store.prepare()  # so that pb merge finds a store of every part

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Let a part without items end well; under pytest-xdist the workers say how many there are."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["pb_shard"] = [self._n_mine, self._n_all]
        elif exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._n_all:
            session.exitstatus = pytest.ExitCode.OK

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Learn from a worker of pytest-xdist how many items there are; every worker knows the same."""
        found: Sequence[int] = getattr(node, "workeroutput", {}).get("pb_shard", (self._n_mine, self._n_all))
        self._tell(*found)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say which part this was and what comes next."""
        n = f"{self._n_mine} of {self._n_all} items"
        nothing = "" if self._n_mine else ": nothing to do, which is no fault"
        gates = "; no gate was judged" if self._session.gates or self._session.baseline is not None else ""
        terminalreporter.write_line(
            f"parallelbench: shard {self._shard}, {n}{nothing}{gates}; after all shards: pb merge STORE..., "
            "then the same command without --pb-shard"
        )
