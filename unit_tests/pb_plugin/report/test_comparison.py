"""The comparison of all methods: one line per method, both models, and work only where canvases are more."""

import pytest

from bench_tests import comparison
from bench_tests.comparison import HEADER, MARKS, table, write
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.suites import SUITES

NFE = {1: 8, 2: 4, 4: 2}


def cells_of(make_cell, make_record, model, method, n_canvases, right):
    """Return the suite core under three settings; ``right[k]`` of ten samples are."""
    for task in SUITES["core"]:
        for k, nfe in NFE.items():
            parts = {"task": task, "model": model, "method": method, "k": k}
            records = [
                make_record(
                    parts={**parts, "sample_id": f"s{i}"},
                    score=float(i < right[k]),
                    nfe=nfe,
                    forwards=nfe,
                    evaluated_canvases=nfe * n_canvases,
                )
                for i in range(10)
            ]
            yield make_cell(task, model=model, method=method, k=k, records=records)


def test_a_line_has_pb80_gap_and_work_of_a_method(make_cell, make_record):
    """Right in 10, 9 and 5 of 10 at 1, 2 and 4 tokens per step; PB80 is 2, or 1 per canvas of two."""
    right = {1: 10, 2: 9, 4: 5}
    cells = [
        *cells_of(make_cell, make_record, "ideal", "threshold", 1, {1: 10, 2: 10, 4: 10}),
        *cells_of(make_cell, make_record, "ideal", "freedave", 2, right),
        *cells_of(make_cell, make_record, "tiny", "threshold", 1, right),
    ]
    lines = [line.strip("| \n").split(" | ") for line in table(aggregate(cells)).splitlines()]
    assert lines[0] == list(HEADER)
    by_method = {line[0]: line[1:] for line in lines[2:]}
    assert by_method.keys() == {"threshold", "freedave"}
    assert by_method["freedave"][0] == "2.00"
    assert by_method["freedave"][4:] == ["-", "-", "-", "-", "1.00"]
    assert by_method["threshold"][0] == ">=4.00"
    assert by_method["threshold"][4] == "2.00"


def test_a_run_that_fails_is_not_shown(tmp_path, monkeypatch):
    failed = type("Done", (), {"returncode": 1})
    commands = []
    monkeypatch.setattr(comparison.subprocess, "run", lambda command, **_: commands.append(command) or failed)
    monkeypatch.setattr(comparison, "pb", lambda arguments: 0)
    with pytest.raises(RuntimeError, match="the run must pass to be shown, got exit code 1; see what pytest"):
        comparison.decode(tmp_path, 3)
    (command,) = commands
    assert [command[i + 1] for i, part in enumerate(command) if part == "--task"] == list(SUITES["core"])
    assert f"pc_sampler:table={tmp_path / 'counts.json'}" in command
    assert {"confidence", "freedave", "dawn"} <= set(command)


def test_the_table_goes_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n" + "old\n".join(MARKS) + "after\n", encoding="utf-8")
    write("| new |\n", page)
    assert page.read_text(encoding="utf-8") == "before\n" + "| new |\n".join(MARKS) + "after\n"
    page.write_text("no mark\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the mark <!-- comparison --> once"):
        write("| new |\n", page)
