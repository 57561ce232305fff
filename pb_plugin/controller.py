"""What only the controlling process does: tally reports, conclude the run, judge gates, print the summary."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pb_plugin.printable import printable

if TYPE_CHECKING:
    from pb_plugin.gates.judge import Verdict
    from pb_plugin.session.conclusion import Conclusion
    from pb_plugin.session.session import BenchSession

CRASHED = "worker_crash: the worker that ran it ended without a word; what it had decoded is stored"
"""What is said of an item whose process was killed or crashed, as pytest-xdist reports it."""

GATE_FILE = "pb-gate"
STORE_ITEM = "store"
"""The report by which a run fails whose store or summary is not whole, where no item or gate says so."""

PAGE_ITEM = "html"
"""The report by which a run fails whose HTML report was asked for and could not be written."""


class Controller:
    """Hooks of the process that sees every report.

    Args:
        config: The configuration of pytest's session.
        session: What ours knows.
    """

    def __init__(self, config: pytest.Config, session: BenchSession) -> None:
        self._config = config
        self._session = session
        self._conclusion: Conclusion | None = None
        self._problem: str | None = None
        self._reasons: dict[str, int] = {}
        self._skips: dict[str, int] = {}
        self._reused = 0
        self._page: str | None = None
        self._lines: list[str] = []
        self._nodes: list[Any] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what was reused, and group what failed by its reason.

        An attempt after which pytest-rerunfailures runs the item again is not counted.
        """
        plain = getattr(report, "pb", None)
        crashed = plain is None and report.when not in ("setup", "call", "teardown")  # xdist says "???"
        if crashed and self._session.is_cell(report.nodeid):
            self._reasons[CRASHED] = self._reasons.get(CRASHED, 0) + 1
        if plain is None or report.outcome == "rerun":  # type: ignore[comparison-overlap]
            return
        self._reused += bool(plain["reused"])
        if plain["reason"] is not None:
            self._reasons[plain["reason"]] = self._reasons.get(plain["reason"], 0) + 1
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self._skips[reason] = self._skips.get(reason, 0) + 1

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Conclude after the last item, and publish every gate as a test report of its own.

        An interrupted run never gets here, so no gate is judged on part of the data.
        """
        from pb_plugin.session.heartbeat import heartbeat

        with heartbeat(self._config, self._session):
            result = yield
        if self._config.option.collectonly or not self._session.selected:
            return result
        is_whole = self._session.options.shard is None
        self._conclude(judge_gates=is_whole)
        verdicts = self._verdicts() if is_whole else []
        if self._problem is not None and not self._is_told(verdicts):
            verdicts.append((STORE_ITEM, False, self._problem))
        if self._session.options.html is not None:
            verdicts += self._write_page()
        session.testscollected += len(verdicts)
        self._write_step_summary()
        for gate, passed, message in verdicts:
            self._publish(gate, passed, message)
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        """Remember a worker that is there."""
        self._nodes.append(node)

    def pytest_keyboard_interrupt(self) -> None:
        """Do not wait for workers, whose records are stored, and obey the next Ctrl-C at once."""
        self._session.signals.end_at_once_next()
        if self._nodes:
            from pb_plugin.workers.xdist_interior import end_workers

            end_workers(self._nodes)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Add what a worker found out about batches and has done; of one that crashed read what it was at."""
        if node in self._nodes:  # one that ends while it starts was never there
            self._nodes.remove(node)
        if error:
            self._session.ends.note(node.gateway.id)
        self.take_output(getattr(node, "workeroutput", {}))

    def take_output(self, output: Mapping[str, Any]) -> None:
        """Add what a worker says at its end."""
        from pb_plugin.measuring.measured import from_plain
        from pb_plugin.running.batch_check import BatchOutcome
        from pb_plugin.running.work import Work

        found = output.get("pb_batch_check")
        if found is not None:
            self._session.batch_outcome += BatchOutcome(**found)
            self._session.work += Work(**output["pb_work"])
            self._session.measured += from_plain(output["pb_measured"])
        self._session.bench.known.lost += output.get("pb_lost", [])

    def _conclude(self, *, judge_gates: bool) -> None:
        from pb_plugin.measuring import measured
        from pb_plugin.running.batch_check import save

        try:
            self._conclusion = self._session.conclude(judge_gates=judge_gates)
            self._problem = self._conclusion.problem
            if judge_gates:
                self._ask_others(self._conclusion)
            save(self._session.batch_outcome, self._session.options.store, self._conclusion.path)
            measured.save(self._session.measured, self._session.options.store, self._conclusion.path)
        except (ValueError, OSError) as error:
            self._problem = str(error)

    def _ask_others(self, found: Conclusion) -> None:
        """Add the gates and the lines of other plugins."""
        from pb_plugin.session.hook_calls import GATE, SUMMARY, gates_of_others, is_asked, lines_of_others

        if found.summary is None or not (is_asked(self._config, GATE) or is_asked(self._config, SUMMARY)):
            return
        summary = found.summary.to_json()
        verdicts = [*found.verdicts, *gates_of_others(self._config, summary)]
        self._lines, failed = lines_of_others(self._config, summary, verdicts)
        self._conclusion = replace(found, verdicts=(*verdicts, *failed))

    def _write_step_summary(self) -> None:
        """Write the verdicts where GitHub shows them; a file that cannot be written fails no run."""
        from pb_plugin.gates.step_summary import append_to_step_summary

        found = self._conclusion
        if found is not None and found.verdicts:
            line = append_to_step_summary(os.environ, found.verdicts, found.comparison)
            self._lines = [*self._lines, *([] if line is None else [line])]

    def _write_page(self) -> list[tuple[str, bool, str]]:
        """Write the HTML report, and return what fails the run where that was asked for and is not done."""
        from pb_plugin.report.html.page import held_line, write_html
        from pb_plugin.report.stored import read_report

        found, out = self._conclusion, self._session.options.html
        assert out is not None
        try:
            if found is None or found.summary is None:
                raise ValueError(str(self._problem))
            report = read_report(self._session.options.store, found.path.name)
            self._page = held_line(write_html(report, out, verdicts=found.verdicts))
        except (ValueError, LookupError, OSError) as error:
            return [(PAGE_ITEM, False, f"no HTML report in {out}: {error}")]
        return []

    def _verdicts(self) -> list[tuple[str, bool, str]]:
        found = self._conclusion
        if found is None or found.summary is None:
            return [(gate.text, False, f"not judged: {self._problem}") for gate in self._session.gates]
        return [(_gate_id(verdict), verdict.passed, verdict.message) for verdict in found.verdicts]

    def _is_told(self, verdicts: list[tuple[str, bool, str]]) -> bool:
        """Whether an item or a gate failed by the very problem, so that the run is red and says why."""
        told = [*self._reasons, *(message for _, passed, message in verdicts if not passed)]
        return any(str(self._problem) in reason for reason in told)

    def _publish(self, gate: str, passed: bool, message: str) -> None:
        hook = self._config.hook
        nodeid = f"{GATE_FILE}::{gate}"
        location = (GATE_FILE, None, gate)
        hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
        for when in ("setup", "call", "teardown"):
            failed = when == "call" and not passed
            report = pytest.TestReport(
                nodeid=nodeid,
                location=location,
                keywords={},
                outcome="failed" if failed else "passed",
                longrepr=printable(message) if failed else None,
                when=when,
            )
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print PBx, what failed and why, what was unscored, what was reused, and where the records are."""
        if not self._session.selected or self._config.option.collectonly:
            return
        if self._conclusion is None and self._problem is None:
            self._conclude(judge_gates=False)
        from pb_plugin.report.screen import NARROW, screen_width
        from pb_plugin.report.sections import MORE, VERBOSE, Shown, section_lines
        from pb_plugin.report.terminal import closing_lines

        found, has_all = self._conclusion, True
        tables: list[str] = []
        verbosity, width = self._config.get_verbosity(), screen_width()
        if found is not None and found.summary is not None and self._session.options.sweep != "gate":
            shown = Shown(run=found.run, summary=found.summary, verbosity=verbosity, width=width)
            tables, has_all = section_lines(shown)
        lines = closing_lines(
            self._session,
            found,
            problem=self._problem,
            reasons=self._reasons,
            skips=self._skips,
            reused=self._reused,
            most_columns=None if verbosity >= VERBOSE else max(width, NARROW),
        )
        if not has_all:
            lines.append(MORE.format(store=self._session.options.store))
        lines += [*([] if self._page is None else [self._page]), *self._lines]
        encoding = getattr(sys.__stdout__, "encoding", None)
        terminalreporter.section("parallelbench")
        for line in (*tables, *lines, *self._session.tools.notes):
            terminalreporter.write_line(printable(line, encoding))


def _gate_id(verdict: Verdict) -> str:
    return f"{verdict.gate}[{verdict.subject}]"
