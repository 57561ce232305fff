"""A store that cannot be used or is damaged has one message; a run that did not reach its end is told."""

import json

import pytest

from pb_plugin.cli import main

USAGE = pytest.ExitCode.USAGE_ERROR
ONE = ("--task", "copy", "--unmasking", "random", "--k", "1", "--samples", "2")


def test_a_store_that_is_a_file_is_refused_at_once(suite):
    suite.store.write_text("mine")
    result = suite.run()
    assert result.ret == USAGE
    result.stderr.fnmatch_lines(
        ["ERROR: store must be a directory, got the file '*store'; name a directory *"]
    )


def test_a_default_store_that_is_a_file_is_one_reason_for_every_item_and_no_matter_of_other_tests(suite):
    suite.pytester.path.joinpath(".pb").write_text("mine")
    suite.pytester.makepyfile(
        test_bench="""
        def test_cell(pb_cell, pb_record): ...
        def test_plain(): ...
        """
    )
    result = suite.pytester.runpytest_inprocess(
        "-p", "pb_plugin.plugin", "-p", "no:cacheprovider", "-k", "copy-ideal-random-k1] or plain"
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["failed, 1 item: store must be a directory, got the file '*.pb'; name *"])


def test_a_store_that_cannot_be_written_is_one_reason(suite):
    suite.pytester.path.joinpath("file").write_text("mine")
    result = suite.run(*ONE, store=suite.pytester.path / "file" / "store")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["failed, 1 item: store must be a directory that can be written, got *"])


def test_a_line_of_the_store_that_is_no_record_is_named(suite):
    suite.run(*ONE)
    (file,) = suite.store.glob("*.jsonl")
    text = file.read_text()
    file.write_text("{}\n" + text)
    result = suite.run(*ONE)
    assert result.ret == 1
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"failed, 1 item: ValueError: {file}, line 1: not a record (*); delete *"])
    result.stdout.fnmatch_lines([f"no summary: {file}, line 1: not a record *"])
    file.write_text(text)
    suite.run(*ONE).assert_outcomes(passed=1)


def test_a_torn_last_line_is_decoded_again(suite):
    suite.run(*ONE)
    (file,) = suite.store.glob("*.jsonl")
    whole = file.read_bytes()
    summary = suite.summary()
    file.write_bytes(whole[:-20])
    result = suite.run(*ONE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["0 of 1 items reused; *"])
    assert len(list(suite.store.glob("*.jsonl"))) == 2
    assert suite.summary() == summary


def test_two_results_of_one_key_fail_their_item_naming_both_files(suite):
    suite.run(*ONE, "--unmasking", "margin")
    (file,) = suite.store.glob("*.jsonl")
    line = json.loads(file.read_text().splitlines()[0])
    other = suite.store / "other.jsonl"
    other.write_text(json.dumps({**line, "nfe": line["nfe"] - 1}) + "\n")
    result = suite.run(*ONE, "--unmasking", "margin")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            f"failed, 1 item: {file} and {other} hold different nfe for decode_key {line['decode_key']}; "
            "something that is no part of the key changed the result: *"
        ]
    )
    by_method = {cell["method"]: cell for cell in json.loads(suite.summary())["cells"]}
    assert by_method[line["parts"]["method"]]["n"] == 1, "a result in conflict is none"
    assert main(["resolve", str(suite.store)]) == 0
    cured = suite.run(*ONE, "--unmasking", "margin")
    cured.assert_outcomes(passed=2)
    cured.stdout.fnmatch_lines(["2 of 2 items reused; *"])
    assert all(cell["n"] == 2 for cell in json.loads(suite.summary())["cells"])


QUITS = """
import os
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True, kw_only=True)
class Quits:
    name: ClassVar[str] = "quits"
    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar = ({},)
    needs: ClassVar = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    def init(self, view):
        return None

    def step(self, view, memory):
        os._exit(0)
"""


def test_a_method_that_ends_the_process_leaves_a_trace_until_a_run_reaches_its_end(suite):
    """Nobody can change the exit code of ``os._exit(0)``; in a worker it is a crash."""
    suite.pytester.makepyfile(quits=QUITS)
    ended = suite.run_apart(*ONE, "--unmasking", "quits:Quits")
    assert ended.ret == 0
    assert "parallelbench ====" not in ended.stdout.str(), "there is no summary"
    (mark,) = suite.store.glob("*.begun")
    told = f"unfinished: run {mark.stem} did not reach its end; *"
    again = suite.run(*ONE)
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines([f"parallelbench: {told}", "*= parallelbench =*", told])
    assert not list(suite.store.glob("*.begun"))
    assert "unfinished" not in suite.run(*ONE).stdout.str()


@pytest.mark.parametrize("options", [("--collect-only",), ("--maxfail", "1", "--pb-floor", "copy=1.0")])
def test_a_run_that_collects_or_stops_in_order_leaves_no_mark(suite, options):
    suite.run("--task", "copy,shuffle", "--unmasking", "random", "--k", "32", "--samples", "2", *options)
    assert not list(suite.store.glob("*.begun"))


def test_a_store_that_takes_no_mark_is_one_message_before_anything_is_decoded(suite, monkeypatch):
    from pb_plugin.records import begun

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(begun.fcntl, "flock", full)
    result = suite.run(*ONE)
    assert result.ret == USAGE
    result.stderr.fnmatch_lines(
        ["ERROR: store must be on a disk that takes files and locks them, got *store' (No space left *"]
    )
