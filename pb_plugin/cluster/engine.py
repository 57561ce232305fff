"""``--pb-engine``: in place of pytest's loop over items, groups go to workers and reports come back."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pb_plugin.cluster.dispatch import Dispatch
from pb_plugin.cluster.link import Event, Link
from pb_plugin.cluster.messages import Message, Setup, report_of
from pb_plugin.cluster.stored import Kept
from pb_plugin.faults.tries import DEATHS, Tries
from pb_plugin.portions.groups import cost_of_item, label_items
from pb_plugin.printable import printable
from pb_plugin.workers.places import Places

if TYPE_CHECKING:
    from pb_plugin.session.session import BenchSession

EVERY_S = 0.5
"""How long the loop waits for something to happen before it looks around."""

STARTING_S = 120.0
"""How long no worker may be there before the run is given up."""

ENDING_S = 3.0
"""How long an interrupted run waits for what its workers have stored."""

REPLACED = 4
"""How many lost workers are replaced for each that the run began with."""


def own_folders() -> tuple[str, ...]:
    """Return where this process finds packages beside those of its Python: a checkout, the user's modules."""
    pythons = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]
    folders = [Path(entry or os.curdir).resolve() for entry in sys.path]
    outside = [str(path) for path in folders if not any(path.is_relative_to(prefix) for prefix in pythons)]
    return tuple(dict.fromkeys(outside))


