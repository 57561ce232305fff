"""Paths that options name move nothing of a run; what the system does not take, or a disk, is one message."""

import itertools
import os
import time
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from pb_plugin.cli import main

ONE = ("--task", "copy", "--unmasking", "random", "--k", "1", "--samples", "2")
FULL = OSError(28, "No space left on device")


@pytest.fixture
def elsewhere(suite):
    """A folder beside the one that the run is started in, with settings of its own where *ini* is True."""

    def make(*, ini):
        folder = suite.pytester.path / "elsewhere"
        folder.mkdir()
        if ini:
            (folder / "pytest.ini").write_text("[pytest]\npb_samples = 1\n")
        return folder

    return make


def run_in(suite, *options):
    """Run in a folder ``project`` below, by its default store."""
    project = suite.pytester.path / "project"
    project.mkdir(exist_ok=True)
    (project / "test_bench.py").write_text((suite.pytester.path / "test_bench.py").read_text())
    suite.pytester.chdir()
    os.chdir(project)
    plugins = ("-p", "pb_plugin.plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    return project, suite.pytester.runpytest_inprocess(*plugins, *ONE, *options)


@pytest.mark.parametrize("ini", [False, True], ids=["plain", "with settings"])
@pytest.mark.parametrize("named", [(), ("test_bench.py",)], ids=["no file", "a file"])
def test_a_folder_in_an_option_moves_neither_store_nor_run_without_a_word(suite, elsewhere, named, ini):
    folder = elsewhere(ini=ini)
    project, result = run_in(suite, *named, "--pb-grammar", str(folder))
    result.assert_outcomes(passed=1)
    assert list(project.glob(".pb/*.jsonl"))
    assert not [path for path in suite.pytester.path.rglob(".pb") if path.parent != project]
    result.stdout.fnmatch_lines(
        [f"parallelbench: pytest took the value of an option *not in {project}; write --option=VALUE, *"]
    )


def test_with_an_equals_sign_there_is_nothing_to_say(suite, elsewhere):
    project, result = run_in(suite, f"--pb-grammar={elsewhere(ini=True)}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*items reused; records in {project / '.pb'}"])
    assert "took the value of an option" not in result.stdout.str()


@pytest.mark.parametrize("settings", ["pytest.ini", "setup.py"])
def test_a_project_with_settings_keeps_its_store_wherever_below_a_run_starts(suite, settings):
    root = suite.pytester.path
    (root / settings).write_text("[pytest]\n" if settings == "pytest.ini" else "")
    _, result = run_in(suite)
    result.stdout.fnmatch_lines([f"*items reused; records in {root / '.pb'}"])
    assert "took the value of an option" not in result.stdout.str()


def test_a_root_that_was_named_is_kept(suite):
    root = suite.pytester.path
    _, result = run_in(suite, f"--rootdir={root}")
    result.stdout.fnmatch_lines([f"*items reused; records in {root / '.pb'}"])


@pytest.mark.parametrize("option", ["--pb-store", "--pb-data"])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("x" * 300, "File name too long"),
        ("a/" * 3000, "File name too long"),
        ("~nobody_of_that_name/a", "Could not determine home directory."),
        ("circle/a", "Too many levels of symbolic links"),
    ],
    ids=["name", "path", "home", "circle"],
)
def test_a_path_that_the_system_does_not_take_is_one_message(suite, option, path, why):
    (suite.pytester.path / "circle").symlink_to("circle")
    result = suite.run(*ONE, f"{option}={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    shown = f"'{path}'" if len(path) < 199 else f"'{path[:199]}... ({len(path) + 2} characters)"
    result.stderr.fnmatch_lines(
        [f"ERROR: {option} must be a path that the system takes, got {shown} ({why}); choose another"]
    )


def test_the_name_of_a_task_file_too_long_for_the_system_is_one_message(suite):
    result = suite.run("--task", "x" * 300 + ".yaml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *File name too long*"])
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_full_disk_at_the_end_says_what_is_lost_what_is_kept_and_the_cure(suite, monkeypatch):
    from pb_plugin.records import plain_files

    whole = plain_files.Path.write_bytes

    def full(path, *arguments, **settings):
        if path.suffix == ".part":
            raise FULL
        return whole(path, *arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(plain_files.Path, "write_bytes", full)
        result = suite.run(*ONE)
    assert result.ret == 1
    said = (
        f"{suite.store / 'runs'}/*.json: the run file, from which pb report makes its tables, could not be "
        "written (No space left on device); make the folder writable or free some space, and run the same "
        "command again: every record is stored and used"
    )
    result.stdout.fnmatch_lines([f"no summary: {said}"])
    assert not list(suite.store.rglob("*.part"))
    again = suite.run(*ONE)
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["unfinished: run *", "1 of 1 items reused; *"])
    assert main(["report", str(suite.store)]) == 0


def test_a_disk_that_is_full_in_the_middle_says_so_and_keeps_what_is_stored(suite, monkeypatch):
    from pb_plugin.records import store

    whole = os.write

    def full(descriptor, data):
        if b'"decode_key"' in data:
            full.left -= 1
            if full.left < 0:
                raise FULL
        return whole(descriptor, data)

    full.left = 1
    with monkeypatch.context() as patch:
        patch.setattr(store.os, "write", full)
        result = suite.run(*ONE)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            f"failed, 1 item: OSError: {suite.store}/*.jsonl: a record could not be written (No space left "
            "on device); free some space and run again: every record before it is stored"
        ]
    )
    assert len(suite.records()) == 1
    suite.run(*ONE).assert_outcomes(passed=1)
    assert len(suite.records()) == 2


def test_a_clock_that_is_set_back_hides_no_run_and_ends_none(suite, monkeypatch, capsys):
    """An hour back before the second run, and a day back at every other question for the time meanwhile."""
    from pb_plugin.records import moments

    suite.run(*ONE).assert_outcomes(passed=1)
    asked = itertools.count()
    day_s = 24 * 3600.0
    hour_back = SimpleNamespace(
        now=lambda zone: datetime.now(zone) - timedelta(hours=1),
        fromtimestamp=datetime.fromtimestamp,
        strptime=datetime.strptime,
    )
    whole = time.time
    with monkeypatch.context() as patch:
        patch.setattr(moments, "datetime", hour_back)
        patch.setattr(time, "time", lambda: whole() - day_s * (next(asked) % 2))
        result = suite.run(*ONE[2:], "--task", "copy,sort", "--pb-timeout", "20,40")
    result.assert_outcomes(passed=2)
    assert not [record for record in suite.records() if record.error]
    capsys.readouterr()
    assert main(["report", str(suite.store)]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("sort ")]
