"""Hooks and fixtures only; imported in every pytest run, so everything heavy is imported late."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pb_plugin.options import add_options, read_options

if TYPE_CHECKING:
    from pb_plugin.cell import Cell
    from pb_plugin.models import ModelHandle
    from pb_plugin.outcome import Outcome
    from pb_plugin.session import BenchSession

SESSION: pytest.StashKey[BenchSession] = pytest.StashKey()
OUTCOME: pytest.StashKey[Outcome] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add every option of the table."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, read the options, and make the plan at once where the user selected something."""
    config.addinivalue_line("markers", "pb: a cell of the plan; select with -m \"pb(task='shuffle', k=8)\"")
    config.addinivalue_line("markers", "pb_category(name): collect only the cells of one category")
    from pb_plugin.options import Options
    from pb_plugin.session import BenchSession

    worker = getattr(config, "workerinput", None)
    try:
        options = read_options(config)
        session = BenchSession(
            options,
            worker="main" if worker is None else str(worker["workerid"]),
            n_workers=int(worker["workercount"])
            if worker is not None
            else int(config.getoption("numprocesses", 0) or 1),
        )
        if options != Options(store=options.store):
            _ = session.plan
    except (ValueError, LookupError) as error:
        raise pytest.UsageError(str(error)) from error
    if options.timing:
        _check_timing(config)
    config.stash[SESSION] = session


