"""``pb report``: the summary of a stored run again, equal for equal records, honest about the store."""

import json
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
import torch

from pb_plugin.cli import main
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import describe, save
from pb_plugin.running import batch_check
from pb_plugin.running.batch_check import BatchOutcome
from pb_plugin.running.bench import Bench
from unit_tests.json_mutations import damaged
from unit_tests.long_forms import by_hand
from unit_tests.pb_plugin.cli.conftest import RUN_ONE

torch.set_num_threads(1)


def write_store(folder, *, task=("copy", "shuffle"), backwards=False, worker="main"):
    """Decode 2 samples of each task with the exact model, store them, and return what was planned."""
    options = Options(
        task=task, unmasking=("random", "threshold:gamma=1.0"), k=(1, 32), samples=2, store=folder
    )
    planned = plan(options)
    bench = Bench(options, Store(folder, worker=worker))
    groups = [[cell for cell in planned.cells if cell.task == name] for name in task]
    for cells in reversed(groups) if backwards else groups:
        bench.decode(cells[::-1] if backwards else cells)
    run = describe(bench.resources, planned.cells, missing_tasks=("sudoku",), notes=("samples=2: a note",))
    bench.close()
    return run


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "store"
    return write_store(folder), folder


@pytest.fixture
def pb(capsys):
    """Return a function that runs ``pb report`` and returns its output."""

    def run(*arguments, code=0):
        assert main(["report", *map(str, arguments)]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


def test_a_run_that_did_not_reach_its_end_is_told_first(pb, store, tmp_path):
    (store / "20260102T030405000007Z-17.begun").touch()
    line = (
        "unfinished: run 20260102T030405000007Z-17 did not reach its end; start its command again: what it "
        "decoded is stored and used"
    )
    assert pb(store).splitlines()[0] == line
    assert json.loads(pb(store, "--json"))["run"]["unfinished"] == [line]
    only = tmp_path / "only"
    only.mkdir()
    (only / "20260102T030405000007Z-17.begun").touch()
    assert f"must hold a finished run, got none ({line}); run pytest" in pb(only, code=2)


def records(store):
    return [
        line for file in sorted(store.glob("*.jsonl")) for line in file.read_bytes().splitlines(keepends=True)
    ]


def outside_run(text):
    found = json.loads(text)
    del found["run"]
    return json.dumps(found)


def test_json_has_the_run_and_the_summary(pb, store):
    found = json.loads(pb(store, "--json"))
    assert set(found) == {"run", "summary", "differences", "derived", "missing_tasks", "notes"}
    assert found["run"] == {
        "file": f"{RUN_ONE}.json",
        "created": "2026-01-02T03:04:05.000006+00:00",
        "store": str(store),
        "n_cells": 6,
        "n_planned": 12,
        "n_records": 12,
        "n_results": 12,
        "skipped_lines": {"other_schema": 0, "torn": 0},
        "unavailable": {},
        "conflicts": [],
        "disagreements": 0,
        "unfinished": [],
        "batch_check": None,
        "measured": {"numerics": [], "throughput": []},
        "remote_code": [],
    }
    assert (found["missing_tasks"], found["notes"]) == (["sudoku"], ["samples=2: a note"])


def test_the_summary_has_the_numbers_of_the_exact_model(pb, store):
    """Copy has one answer: right at any speed, 32 positions in 32 / k forwards."""
    cells = json.loads(pb(store, "--json"))["summary"]["cells"]
    copies = {
        cell["setting"].get("k"): cell
        for cell in cells
        if cell["task"] == "copy" and cell["method"] == "random"
    }
    assert sorted(copies) == [1, 32]
    for k, cell in copies.items():
        assert (cell["accuracy"], cell["n"], cell["tps"]["canvas"]) == (1.0, 2, k)
    one_by_one = next(
        cell
        for cell in cells
        if (cell["task"], cell["method"], cell["setting"]) == ("shuffle", "random", {"k": 1})
    )
    assert one_by_one["accuracy"] == 1.0


def test_keys_are_sorted_and_the_text_is_json_of_two_blanks(pb, store):
    text = pb(store, "--json")
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=2) + "\n"


