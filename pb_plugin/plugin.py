"""Hooks and fixtures only; imported in every pytest run, so everything heavy is imported late."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from pb_plugin.planning.options import add_options, project_folder, read_options
from pb_plugin.printable import printable
from pb_plugin.session.keys import SESSION

if TYPE_CHECKING:
    from pb_plugin.asking.models import ModelHandle
    from pb_plugin.planning.cell import Cell
    from pb_plugin.results.outcome import Outcome
    from pb_plugin.session.session import BenchSession

OUTCOME: pytest.StashKey[Outcome] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add every option of the table."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that this plugin calls in others, and pin workers: that comes before all else."""
    from pb_plugin import hookspec
    from pb_plugin.workers import pins

    pluginmanager.add_hookspecs(hookspec)
    pluginmanager.register(pins, "pb-pins")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, read the options, and make the plan at once where the user selected something."""
    config.addinivalue_line("markers", "pb: a cell of the plan; select with -m \"pb(task='shuffle', k=8)\"")
    config.addinivalue_line("markers", "pb_category(name): collect only the cells of one category")
    from pb_plugin.cluster.sharing import check_sharing, register_sharing
    from pb_plugin.faults.alarm import watches_hangs
    from pb_plugin.planning.options import Options
    from pb_plugin.session.session import BenchSession

    worker = getattr(config, "workerinput", None)
    if worker is not None:
        from pb_plugin.session.orphan import end_with_parent

        end_with_parent()
    try:
        options = read_options(config)
        session = BenchSession(
            options,
            worker="main" if worker is None else str(worker["workerid"]),
            n_workers=int(worker["workercount"])
            if worker is not None
            else int(config.getoption("numprocesses", 0) or 1),
            tools=None if worker is None else worker.get("pb_tools"),
            run=None if worker is None else worker["pb_run"],
            ends_process=not watches_hangs(config),
        )
        check_sharing(config, options)
        if options.timing:
            from pb_plugin.running.timing import check_timing

            check_timing(config)
        if options.html is not None:
            from pb_plugin.report.html.target import check_html

            check_html(options.html, "--pb-html")
        if options != Options(store=project_folder(config) / ".pb"):
            session.check()
    except (ValueError, LookupError, OSError) as error:
        raise pytest.UsageError(printable(str(error))) from error
    config.stash[SESSION] = session
    config.pluginmanager.register(session.clock, "pb-clock")
    register_sharing(config, session)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say where pytest was led away from the project by the value of an option."""
    from pb_plugin.planning.options import Options

    project = project_folder(config)
    if project == config.rootpath or config.stash[SESSION].options == Options(store=project / ".pb"):
        return []
    return [
        "parallelbench: pytest took the value of an option for a place of tests, and so looks for its "
        f"settings in {config.rootpath} and not in {project}; write --option=VALUE, without a blank"
    ]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the scoring started."""
    session = config.stash.get(SESSION, None)
    if session is not None:
        session.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every function that asks for ``pb_cell`` the cells of its category, or all of them."""
    if "pb_cell" not in metafunc.fixturenames:
        return
    session = metafunc.config.stash[SESSION]
    mark = metafunc.definition.get_closest_marker("pb_category")
    try:
        cells = session.plan.cells if mark is None else session.plan.in_category(*mark.args)
    except (ValueError, LookupError) as error:
        raise pytest.Collector.CollectError(printable(str(error))) from error
    found = [pytest.param(cell, id=cell.id, marks=pytest.mark.pb(**cell.mark)) for cell in cells]
    metafunc.parametrize("pb_cell", found or [pytest.param(None, id="none")])


def _cell_of(item: pytest.Item) -> Cell | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("pb_cell")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the cells among the items by the plan; a category without cells has no item."""
    items[:] = [
        item
        for item in items
        if "pb_cell" not in getattr(item, "fixturenames", ()) or _cell_of(item) is not None
    ]
    places = [index for index, item in enumerate(items) if _cell_of(item) is not None]
    ordered = sorted((items[index] for index in places), key=_position)
    for index, item in zip(places, ordered, strict=True):
        items[index] = item


def _position(item: pytest.Item) -> int:
    cell = _cell_of(item)
    assert cell is not None
    return cell.position


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember which cells are left, so that a group is decoded in one sweep, and look at their tools."""
    _select(session.config, [item.nodeid for item in session.items])


