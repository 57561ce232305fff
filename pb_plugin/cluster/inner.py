"""Inside a session on another machine: the plugin that runs the groups that it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import pytest

from pb_plugin.cluster.messages import Message, plain_report, read, written
from pb_plugin.session.keys import SESSION


class InnerRun:
    """The plugin that leaves the given items and runs them group by group.

    Args:
        config: The session's configuration.
        nodeids: The items of the run.
        commands: Lines ``{"run": [nodeid, ...]}``; the end of the pipe ends the session.
        messages: Where messages go.
    """

    def __init__(
        self, config: pytest.Config, nodeids: Sequence[str], commands: IO[bytes], messages: IO[bytes]
    ) -> None:
        self._config = config
        self._nodeids = nodeids
        self._commands = commands
        self._messages = messages

    def tell(self, message: Message) -> None:
        """Send *message* now."""
        self._messages.write(written(message))
        self._messages.flush()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Any:
        """Leave the items of the run, in its order."""
        result = yield
        place = {nodeid: number for number, nodeid in enumerate(self._nodeids)}
        items[:] = sorted(
            (item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid]
        )
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what is asked for until the pipe ends."""
        items = {item.nodeid: item for item in session.items}
        missing = [nodeid for nodeid in self._nodeids if nodeid not in items]
        self.tell({"kind": "collected", "missing": missing[:3], "n_missing": len(missing)})
        for line in self._commands:
            self._run(session, [items[nodeid] for nodeid in read(line)["run"]])
            self.tell({"kind": "done"})
        return True

    def _run(self, session: pytest.Session, group: Sequence[pytest.Item]) -> None:
        """Run *group*; session and module stay set up for what comes after it."""
        bench = session.config.stash[SESSION]
        if "bench" in vars(bench):
            bench.bench.known.refresh()
        for item, following in zip(group, [*group[1:], None], strict=True):
            keeps = following or next((other for other in session.items if other is not item), None)
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=keeps)

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Tell that an item begins."""
        self.tell({"kind": "start", "nodeid": nodeid, "location": location})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell what became of it."""
        self.tell({"kind": "report", "data": plain_report(self._config, report)})

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Tell that it is over."""
        self.tell({"kind": "finish", "nodeid": nodeid, "location": location})
