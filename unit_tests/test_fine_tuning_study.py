"""The study of fine-tuning: its settings are ones, and its table says what a store holds."""

import json

import pytest

pytest.importorskip("transformers", reason="tiny needs the extra models")

from bench_tests import fine_tuning
from bench_tests.fine_tuning import STUDIES, Study, measure, table
from pb_plugin.cli.fine_tune import asked_for


@pytest.mark.parametrize("name", [name for name, study in STUDIES.items() if study.config is not None])
def test_what_it_trains_is_taken_by_the_command(name, tmp_path):
    study, config = STUDIES[name], tmp_path / "config.yaml"
    config.write_text(json.dumps(study.config), encoding="utf-8")
    asked = asked_for(study.model, study.tasks, config, full=False, device="cpu", adapter_only=False)
    assert len(asked.specs) == len(study.tasks)
    assert (asked.new is not None) == (study.model == "sedd-tiny")


@pytest.mark.slow
def test_the_table_has_a_row_for_each_task_with_every_speed(tmp_path):
    study = Study(
        model="ideal", tasks=("copy",), config=None, speeds=("--unmasking", "confidence", "--k", "1,8")
    )
    cells = measure(tmp_path, "reference", study, 4)
    lines = table({"reference": cells}).splitlines()
    assert lines[2:] == ["| reference | confidence | copy | k=1: 100 (51..100), k=8: 100 (51..100) |"]
    assert fine_tuning.folder_of(tmp_path, "SEDD absorb").name == "sedd_absorb"
