"""docs/paper.md: every figure and table is there, its commands run, its numbers fit the theory."""

import json
import re
import shlex

import pytest

from decoders.theory.closed_forms import (
    replace_random_accuracy,
    replace_random_threshold_accuracy,
    shuffle_accuracy,
    shuffle_threshold_accuracy,
)
from pb_plugin.cli import main
from pb_plugin.results.aggregate import aggregate
from pb_plugin.statistics.intervals import wilson
from unit_tests import paper_numbers, paper_tables
from unit_tests.paper_numbers import RUNS, points
from unit_tests.paper_rows import ROWS, Shown

COMMITTED = paper_tables.numbers()
BENCH = [row for row in ROWS if not row.command.startswith("pb ") and "=DIR" not in row.command]


def numbered(kind):
    """Return every number of a figure or table that the rows name, once for each time."""
    found = []
    for row in ROWS:
        for part in re.split(r", (?=Table|Figure)", row.what):
            if part.startswith(kind):
                ends = [int(n) for n in re.findall(r"\d+", part)]
                found += range(ends[0], ends[1] + 1) if " to " in part else ends
    return found


def test_every_figure_and_table_of_the_paper_has_a_row():
    assert set(numbered("Figure")) == set(range(1, 26))
    assert set(numbered("Table")) == set(range(1, 8))


def test_every_number_that_a_row_shows_is_committed_with_an_interval_around_it():
    names = [name for row in ROWS for one in row.shown for _, name in points(one)]
    assert set(names) == set(COMMITTED["shown"])
    for name, number in {**COMMITTED["shown"], **COMMITTED["lists"]}.items():
        assert number["low"] - 1e-3 <= number["percent"] <= number["high"] + 1e-3, name
    assert {one.run for row in ROWS for one in row.shown} <= set(RUNS)


@pytest.mark.parametrize("command", dict.fromkeys(row.command for row in BENCH))
def test_a_command_of_the_page_plans_items(suite, command):
    result = suite.run(*shlex.split(command), "--samples", "1", "--collect-only", "-q")
    assert result.ret == 0


@pytest.mark.parametrize("name", RUNS)
def test_the_command_of_a_stored_run_plans_items(suite, name):
    result = suite.run(*shlex.split(RUNS[name]), "--collect-only", "-q")
    assert result.ret == 0


def test_the_theory_command_of_the_page_runs(capsys):
    (row,) = [row for row in ROWS if row.command.startswith("pb theory")]
    assert main(shlex.split(row.command)[1:]) == 0
    assert "L_T" in capsys.readouterr().out


def measured(run, task, n, setting):
    number = COMMITTED["lists"][f"{run}|{task}{'' if n == 10 else f'_n{n}'}|{setting}"]
    return wilson(round(number["percent"] * number["n"] / 100), number["n"], 1 - 1e-5)


@pytest.mark.parametrize("n", paper_numbers.LENGTHS)
def test_what_was_measured_of_list_operations_fits_the_closed_forms(n):
    for k in {1, 2, n}:
        for run, greedy in (("list_greedy", True), ("list_sampled", False)):
            found = measured(run, "list_shuffle", n, f"k={k}")
            assert found.low - 1e-9 <= shuffle_accuracy(n, k) <= found.high + 1e-9
            if greedy or k in (1, n):
                found = measured(run, "list_replace_random", n, f"k={k}")
                expected = replace_random_accuracy(n, k, greedy=greedy)
                assert found.low - 1e-9 <= expected <= found.high + 1e-9


@pytest.mark.parametrize("gamma", paper_numbers.GAMMAS)
def test_what_was_measured_under_a_threshold_fits_the_closed_forms(gamma):
    forms = {
        "list_shuffle": shuffle_threshold_accuracy(10, gamma),
        "list_replace_random": replace_random_threshold_accuracy(10, gamma),
        "list_copy": 1.0,
        "list_replace_index": 1.0,
    }
    for task, expected in forms.items():
        found = measured("list_threshold", task, 10, f"gamma={gamma:g}")
        assert found.low - 1e-9 <= expected <= found.high + 1e-9, task


def test_a_number_is_that_of_the_cell_and_a_missing_one_is_named(make_cell):
    summary = aggregate([make_cell("shuffle", method="random", k=2, scores=[1, 0, 0, 0])])
    one = Shown(run="core_ideal", task="shuffle", method="random", settings=("k=2",))
    assert paper_numbers._score(summary, one)["percent"] == 25.0
    assert paper_numbers._score(summary, one)["n"] == 4
    other = Shown(run="core_ideal", task="shuffle", method="random", settings=("k=4",))
    with pytest.raises(ValueError, match=r"run core_ideal must have one cell .*k=4, got 0; run its command"):
        paper_numbers._score(summary, other)


def test_the_commands_of_the_runs_are_printed(tmp_path, capsys):
    assert paper_numbers.main([str(tmp_path), "--commands"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RUNS)
    assert all(line.startswith(f"pytest bench_tests --pb-store {tmp_path}/") for line in lines)


def test_the_committed_file_is_what_the_script_writes():
    text = paper_numbers.GOLDEN.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"
