"""The mark of a run: there from its begin to its end, and told of whatever ended without an end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pb_plugin.records.begun import Mark, begun_runs

ROOT = Path(__file__).resolve().parents[3]


def begin_and_leave(store, how="os._exit(0)"):
    """Begin a run in a process of its own that ends in the middle, and return its id."""
    code = f"""
import os
from pathlib import Path
from pb_plugin.records.begun import Mark
mark = Mark(Path({str(store)!r}))
{how}
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    process.wait(timeout=60)
    return process.pid


def test_a_run_that_reaches_its_end_leaves_nothing(tmp_path):
    mark = Mark(tmp_path)
    (run,) = begun_runs(tmp_path)
    assert run.alive
    assert run.line == f"not finished yet: run {mark.path.stem} is still going on"
    mark.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["os._exit(0)", "os.kill(os.getpid(), 9)", "raise SystemExit"])
def test_a_run_that_does_not_is_told_until_another_one_that_told_it_has_reached_its_end(tmp_path, how):
    pid = begin_and_leave(tmp_path, how)
    (left,) = begun_runs(tmp_path)
    assert not left.alive
    assert left.path.stem.endswith(f"-{pid}")
    assert left.line == (
        f"unfinished: run {left.path.stem} did not reach its end; start its command again: what it decoded "
        "is stored and used"
    )
    killed_too = Mark(tmp_path)
    assert killed_too.others == [left]
    killed_too.release()
    assert len(begun_runs(tmp_path)) == 2, "what was told by a run without an end is told again"
    mark = Mark(tmp_path)
    mark.finish()
    assert begun_runs(tmp_path) == []


def test_a_run_beside_another_leaves_its_mark_alone(tmp_path):
    first, second = Mark(tmp_path), Mark(tmp_path)
    assert second.others == []
    second.finish()
    assert [run.path for run in begun_runs(tmp_path)] == [first.path]
    first.finish()


def test_a_mark_that_somebody_took_away_is_no_error_at_the_end(tmp_path):
    mark = Mark(tmp_path)
    mark.path.unlink()
    mark.finish()


def test_what_is_no_plain_file_is_no_mark(tmp_path):
    (tmp_path / "folder.begun").mkdir()
    (tmp_path / "dangling.begun").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo.begun")
    assert begun_runs(tmp_path) == []
