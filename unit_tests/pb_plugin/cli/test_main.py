"""The command ``pb`` as a whole: help, errors in one line, exit codes, one real process."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from pb_plugin.asking.models import ModelUnavailable
from pb_plugin.cli import HELP_WIDTH, all_verbs, main

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = (
    *(
        "analyses",
        "browse",
        "compare",
        "completions",
        "doctor",
        "export",
        "failures",
        "fine-tune",
        "frequencies",
        "merge",
        "plot",
        "points",
        "reference",
        "report",
        "rescore",
        "resolve",
        "theory",
    ),
    "train-tiny",
    "view",
)


def run_in_process(code, **settings):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        text=True,
        timeout=120,
        stderr=subprocess.PIPE,
        check=False,
        **settings,
    )


def test_the_entry_point_in_pyproject_is_this_function():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    module, _, name = scripts["pb"].partition(":")
    assert getattr(import_module(module), name) is main


def test_without_arguments_it_prints_the_help_of_every_command(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: pb ")
    assert all(f"    {command} " in out for command in COMMANDS)


def test_the_commands_are_the_files_that_have_one():
    assert tuple(all_verbs()) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example_and_json(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"example: pb {command}" in out
    assert "--json" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_does_not_depend_on_the_terminal(command, capsys, monkeypatch):
    shown = set()
    for columns in ("20", "80", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown.add(capsys.readouterr().out)
    assert len(shown) == 1
    assert max(map(len, shown.pop().splitlines())) <= HELP_WIDTH


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["foo"], "invalid choice: 'foo'"),
        (["browse", "copy", "--ind", "1"], "unrecognized arguments: --ind 1; see pb --help"),
        (["points"], "the following arguments are required: FILE.csv; see pb points --help"),
        (["report"], "the following arguments are required: STORE; see pb report --help"),
        (["browse", "shufle"], "did you mean 'shuffle'?"),
        (["theory", "copy,,sort"], "task must be a list without empty items, got 'copy,,sort'"),
        (["doctor", "--model", "lada"], "--model must be a known name"),
    ],
    ids=["command", "option", "file", "store", "task", "tasks", "model"],
)
def test_a_bad_request_is_one_line_on_stderr_and_exit_code_2(argv, message, capsys, monkeypatch):
    monkeypatch.setattr(
        "pb_plugin.cli.doctor._default_run", lambda: {"works": True, "detail": "not asked here"}
    )
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("pb: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("x must be 1,\n  got 2"), "pb: x must be 1, got 2\n"),
        (KeyError("no such task"), "pb: no such task\n"),
        (FileNotFoundError(2, "No such file", "a.csv"), "pb: [Errno 2] No such file: 'a.csv'\n"),
        (ModelUnavailable("model ideal: torch is missing"), "pb: model ideal: torch is missing\n"),
    ],
    ids=["value", "key", "file", "model"],
)
def test_an_error_of_ours_is_told_in_one_line(error, line, capsys, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("pb_plugin.cli.browse.all_tasks", fail)
    assert main(["browse"]) == 2
    assert capsys.readouterr().err == line


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def fail(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("pb_plugin.cli.browse.all_tasks", fail)
    with pytest.raises(ZeroDivisionError):
        main(["browse"])


def test_a_real_process_prints_the_task_table_without_torch():
    code = (
        "import sys; from pb_plugin.cli import main; sys.argv[1:] = ['browse']; code = main();"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = run_in_process(code, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nshuffle " in done.stdout


def test_a_reader_that_closes_early_gets_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    done = run_in_process(
        "import sys; from pb_plugin.cli import main; sys.exit(main(['browse']))", stdout=writing
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