class Engine:
    """Runs the items of a session on workers.

    Args:
        config: The configuration of pytest's session.
        session: What ours knows.
        places: Is told where workers ran.
        link: Starts them.
        now: Seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        config: pytest.Config,
        session: BenchSession,
        places: Places,
        link: Link,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._session = session
        self._places = places
        self._link = link
        self._now = now
        self._kept = Kept(session)
        self._tries = Tries()
        self._locations: dict[str, tuple[str, int | None, str]] = {}
        self._setup: dict[str, Any] = {}
        self._where: dict[str, Mapping[str, str]] = {}
        self._idle: list[str] = []
        self._at_work: set[str] = set()
        self._coming: set[str] = set()
        self._n_added = 0
        self._n_first = 0
        self._n_crashes = 0
        self._seen = 0.0
        self._why_lost = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run every item elsewhere; what pytest's own loop refuses, this one does."""
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            n = session.testsfailed
            raise session.Interrupted(f"{n} error{'s' * (n != 1)} during collection")
        if session.config.option.collectonly or not session.items:
            return True
        self._locations = {item.nodeid: item.location for item in session.items}
        try:
            self._say(self._link.open())
        except ValueError as error:
            raise pytest.UsageError(printable(str(error))) from error
        try:
            dispatch = self._begin()
            self._run(session, dispatch)
            self._finish()
        finally:
            self._end()
        return True

    def _say(self, line: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"parallelbench: {line}")

    def _begin(self) -> Dispatch:
        """Start the first workers, no more than there are groups for."""
        nodeids, cells = list(self._locations), self._session.cells
        n_workers = self._session.options.ray_workers or self._link.n_places()
        labels = label_items(nodeids, cells, n_workers)
        dispatch = Dispatch(labels, lambda nodeid: cost_of_item(nodeid, cells), self._tries)
        self._setup = Setup(
            args=tuple(os.fspath(argument) for argument in self._config.invocation_params.args),
            folder=str(self._config.invocation_params.dir),
            nodeids=tuple(nodeids),
            n_workers=n_workers,
            python_path=own_folders(),
            addopts=os.environ.get("PYTEST_ADDOPTS", ""),
            run_id=self._session.ends.run,
        ).to_json()
        self._n_first = min(n_workers, len(set(labels.values())))
        for _ in range(self._n_first):
            self._add()
        self._seen = self._now()
        return dispatch

    def _add(self) -> None:
        worker = f"ray{self._n_added}"
        self._n_added += 1
        self._coming.add(worker)
        self._link.add(worker, self._setup)

    def _run(self, session: pytest.Session, dispatch: Dispatch) -> None:
        self._session.tell_plan()
        while not dispatch.is_finished or self._at_work:
            for worker in list(self._idle):
                group = dispatch.take(worker)
                if group is not None:
                    self._idle.remove(worker)
                    self._at_work.add(worker)
                    self._link.run(worker, group, self._kept.known(group), self._kept.ends())
            for event in self._link.events(EVERY_S):
                self._on(event, dispatch)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            self._look_around(dispatch)

    def _on(self, event: Event, dispatch: Dispatch) -> None:
        worker = event.worker
        if event.kind == "ready":
            self._coming.discard(worker)
            self._where[worker] = event.place
            self._idle.append(worker)
        elif event.kind == "told":
            for message in event.messages:
                self._on_message(worker, message, dispatch)
        elif event.kind == "through" and worker in self._at_work:
            self._at_work.discard(worker)
            self._idle.append(worker)
        elif event.kind == "lost":
            self._why_lost = event.why
            self._forget(worker)
            self._give_up(dispatch.lost(worker), worker, event.why)
            if not dispatch.is_finished and self._n_added < self._n_first * (1 + REPLACED):
                self._add()

    def _on_message(self, worker: str, message: Message, dispatch: Dispatch) -> None:
        hook = self._config.hook
        kind = message["kind"]
        if kind == "record":
            self._kept.keep(message["line"])
        elif kind == "start":
            self._tries.begun(message["nodeid"])
            hook.pytest_runtest_logstart(nodeid=message["nodeid"], location=tuple(message["location"]))
        elif kind == "report":
            report = report_of(self._config, message["data"])
            report.worker_id = worker  # type: ignore[attr-defined]
            hook.pytest_runtest_logreport(report=report)
        elif kind == "finish":
            dispatch.ended(worker, message["nodeid"])
            hook.pytest_runtest_logfinish(nodeid=message["nodeid"], location=tuple(message["location"]))
        elif kind == "ended":
            self._kept.keep_end(message["name"], message["text"])
        elif kind == "crashed":
            self._on_crash(worker, message, dispatch)
        elif kind == "unfit":
            self._why_lost = message["why"]
            dispatch.unfit(worker)
            self._forget(worker)
            self._say(f"{self._name(worker)} is not used: {message['why']}")
        elif kind == "output":
            self._take_output(worker, message["data"])

    def _on_crash(self, worker: str, message: Message, dispatch: Dispatch) -> None:
        """Go on after a crash, with a new session on the same GPU."""
        self._n_crashes += 1
        is_last = self._n_crashes > self._n_first * DEATHS
        nodeid = dispatch.crashed(worker, blames_item=message["blames_item"], is_last=is_last)
        self._give_up(nodeid, worker, message["why"])

    def _give_up(self, nodeid: str | None, worker: str, how: str) -> None:
        """Say of an item, if it is one, that it is not tried again after the end of *worker*."""
        if nodeid is not None:
            self._fail(nodeid, self._tries.why(nodeid, self._name(worker), how))

    def _forget(self, worker: str) -> None:
        self._coming.discard(worker)
        self._at_work.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        self._link.drop(worker)

    def _name(self, worker: str) -> str:
        host = self._where.get(worker, {}).get("host")
        return f"worker '{worker}'" + (f" on {host}" if host else "")

    def _look_around(self, dispatch: Dispatch) -> None:
        """Give up what is left where nobody is there to run it, and nobody will come."""
        now = self._now()
        if self._idle or self._at_work:
            self._seen = now
            return
        if self._coming and now - self._seen < STARTING_S:
            return
        why = self._why_lost or f"no worker found a place in {STARTING_S:.0f} s"
        for nodeid in dispatch.give_up():
            self._fail(nodeid, f"no worker is left to run it: {why}", reason=f"no worker is left: {why}")

    def _fail(self, nodeid: str, text: str, reason: str | None = None) -> None:
        """Publish a failure of an item that no worker can report."""
        report: Any = pytest.TestReport(
            nodeid,
            self._locations[nodeid],
            {},
            "failed",
            printable(text),
            "???",  # type: ignore[arg-type]
        )
        if reason is not None:
            report.pb = {"reused": False, "score": None, "reason": printable(reason.splitlines()[0])}
        self._config.hook.pytest_runtest_logreport(report=report)

    def _finish(self) -> None:
        """Let every worker end well and take in what it has found out."""
        open_ends = set(self._idle)
        for worker in open_ends:
            self._link.finish(worker)
        while open_ends:
            for event in self._link.events(EVERY_S):
                for message in event.messages:
                    if message["kind"] == "record":
                        self._kept.keep(message["line"])
                    elif message["kind"] == "output":
                        self._take_output(event.worker, message["data"])
                if event.kind in ("through", "lost"):
                    open_ends.discard(event.worker)
        for worker, place in self._where.items():
            self._places.note_missing(worker, place.get("gpu"), host=place.get("host", ""))

    def _take_output(self, worker: str, output: dict[str, Any]) -> None:
        place = self._where.get(worker, {})
        self._places.note(worker, output, place.get("gpu"), host=place.get("host", ""))
        controller = self._config.pluginmanager.get_plugin("pb-controller")
        if controller is not None:
            controller.take_output(output)

    def _end(self) -> None:
        """End every worker at once; what the ones that still run have stored is kept."""
        with suppress(Exception):  # the run has its own error by now, or is over
            for worker in self._at_work:
                self._link.stop(worker)
            until = self._now() + ENDING_S
            while self._at_work and self._now() < until:
                for event in self._link.events(EVERY_S):
                    for message in event.messages:
                        if message["kind"] == "record":
                            self._kept.keep(message["line"])
                    if event.kind in ("through", "lost"):
                        self._at_work.discard(event.worker)
        self._kept.close()
        self._link.close()
