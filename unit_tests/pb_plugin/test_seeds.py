"""``--seed 0,1``: what draws is repeated, kept apart in records, and pooled in the summary."""

import json

import pytest

from pb_plugin.cli import main
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.results.suites import SUITES

PUZZLES = ("--task", ",".join(SUITES["puzzles"]), "--k", "1,4", "--samples", "4", "--unmasking", "random")


def ids(**options):
    return [cell.id for cell in plan(Options(task=("copy",), k=(2,), **options)).cells]


def test_what_draws_is_repeated_and_has_the_seed_in_its_id():
    methods = ("random", "confidence", "threshold:gamma=0.9;confidence=random", "threshold:gamma=0.9")
    assert ids(model=("llada",), unmasking=methods, seed=(0, 1)) == [
        "copy-llada-random-k2-seed0",
        "copy-llada-random-k2-seed1",
        "copy-llada-confidence-k2",
        "copy-llada-threshold-gamma_0.9-confidence_random-seed0",
        "copy-llada-threshold-gamma_0.9-confidence_random-seed1",
        "copy-llada-threshold-0.9",
    ]
    assert ids(model=("llada",), unmasking=("confidence",), seed=(3, 5), temperature=(0.0, 1.0)) == [
        "copy-llada-confidence-k2",
        "copy-llada-confidence-k2-t1-seed3",
        "copy-llada-confidence-k2-t1-seed5",
    ]
    assert len(ids(unmasking=("confidence",), seed=(0, 1))) == 2  # ideal draws among equals
    assert ids(unmasking=("random",), seed=(7, 7)) == ["copy-ideal-random-k2"]


def test_a_method_may_say_that_it_draws(monkeypatch):
    from decoders.traits import _method_traits
    from decoders.unmasking.top_k import TopK

    monkeypatch.setattr(TopK, "is_random", True, raising=False)
    _method_traits.cache_clear()
    assert len(ids(model=("llada",), unmasking=("confidence",), seed=(0, 1))) == 2
    monkeypatch.undo()
    _method_traits.cache_clear()


@pytest.fixture
def run(suite):
    return suite.run(*PUZZLES, "--seed", "0,1", "-v")


def test_records_of_seeds_are_apart_and_the_table_has_their_spread(suite, run):
    run.assert_outcomes(passed=8)
    assert {(r.parts["seed"], r.parts["k"]) for r in suite.records()} == {(0, 1), (0, 4), (1, 1), (1, 4)}
    assert len(suite.records()) == 2 * 2 * 2 * 4
    run.stdout.fnmatch_lines(["suite puzzles *PB80 *95 %* seeds *", "ideal-random * (2) *"])
    cells = json.loads(suite.summary())["cells"]
    assert {cell["n"] for cell in cells} == {8}
    assert {tuple(cell["by_seed"]) for cell in cells} == {("0", "1")}


def test_one_seed_uses_the_records_of_several(suite, run):
    again = suite.run(*PUZZLES, "--seed", "1")
    again.assert_outcomes(passed=4)
    again.stdout.fnmatch_lines(["4 of 4 items reused; *"])
    again.stdout.no_fnmatch_line("*seeds*")


def test_a_sweep_for_gates_takes_one_seed(suite):
    result = suite.run(*PUZZLES, "--seed", "0,1", "--pb-sweep", "gate", "--pb-gate", "PB80>=1")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --pb-sweep gate must come without several seeds, got both; *"])


def test_what_is_wrong_and_the_page_keep_seeds_apart(suite, run, capsys):
    from pb_plugin.report.html.samples import shown_cells
    from pb_plugin.report.stored import read_report

    assert main(["failures", str(suite.store), "--task", "sudoku"]) == 0
    said = capsys.readouterr().out
    assert "k=4,seed=0" in said
    assert "k=4,seed=1" in said
    assert main(["failures", str(suite.store), "--task", "sudoku", "--setting", "k=4"]) == 0
    assert "k=4,seed=1" in capsys.readouterr().out
    settings = {shown.setting for shown in shown_cells(read_report(suite.store, None))}
    assert settings == {f"k={k},seed={seed}" for k in (1, 4) for seed in (0, 1)}
