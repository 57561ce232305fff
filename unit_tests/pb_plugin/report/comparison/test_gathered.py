"""Runs of several stores in one comparison: only what asked the same questions, each line once."""

import pytest

from pb_plugin.report.comparison.gathered import compare_models, read_runs
from pb_plugin.results.suites import SUITES
from unit_tests.pb_plugin.conftest import build_cell, write_run

PUZZLES = SUITES["puzzles"]


def run(folder, model, *, n=4, tasks=PUZZLES, **values):
    cells = [build_cell(task, model=model, scores=[1.0] * (n - 1) + [0.0], **values) for task in tasks]
    return write_run(folder, cells)


def gathered(stores, at=None, curves=()):
    return compare_models(read_runs(stores[0], None, [*map(str, stores[1:])]), at or {}, curves)


def test_models_of_two_stores_stand_beside_each_other(tmp_path):
    stores = [run(tmp_path / name, name, nfe=nfe) for name, nfe in (("llada", 4), ("mercury", None))]
    (table,) = gathered(stores).tables
    assert [line.label for line in table.lines] == ["llada-confidence[k=2]", "mercury-confidence[k=2]"]
    assert [line.nfe_kinds for line in table.lines] == [("counted",), ("unknown",)]
    assert len(gathered(stores).runs) == 2


def test_a_run_of_a_store_is_named_behind_an_at_sign(tmp_path):
    store = run(tmp_path / "a@b", "llada")
    (file,) = (store / "runs").glob("*.json")
    run(store, "dream")
    found = gathered([run(tmp_path / "c", "mercury"), f"{store}@{file.name}"])
    assert [line.label.split("-")[0] for line in found.tables[0].lines] == ["mercury", "llada"]


@pytest.mark.parametrize(
    ("values", "differs"),
    [
        ({"record_parts": {"data_checksum": "d1"}}, "data_checksum"),
        ({"record_parts": {"spec_version": 2}}, "spec_version"),
        ({"data_source": "released", "record_parts": {"data_source": "released"}}, "data_source"),
        ({"n": 5}, "samples"),
    ],
)
def test_other_questions_are_refused(tmp_path, values, differs):
    stores = [run(tmp_path / "a", "llada"), run(tmp_path / "b", "mercury", **values)]
    with pytest.raises(
        ValueError, match=f"must ask the same, got another {differs} of latin_square in .*a/runs"
    ):
        gathered(stores)


def test_a_line_comes_from_one_run(tmp_path):
    stores = [run(tmp_path / "a", "llada"), run(tmp_path / "b", "llada")]
    with pytest.raises(
        ValueError, match=r"a curve must come from one run, got 'llada-confidence\[k=2\]' from two"
    ):
        gathered(stores)


def test_only_the_named_curves_are_shown_and_others_refused(tmp_path):
    stores = [run(tmp_path / name, name) for name in ("llada", "mercury")]
    (table,) = gathered(stores, curves=["mercury-confidence"]).tables
    assert [line.label for line in table.lines] == ["mercury-confidence[k=2]"]
    for at, curves in (({"nobody": "k=2"}, ()), ({}, ["nobody"])):
        with pytest.raises(
            LookupError, match="a curve must be one of the runs, got 'nobody'; they have llada-"
        ):
            gathered(stores, at, curves)


def test_a_setting_of_a_curve_of_one_run_leaves_the_other_alone(tmp_path):
    stores = [run(tmp_path / "llada", "llada", k=4), run(tmp_path / "mercury", "mercury")]
    (table,) = gathered(stores, {"llada-confidence": "k=4"}).tables
    assert [line.label for line in table.lines] == ["llada-confidence[k=4]", "mercury-confidence[k=2]"]


def test_a_run_without_any_of_the_tables_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="must have results of waiting lines, text writing or puzzles, got none"
    ):
        gathered([run(tmp_path / "a", "llada", tasks=("list_copy",))])