def test_equal_records_give_equal_bytes_wherever_and_however_they_are_stored(pb, store, tmp_path):
    """Decoded in another order into another folder, and torn apart into one file per record."""
    first = outside_run(pb(store, "--json"))
    again = tmp_path / "again"
    save(write_store(again, backwards=True, worker="gw1"), again)
    assert outside_run(pb(again, "--json")) == first
    apart = tmp_path / "apart"
    apart.mkdir()
    for number, line in enumerate(reversed(records(store))):
        (apart / f"{number:02d}.jsonl").write_bytes(line)
    (apart / "runs").mkdir()
    run_file = store / "runs" / f"{RUN_ONE}.json"
    (apart / "runs" / "20270101T000000000000Z-x.json").write_bytes(run_file.read_bytes())
    assert outside_run(pb(apart, "--json")) == first


def test_another_score_changes_the_summary(pb, store):
    first = outside_run(pb(store, "--json"))
    file = next(store.glob("*.jsonl"))
    text = file.read_text(encoding="ascii")
    wrong = text.replace('"accuracy":1', '"accuracy":0', 1)
    assert wrong != text
    file.write_text(wrong, encoding="ascii")
    assert outside_run(pb(store, "--json")) != first


def test_plain_output_has_the_tables_and_what_the_store_says(pb, store):
    out = pb(store)
    assert out.startswith(f"run {RUN_ONE}.json, 6 items, made 2026-01-02T03:04:05.000006+00:00\n")
    assert "suite all: None for every curve: not measured: sort, reverse," in out
    row = next(line for line in out.splitlines() if line.startswith("copy "))
    assert row.split() == ["copy", "100", "[34,100]", "100", "[34,100]"]
    assert "samples=2: a note\n" in out
    assert "no spec in this version: sudoku\n" in out
    assert out.endswith(f"12 records in {store}\n")


def test_the_newest_run_is_shown_unless_one_is_named(pb, store, decoded):
    run, _ = decoded
    newer = save(replace(run, cells=run.cells[:2], notes=()), store)
    assert json.loads(pb(store, "--json"))["run"]["file"] == newer.name
    for name in (RUN_ONE, f"{RUN_ONE}.json"):
        assert json.loads(pb(store, "--run", name, "--json"))["run"]["file"] == f"{RUN_ONE}.json"


def test_a_renamed_run_has_no_time(pb, store):
    (store / "runs" / f"{RUN_ONE}.json").rename(store / "runs" / "mine.json")
    assert json.loads(pb(store, "--json"))["run"]["created"] is None
    assert pb(store).startswith("run mine.json, 6 items, made at an unknown time\n")


def test_missing_records_are_said_and_never_averaged_away(pb, store):
    for file in store.glob("*.jsonl"):
        file.write_bytes(b"".join(records(store)[1:]))
    found = json.loads(pb(store, "--json"))
    reasons = [cell["reason"] for cell in found["summary"]["cells"] if cell["reason"]]
    assert reasons == ["1 of 2 planned samples decoded (1 missing, 0 failed)"]
    assert "!" in pb(store)


def test_lines_that_are_no_records_are_counted(pb, store):
    file = next(store.glob("*.jsonl"))
    first = json.loads(records(store)[0])
    with file.open("ab") as lines:
        lines.write(json.dumps({**first, "schema": 999}).encode() + b"\n")
        lines.write(b'{"torn":')
    assert json.loads(pb(store, "--json"))["run"]["skipped_lines"] == {"other_schema": 1, "torn": 1}
    assert "skipped lines: 1 cut off by a kill, 1 of another version; see docs/records.md\n" in pb(store)


def test_two_results_of_one_key_are_told(pb, store):
    changed = json.loads(records(store)[0])
    changed["nfe"] += 1
    (store / "other.jsonl").write_text(json.dumps(changed) + "\n", encoding="ascii")
    (conflict,) = json.loads(pb(store, "--json"))["run"]["conflicts"]
    assert "other.jsonl hold different nfe for decode_key" in conflict
    assert f"conflict: {conflict}\n" in pb(store)


