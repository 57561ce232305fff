"""The study of fine-tuning: its settings are ones, and its table says what a store holds."""

import json

import pytest

pytest.importorskip("transformers", reason="tiny needs the extra models")

from bench_tests import fine_tuning
from bench_tests.fine_tuning import MARK, STUDIES, Study, measure, table, with_rows_of_others
from bench_tests.page_marks import read, write
from pb_plugin.cli.fine_tune import asked_for
from unit_tests.pages import ROOT


@pytest.mark.parametrize("name", [name for name, study in STUDIES.items() if study.config is not None])
def test_what_it_trains_is_taken_by_the_command(name, tmp_path):
    study, config = STUDIES[name], tmp_path / "config.yaml"
    config.write_text(json.dumps(study.config), encoding="utf-8")
    asked = asked_for(study.model, study.tasks, config, full=False, device="cpu", adapter_only=False)
    assert len(asked.specs) == len(study.tasks)
    assert (asked.new is not None) == (study.model == "sedd-tiny")


def test_rows_of_studies_that_are_not_measured_stay_in_the_order_of_the_studies():
    header = table({})
    old = {name: f"| {name} | random | copy | k=1: 1 (0..2) |\n" for name in STUDIES}
    new = "| tiny after LoRA | random | copy | k=1: 9 (8..10) |\n"
    found = with_rows_of_others(header + new, header + "".join(old.values()), ["tiny after LoRA"])
    assert found == header + "".join({**old, "tiny after LoRA": new}.values())


def test_the_rows_of_the_page_are_those_of_studies_in_their_order():
    rows = read(ROOT / "docs" / "tuning.md", MARK).splitlines()[2:]
    names = list(dict.fromkeys(row.split(" | ")[0].removeprefix("| ") for row in rows))
    assert names == [name for name in STUDIES if name in names]


def test_marks_are_written_between_and_a_page_without_them_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nz\n", encoding="utf-8")
    write("new\n", page, "x")
    assert page.read_text(encoding="utf-8") == "a\n<!-- x -->\nnew\n<!-- end of x -->\nz\n"
    assert read(page, "x") == "new\n"
    with pytest.raises(ValueError, match="must have the mark <!-- y --> once; put it where"):
        write("new\n", page, "y")


@pytest.mark.slow
def test_the_table_has_a_row_for_each_task_with_every_speed(tmp_path):
    study = Study(
        model="ideal", tasks=("copy",), config=None, speeds=("--unmasking", "confidence", "--k", "1,8")
    )
    cells = measure(tmp_path, "reference", study, 4)
    lines = table({"reference": cells}).splitlines()
    assert lines[2:] == ["| reference | confidence | copy | k=1: 100 (51..100), k=8: 100 (51..100) |"]
    assert fine_tuning.folder_of(tmp_path, "SEDD absorb").name == "sedd_absorb"