def _select(config: pytest.Config, nodeids: Sequence[str]) -> None:
    bench = config.stash[SESSION]
    bench.select(nodeids)
    try:
        bench.check_tools(cell.spec for cell in bench.selected)
        if not hasattr(config, "workerinput") and not config.option.collectonly:
            bench.mark_begin()
    except ValueError as error:
        raise pytest.UsageError(printable(str(error))) from error


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what will run and what was left out."""
    bench = config.stash[SESSION]
    if not bench.selected:
        return []
    from pb_plugin.portions.cost import estimate

    said = estimate(bench.selected)
    return [
        f"parallelbench: {len(bench.selected)} items, records in {bench.options.store}",
        *([] if said is None else [f"parallelbench: {said}"]),
        *_notes(bench),
    ]


def _notes(bench: BenchSession) -> list[str]:
    notes = [printable(f"parallelbench: {note}") for note in (*bench.unfinished, *bench.plan.notes)]
    if bench.plan.missing_tasks:
        notes.append(f"parallelbench: no spec in this version: {', '.join(bench.plan.missing_tasks)}")
    return notes


@pytest.fixture(scope="session")
def pb_session(request: pytest.FixtureRequest) -> Generator[BenchSession]:
    """The run of this process; frees its models at the end."""
    from pb_plugin.measuring.measured import to_plain
    from pb_plugin.running.progress import watch_of
    from pb_plugin.session.hook_calls import teller_of_records

    session = request.config.stash[SESSION]
    try:
        session.bench.known.on_kept = teller_of_records(request.config)
        session.bench.watch = watch_of(request.config, session.left)
    except ValueError as error:
        raise pytest.fail.Exception(printable(str(error)), pytrace=False) from None
    if hasattr(request.config, "workerinput"):
        session.bench.guard.at_work.take_stacks()
    yield session
    if request.session.exitstatus != pytest.ExitCode.INTERRUPTED:
        session.check_batches()
        if hasattr(request.config, "workeroutput"):
            request.config.workeroutput["pb_batch_check"] = asdict(session.batch_outcome)
            request.config.workeroutput["pb_work"] = asdict(session.work)
            request.config.workeroutput["pb_measured"] = to_plain(session.measured)
            session.bench.known.check_store()
            request.config.workeroutput["pb_lost"] = session.bench.known.lost
    session.bench.close()


@pytest.fixture
def pb_model(pb_cell: Cell, pb_session: BenchSession) -> ModelHandle:
    """The model of the item, loaded when something has to be decoded and not before."""
    with _named_errors():
        return pb_session.bench.resources.model(pb_cell)


@pytest.fixture
def pb_decode(pb_cell: Cell, pb_model: ModelHandle, pb_session: BenchSession) -> Callable[[Cell], None]:
    """Decode what is missing of a cell with its group; a model that cannot be loaded is an error here."""
    from pb_plugin.asking.samples import NotApplicable

    pb_session.begin(pb_cell)
    with _named_errors(), pb_session.shared_time(pb_cell):
        unscorable = pb_session.bench.resources.unscorable(pb_cell)
        if unscorable is not None:
            raise NotApplicable(unscorable)
        if pb_session.options.timing or pb_session.is_wanted(pb_cell):
            pb_session.bench.loaded(pb_model)
    return pb_session.decode


@contextmanager
def _named_errors() -> Generator[None]:
    """Turn an error whose message says everything into a failure without a traceback."""
    from pb_plugin.asking.models import ModelUnavailable
    from pb_plugin.asking.samples import NotApplicable

    try:
        yield
    except NotApplicable as reason:
        raise pytest.skip.Exception(printable(f"unscored: {reason}")) from None
    except ModelUnavailable as error:
        raise pytest.fail.Exception(printable(str(error)), pytrace=False) from None
    except (ValueError, LookupError, OSError) as error:
        said = printable(f"{type(error).__name__}: {error}")
        raise pytest.fail.Exception(said, pytrace=False) from None


@pytest.fixture
def pb_record(
    request: pytest.FixtureRequest, pb_session: BenchSession, pb_decode: Callable[[Cell], None]
) -> Callable[[Cell], Outcome]:
    """Decode a cell where needed and judge it; a test asserts ``pb_record(pb_cell).ok``."""
    from pb_plugin.results.outcome import outcome_of

    benchmark = request.getfixturevalue("benchmark") if pb_session.options.timing else None

    def record(cell: Cell) -> Outcome:
        bench = pb_session.bench
        with _named_errors():
            if benchmark is not None:
                from pb_plugin.running.timing import decode_timed

                decode_timed(bench, cell, benchmark)
            elif pb_session.is_wanted(cell):
                pb_decode(cell)
            left_out = pb_session.left_out(cell)
            if left_out is not None:
                pytest.skip(left_out)
            floor = pb_session.floors.get(cell.task, cell.spec.floor)
            outcome = outcome_of(bench, cell, reused=not bench.decoded_here(cell), floor=floor)
            outcome = replace(outcome, message=printable(outcome.message))
        if outcome.unscored is not None:
            pytest.skip(printable(f"unscored: {outcome.unscored}"))
        request.node.stash[OUTCOME] = outcome
        request.node.user_properties.extend(_plain(outcome.properties).items())
        return outcome

    return record


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* as built-in types; any other number in a report would end a session of pytest-xdist."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    return plain


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where a plugin runs an item again, start afresh: its failed samples are decoded again."""
    if (cell := _cell_of(item)) is not None and OUTCOME in item.stash:
        del item.stash[OUTCOME]
        item.user_properties[:] = [pair for pair in item.user_properties if not pair[0].startswith("pb_")]
        item.config.stash[SESSION].bench.retry(cell)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Say in one line why a cell fails, where the test has nothing to add to its outcome.

    With --pdb the assertion stays what it was, so that the debugger stops at it.
    """
    try:
        return (yield)
    except AssertionError as error:
        cell, outcome = _cell_of(item), item.stash.get(OUTCOME, None)
        if cell is None or outcome is None or outcome.ok:
            raise
        own = (outcome.message, "assert False\n +  where False = Outcome(")  # with its message, and without
        if not str(error).startswith(own):
            raise
        if item.config.getoption("usepdb", False):
            raise
        raise pytest.fail.Exception(
            f"{cell.words}: {outcome.found}{outcome.message}", pytrace=False
        ) from None


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
            plain["reason"] = _first_line(call.excinfo.value)
            if outcome is not None and not outcome.ok and report.when == "call":
                plain["reason"] = outcome.message
            if not item.config.getoption("usepdb", False):
                from pb_plugin.session.failed_frames import release_frames

                release_frames(call.excinfo.value)
        report.pb = _plain(plain)  # type: ignore[attr-defined]
    return report


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


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
    from pb_plugin.session.hook_calls import GATE, is_asked

    if session.config.stash[SESSION].options.sweep == "gate" and is_asked(session.config, GATE):
        raise pytest.UsageError(
            f"--pb-sweep gate must have gates of --pb-gate alone, got a plugin with {GATE}; it is given all "
            "samples: leave --pb-sweep out"
        )
    if not hasattr(session.config, "workerinput"):
        controller = Controller(session.config, session.config.stash[SESSION])
        session.config.pluginmanager.register(controller, "pb-controller")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Callable[..., None]) -> Any:
    """Give whole groups to workers, where the run has cells of ours; leave every other session alone."""
    from pb_plugin.workers.scheduler import scheduler_of

    return scheduler_of(config, config.stash[SESSION], log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell the worker which run it belongs to; start the tools that workers share, where it needs one."""
    from pb_plugin.workers.cell_files import asks_for_cells

    session = node.config.stash[SESSION]
    node.workerinput["pb_run"] = session.ends.run
    if asks_for_cells(node.config.args):
        try:
            node.workerinput["pb_tools"] = session.tools.shared(session.needs)
        except ValueError as error:
            raise pytest.UsageError(printable(str(error))) from error


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Learn from a worker which items there are; the controller itself collects none."""
    _select(node.config, ids)
    node.config.stash[SESSION].tell_plan()
