"""What a log sees of the workers of pytest-xdist: records that were added to the store, and time left."""

import io
import time
from types import SimpleNamespace

import pytest

from pb_plugin.planning.options import Options
from pb_plugin.records.store import Store
from pb_plugin.running import progress
from pb_plugin.running.bench import Bench
from pb_plugin.running.progress import Line
from pb_plugin.session import heartbeat as module
from pb_plugin.session.heartbeat import RecordCount, heartbeat
from pb_plugin.session.session import BenchSession


@pytest.fixture
def out(monkeypatch):
    """Where the lines go, each at once."""
    out = io.StringIO()
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.0)
    monkeypatch.setattr(module, "line_of", lambda config: Line(out, live=False))
    return out


def config_of(n_workers):
    options = {"numprocesses": n_workers}
    return SimpleNamespace(
        getoption=lambda name, default=None: options.get(name, default),
        option=SimpleNamespace(collectonly=False),
    )


def session_of(store, **values):
    return SimpleNamespace(
        options=SimpleNamespace(store=store, engine="local"),
        bench=object(),
        selected=["cell"],
        n_left_for_workers=lambda: 10,
        **values,
    )


def wait_for(out, text):
    limit = time.monotonic() + 60.0
    while text not in out.getvalue():
        assert time.monotonic() < limit, out.getvalue()
        time.sleep(0.01)


def test_records_of_the_workers_are_counted_from_where_the_run_began(tmp_path, out):
    (tmp_path / "before.jsonl").write_text("{}\n" * 5)
    with heartbeat(config_of(2), session_of(tmp_path)):
        wait_for(out, "parallelbench: 0/10 rows of all workers\n")
        (tmp_path / "gw0.jsonl").write_text("{}\n" * 3)
        (tmp_path / "gw1.jsonl").write_text("{}\n" * 2 + "{")
        wait_for(out, "parallelbench: 5/10 rows of all workers, ")
        assert out.getvalue().endswith(" left\n")
    length = len(out.getvalue())
    time.sleep(0.05)
    assert len(out.getvalue()) == length, "it ends with the run"


def test_a_process_that_decodes_itself_has_no_heartbeat(tmp_path, out):
    with heartbeat(config_of(None), session_of(tmp_path)):
        time.sleep(0.05)
    assert out.getvalue() == ""


def test_a_line_that_is_completed_later_counts_once(tmp_path):
    records = RecordCount(tmp_path)
    file = tmp_path / "a.jsonl"
    assert records.count() == 0
    file.write_text('{"a"')
    assert records.count() == 0
    with file.open("a") as more:
        more.write(": 1}\n{}\n")
    assert records.count() == 2
    file.unlink()
    assert records.count() == 2


def test_what_is_left_for_workers_is_counted_without_keeping_what_the_store_held(tmp_path):
    """The controlling process reads the store once, at the end, when the workers have written."""
    session = BenchSession(
        Options(task=("copy",), unmasking=("random",), k=(8, 32), samples=3, store=tmp_path / "store")
    )
    session.select([f"test_bench.py::test_cell[{cell.id}]" for cell in session.plan.cells])
    assert session.n_left_for_workers() == 6
    worker = Bench(session.options, Store(session.options.store, worker="gw0"))
    worker.decode([session.plan.cells[0]])
    worker.close()
    assert session.n_left_for_workers() == 3
    assert session.left() == (3, 3)
    summary = session.conclude(judge_gates=False).summary
    assert [cell.n for cell in summary.cells] == [3, 0]
    session.close()