def test_a_conflict_of_another_run_is_not_told(pb, store, decoded):
    run, _ = decoded
    changed = json.loads(records(store)[0])
    key = changed["decode_key"]
    changed["nfe"] += 1
    (store / "other.jsonl").write_text(json.dumps(changed) + "\n", encoding="ascii")
    save(replace(run, cells=tuple(cell for cell in run.cells if key not in cell.keys)), store)
    assert json.loads(pb(store, "--json"))["run"]["conflicts"] == []


def test_items_that_could_not_run_are_told_with_their_reason(pb, store, decoded):
    run, _ = decoded
    gone = [replace(cell, keys=(), unavailable="model x: no weights") for cell in run.cells[:2]]
    save(replace(run, cells=(*gone, *run.cells[2:])), store)
    assert json.loads(pb(store, "--json"))["run"]["unavailable"] == {"model x: no weights": 2}
    assert "not run, 2 items: model x: no weights\n" in pb(store)


@pytest.mark.parametrize("name", ["nothing", "empty", "other"])
def test_a_store_without_the_run_is_told_in_one_line(pb, store, tmp_path, name):
    (tmp_path / "empty").mkdir()
    arguments, message = {
        "nothing": ([tmp_path / "none"], "store must be a directory, got"),
        "empty": ([tmp_path / "empty"], "must hold a finished run, got none; run pytest with --pb-store"),
        "other": ([store, "--run", "two"], f"must hold the run 'two', got {RUN_ONE}.json;"),
    }[name]
    err = pb(*arguments, code=2)
    assert err.startswith("pb: ")
    assert message in err
    assert err.count("\n") == 1


def damage(store, seed):
    """Damage a line of records, the run file, what the batch check found or a resolution of *store*."""
    draw = Random(seed)
    file = draw.choice(
        [path for path in sorted(store.rglob("*")) if path.suffix in (".jsonl", ".json", ".resolved")]
    )
    lines = file.read_text(encoding="ascii").splitlines()
    place = draw.randrange(len(lines))
    lines[place] = damaged(lines[place], seed)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=[pytest.mark.slow, by_hand])])
def test_a_damaged_store_is_shown_or_refused_in_one_line_by_every_command_over_it(store, capsys, count):
    changed = json.loads(records(store)[0])
    (store / "other.jsonl").write_text(json.dumps({**changed, "nfe": changed["nfe"] + 1}) + "\n")
    assert main(["resolve", str(store)]) == 0
    batch_check.save(BatchOutcome(checked=8, differ=1), store, store / "runs" / f"{RUN_ONE}.json")
    whole = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    codes = Counter()
    for seed in range(count):
        for path, content in whole.items():
            path.write_bytes(content)
        damage(store, seed)
        commands = (["report", store], ["report", store, "--json"], ["resolve", store, "--dry-run"])
        others = (["analyses", store], ["failures", store, "--task", "shuffle", "--setting", "k=32"])
        for command in (*commands, *others, ["plot", store, store / "out.svg"]):
            capsys.readouterr()
            code = main([str(word) for word in command])
            shown = capsys.readouterr()
            assert code in (0, 2), seed
            assert (shown.err.count("\n"), len(shown.err) < 1500) == (code // 2, True), (seed, shown.err)
            codes[code] += 1
    assert min(codes.values()) > count // 4


def test_html_is_written_and_said_in_one_line(pb, store, tmp_path):
    out = tmp_path / "report.html"
    line = pb(store, "--html", out)
    assert line == f"{out}: {out.stat().st_size / 1000:.0f} kB, 12 of 12 results with their texts\n"
    assert json.loads(pb(store, "--html", out, "--json")) == {
        "file": str(out),
        "bytes": out.stat().st_size,
        "samples": 12,
        "samples_shown": 12,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--html", "page.txt"), "--html must end in .html, got 'page.txt'"),
        (("--tokenizer", "llada=."), "--tokenizer must come with --html, got 'llada=.' alone"),
        (("--against", ".pb"), "--against must come with --html, got '.pb' alone"),
        (("--html", "page.html", "--tokenizer", "llada"), "--tokenizer must be MODEL=FOLDER"),
    ],
)
def test_html_that_cannot_be_is_refused(pb, store, options, message):
    assert message in pb(store, *options, code=2)
