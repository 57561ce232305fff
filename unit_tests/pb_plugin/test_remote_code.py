"""A run with a checkpoint's own code: one reason without the option, and with it a line in every report."""

import json
from pathlib import Path

import pytest

from pb_plugin.cli import main
from pb_plugin.results import run_file as runfile
from unit_tests.remote_checkpoint import allowed, module_cache, write

BENCH = str(Path(__file__).resolve().parents[2] / "bench_tests")
OPTION = "--pb-allow-remote-code"


@pytest.fixture
def folder(tmp_path):
    """A checkpoint that is fed bytes: with a token for each, answers would not fit the canvas."""
    folder = write(tmp_path / "checkpoint")
    (folder / "tokenizer.json").unlink()
    return folder


@pytest.fixture
def asked(suite, folder, loaded_libraries):
    """The arguments of a run of copy with the checkpoint; transformers keeps its copy of code elsewhere."""
    chosen = ("-k", "copy", "--model", f"remote={folder}", "--unmasking", "confidence,random")
    with module_cache(suite.pytester.path / "modules"):
        yield (BENCH, *chosen, "--samples", "2", "--k", "8")


def test_an_allowed_code_decodes_and_is_named_in_run_file_summary_and_report(suite, asked, folder, capsys):
    code = allowed(folder)
    line = f"remote code behind these results: {code} (model remote)"
    result = suite.run(*asked, OPTION, code)
    result.assert_outcomes(passed=2, deselected=32)
    assert result.stdout.lines.count(line) == 1
    run, path = runfile.load(suite.store)
    assert run.remote_code == ((code, "remote"),)
    assert json.loads(path.read_text())["remote_code"] == [[code, "remote"]]
    assert len(suite.records()) == 4
    assert not [record.error for record in suite.records() if record.failed]
    assert (suite.pytester.path / "modules").is_dir()
    capsys.readouterr()
    assert main(["report", str(suite.store)]) == 0
    assert capsys.readouterr().out.splitlines().count(line) == 1
    assert main(["report", str(suite.store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["remote_code"] == [{"code": code, "model": "remote"}]


def test_without_the_option_all_items_fail_for_one_reason_that_shows_it(suite, asked, folder):
    result = suite.run(*asked)
    result.assert_outcomes(errors=2, deselected=32)
    reasons = [line for line in result.stdout.lines if line.startswith("failed, ")]
    assert reasons == [
        f"failed, 2 items: model remote={folder}: LoadError: code in {str(folder)!r} must be allowed before "
        f"it is run, got no {OPTION}; read its *.py files and config.json first, then pass {OPTION} "
        f"{allowed(folder)}"
    ]
    result.stdout.no_fnmatch_line("remote code*")
    run, path = runfile.load(suite.store)
    assert run.remote_code == ()
    assert "remote_code" not in json.loads(path.read_text())
    assert not (suite.pytester.path / "modules").exists()


def test_a_bad_value_stops_the_run_with_one_message(suite, asked):
    result = suite.run(*asked[1:], OPTION, "owner/name@main")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--pb-allow-remote-code must end in a full commit*, got 'owner/name@main'; *"]
    )


def test_a_run_without_remote_code_has_no_word_of_it(suite, capsys):
    result = suite.run("--task", "copy", "--unmasking", "random", "--k", "8", "--samples", "2")
    result.stdout.no_fnmatch_line("*remote code*")
    _, path = runfile.load(suite.store)
    assert "remote" not in path.read_text()
    capsys.readouterr()
    assert main(["report", str(suite.store)]) == 0
    assert "remote code" not in capsys.readouterr().out


def test_the_doctor_takes_the_option_and_names_the_code(folder, tmp_path, capsys, monkeypatch):
    from pb_plugin.cli import doctor

    monkeypatch.setattr(doctor, "_default_run", lambda: {"works": True, "detail": "told by a test"})
    code = allowed(folder)
    with module_cache(tmp_path / "modules"):
        assert main(["doctor", "--model", f"remote={folder}", OPTION, code]) == 0
    out = capsys.readouterr().out
    assert f"  remote code was run: {code}\n" in out
    assert "  self-test both_directions: passed (the last of 128 tokens moves logits" in out
    assert main(["doctor", "--model", f"remote={folder}"]) == 1
    assert f"CANNOT BE LOADED: model remote={folder}: LoadError: code in " in capsys.readouterr().out
    assert main(["doctor", OPTION, "owner/name@main"]) == 2
    assert capsys.readouterr().err.startswith(f"pb: {OPTION} must end in a full commit")