def _check_timing(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError(
            "--pb-timing must have pytest-benchmark, which is not active; pip install pytest-benchmark"
        )
    if hasattr(config, "workerinput") or config.getoption("numprocesses", 0):
        raise pytest.UsageError(
            "--pb-timing must run in one process, got -n: workers disturb each other's clock; leave -n out"
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every function that asks for ``pb_cell`` the cells of its category, or all of them."""
    if "pb_cell" not in metafunc.fixturenames:
        return
    session = metafunc.config.stash[SESSION]
    mark = metafunc.definition.get_closest_marker("pb_category")
    cells = session.plan.cells if mark is None else session.plan.in_category(*mark.args)
    metafunc.parametrize(
        "pb_cell", [pytest.param(cell, id=cell.id, marks=pytest.mark.pb(**cell.mark)) for cell in cells]
    )


def _cell_of(item: pytest.Item) -> Cell | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("pb_cell")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the cells among the items by the plan; a category without cells has no item."""
    from pb_plugin.cell import Cell

    asking = [item for item in items if "pb_cell" in getattr(item, "fixturenames", ())]
    if not asking:
        return
    empty = {id(item) for item in asking if not isinstance(_cell_of(item), Cell)}
    items[:] = [item for item in items if id(item) not in empty]
    places = [index for index, item in enumerate(items) if _cell_of(item) is not None]
    ordered = sorted((items[index] for index in places), key=_position)
    for index, item in zip(places, ordered, strict=True):
        items[index] = item


def _position(item: pytest.Item) -> int:
    cell = _cell_of(item)
    assert cell is not None
    return cell.position


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember which cells are left, so that a group is decoded in one sweep."""
    session.config.stash[SESSION].select([item.nodeid for item in session.items])


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what will run and what was left out."""
    bench = config.stash[SESSION]
    if not bench.selected:
        return []
    return [f"parallelbench: {len(bench.selected)} items, records in {bench.options.store}", *_notes(bench)]


def _notes(bench: BenchSession) -> list[str]:
    notes = [f"parallelbench: {note}" for note in bench.plan.notes]
    if bench.plan.missing_tasks:
        notes.append(f"parallelbench: no spec in this version: {', '.join(bench.plan.missing_tasks)}")
    return notes


@pytest.fixture(scope="session", autouse=False)
def pb_session(request: pytest.FixtureRequest) -> Generator[BenchSession]:
    """The run of this process; frees its models at the end."""
    session = request.config.stash[SESSION]
    _show_progress(request.config, session)
    yield session
    session.bench.close()


def _show_progress(config: pytest.Config, session: BenchSession) -> None:
    from pb_plugin.progress import Progress

    terminal = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if terminal is None or hasattr(config, "workerinput"):
        return

    def unhidden(write: Callable[[], None]) -> None:
        if capture is None:
            write()
            return
        with capture.global_and_fixture_disabled():
            write()

    live = terminal.isatty and not os.environ.get("CI")
    session.bench.watch = Progress(sys.stdout, live=live, unhidden=unhidden).watch()


@pytest.fixture
def pb_model(pb_cell: Cell, pb_session: BenchSession) -> ModelHandle:
    """The model of the item, loaded when something has to be decoded and not before."""
    return pb_session.bench.model(pb_cell)


@pytest.fixture
def pb_decode(pb_cell: Cell, pb_model: ModelHandle, pb_session: BenchSession) -> Callable[[Cell], None]:
    """Decode what is missing of a cell with its group; a model that cannot be loaded is an error here."""
    from pb_plugin.models import ModelUnavailable

    try:
        if pb_session.bench.missing(pb_cell):
            pb_model.get()
    except ModelUnavailable as error:
        pytest.fail(str(error), pytrace=False)
    except (ValueError, LookupError, OSError) as error:
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)

    def decode(cell: Cell) -> None:
        pb_session.bench.decode(pb_session.companions(cell))

    return decode


@pytest.fixture
def pb_record(
    request: pytest.FixtureRequest, pb_session: BenchSession, pb_decode: Callable[[Cell], None]
) -> Callable[[Cell], Outcome]:
    """Decode a cell where needed and judge it; a test asserts ``pb_record(pb_cell).ok``."""
    from pb_plugin.outcome import outcome_of
    from pb_plugin.rows import NotApplicable

    benchmark = request.getfixturevalue("benchmark") if pb_session.options.timing else None

    def record(cell: Cell) -> Outcome:
        bench = pb_session.bench
        reused = benchmark is None and not bench.missing(cell)
        try:
            if benchmark is not None:
                from pb_plugin.timing import decode_timed

                decode_timed(bench, cell, benchmark)
            elif not reused:
                pb_decode(cell)
        except NotApplicable as reason:
            pytest.skip(f"unscored: {reason}")
        floor = pb_session.floors.get(cell.task, cell.spec.floor)
        outcome = outcome_of(bench, cell, reused=reused, floor=floor)
        request.node.stash[OUTCOME] = outcome
        for name, value in outcome.properties.items():
            request.node.user_properties.append((name, value))
        return outcome

    return record


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the outcome to the report as plain data, and let go of what a failure's traceback holds."""
    report = yield
    outcome = item.stash.get(OUTCOME, None)
    if _cell_of(item) is not None:
        plain: dict[str, Any] = {"reused": False, "score": None, "reason": None}
        if outcome is not None and report.when == "call":
            plain |= {"reused": outcome.reused, "score": outcome.score}
        if report.failed and call.excinfo is not None:
            message = (
                outcome.message if outcome is not None and report.when == "call" else str(call.excinfo.value)
            )
            plain["reason"] = message
            if not item.config.getoption("usepdb", False):
                from pb_plugin.release import release_frames

                release_frames(call.excinfo.value)
        report.pb = json.loads(json.dumps(plain, allow_nan=False))  # type: ignore[attr-defined]
    return report


def pytest_report_teststatus(
    report: pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Show a reused result as ``c``, and the score in verbose lines."""
    plain = getattr(report, "pb", None)
    if plain is None or report.when != "call" or not report.passed or plain["score"] is None:
        return None
    word = f"{'REUSED' if plain['reused'] else 'PASSED'} score={plain['score']:.2f}"
    return "passed", "c" if plain["reused"] else ".", (word, {"green": True})


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Register what only the controlling process does."""
    from pb_plugin.controller import Controller

    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Controller(session.config), "pb-controller")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Callable[..., None]) -> Any:
    """Give whole groups to workers, where the run has cells of ours; leave every other session alone."""
    if config.getoption("dist") not in ("load", "loadgroup") or not _asks_for_cells(config):
        return None
    from pb_plugin.scheduler import PbScheduling

    bench = config.stash[SESSION]
    _ = bench.plan

    def report_failure(node: str, message: str) -> None:
        report = pytest.CollectReport(node, "failed", longrepr=message, result=[])
        config.hook.pytest_collectreport(report=report)

    from xdist.workermanage import parse_tx_spec_config

    n_nodes = len(parse_tx_spec_config(config))
    return PbScheduling(n_nodes, label=bench.labels, report_failure=report_failure, log=log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Learn from a worker which items there are; the controller itself collects none."""
    node.config.stash[SESSION].select(ids)


def _asks_for_cells(config: pytest.Config) -> bool:
    """Whether a test file in the arguments names ``pb_cell``; the controller of xdist collects nothing."""
    paths = [Path(argument.partition("::")[0]) for argument in config.args]
    files = [
        file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]) if file.is_file()
    ]
    return any(b"pb_cell" in file.read_bytes() for file in files)
