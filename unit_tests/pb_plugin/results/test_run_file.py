"""The run file: what was planned, nothing that was measured, and the summary of both."""

import json
import os
import re
from dataclasses import replace

import pytest

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.canonical import canonical_json
from pb_plugin.records.store import Store
from pb_plugin.results import run_file as runfile
from pb_plugin.results.run_file import Run, describe, load, save, summarise
from pb_plugin.running.bench import Bench
from unit_tests.json_mutations import check_refusal, damaged


@pytest.fixture
def described(tmp_path, loaded_modules):
    """Return a function that describes the run of some options without decoding: the run and its process."""

    def describe_(**options):
        asked = Options(store=tmp_path / "store", **{"task": ("copy",), "samples": 2, **options})
        made = plan(asked)
        bench = Bench(asked, Store(asked.store))
        return describe(
            bench.resources, made.cells, missing_tasks=made.missing_tasks, notes=made.notes
        ), bench

    return describe_


def test_describing_decodes_nothing_and_names_every_key(described):
    run, bench = described(task=("copy", "sort"), unmasking=("random", "threshold"), k=(1, 8))
    assert len(run.cells) == 2 * (2 + 6)
    keys = [key for cell in run.cells for key in cell.keys]
    assert len(keys) == len(set(keys)) == 2 * 8 * 2
    assert not bench.options.store.exists()
    assert {cell.unavailable for cell in run.cells} == {None}


def test_a_run_does_not_depend_on_the_order_of_its_cells(described, tmp_path):
    run, bench = described(k=(1, 8), unmasking=("random",))
    made = plan(bench.options)
    turned = describe(
        bench.resources, reversed(made.cells), missing_tasks=made.missing_tasks, notes=made.notes
    )
    assert turned == run


@pytest.mark.parametrize(
    ("method", "knobs", "variant"),
    [
        ("random", (), ""),
        ("threshold:gamma=0.9", ("gamma",), ""),
        ("threshold:gamma=0.9;confidence=margin", ("gamma",), "confidence=margin"),
    ],
)
def test_what_varies_along_a_curve_and_what_names_it(described, method, knobs, variant):
    run, _ = described(unmasking=(method,))
    curve = run.cells[0].curve
    assert (curve.knobs, curve.variant) == (knobs, variant)


def test_there_and_back_again(described, tmp_path):
    run, _ = described(k=(1, 64), unmasking=("random", "threshold"), block_length=(32, 16))
    assert run.notes
    assert Run.from_json(json.dumps(run.to_json())) == run
    path = save(run, tmp_path / "other")
    assert load(tmp_path / "other") == (run, path)
    assert path.read_text().endswith("\n")
    assert not list(path.parent.glob("*.part"))


def test_the_same_run_is_written_once_and_another_one_beside_it(described, tmp_path):
    store = tmp_path / "other"
    first, _ = described(k=(1,), unmasking=("random",))
    second, _ = described(k=(2,), unmasking=("random",))
    assert save(first, store) == save(first, store)
    other = save(second, store)
    assert load(store) == (second, other)
    again = save(first, store)
    assert load(store) == (first, again), "the newest run is the one that ran last"
    assert load(store, other.name) == load(store, other.stem) == (second, other)
    assert len(list((store / "runs").iterdir())) == 3


def test_a_model_that_cannot_be_read_is_described_with_the_reason(described):
    run, _ = described(model=("llada=./nowhere",), unmasking=("random",), k=(1,))
    (cell,) = run.cells
    assert cell.keys == ()
    assert cell.unavailable.startswith("model llada=./nowhere: ")
    assert cell.n_planned == 2
    (summary,) = summarise(run, lambda decode_key, score_key: None).cells
    assert (summary.n, summary.accuracy) == (0, None)
    assert summary.incomplete == "0 of 2 planned samples decoded (2 missing, 0 failed)"


def test_the_summary_asks_for_every_key_once_with_the_score_it_wants(described, make_record):
    run, _ = described(unmasking=("random",), k=(8,))
    (cell,) = run.cells
    asked = []

    def find(decode_key, score_key):
        asked.append((decode_key, score_key))

    summarise(run, find)
    assert asked == [(key, cell.score_key) for key in cell.keys]
    assert cell.score_key.startswith("list@")


def test_a_result_in_conflict_is_missing_in_the_summary(described, tmp_path):
    run, bench = described(unmasking=("random",), k=(8,))
    (planned_cell,) = plan(bench.options).cells
    bench.decode([planned_cell])
    bench.close()
    (file,) = bench.options.store.glob("*.jsonl")
    line = json.loads(file.read_text().splitlines()[0])
    (bench.options.store / "z.jsonl").write_text(json.dumps({**line, "nfe": 5}) + "\n")
    index = Store(bench.options.store).index()
    (cell,) = summarise(run, index.find).cells
    assert (cell.n, cell.n_planned) == (1, 2)
    assert cell.incomplete == "1 of 2 planned samples decoded (1 missing, 0 failed)"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Input data was truncated"),
        ("{", "Input data was truncated"),
        ("[]", r"Expected `object`, got `array`"),
        ('{"schema": 99}', r"schema must be \d+, got 99; run the suite again"),
        (f'{{"schema": {runfile.RUN_SCHEMA}}}', "Object missing required field `chosen`"),
        ("[" * 100_000, "Expected `object`, got `array`"),
        ('{"schema":' + "[" * 100_000, "maximum recursion depth exceeded"),
        ("9" * 10_000, "Number out of range"),
        ('{"schema": "\\ud800"}', "schema must be"),
    ],
    ids=["empty", "cut", "list", "schema", "keys", "deep", "deep key", "long number", "surrogate"],
)
def test_a_damaged_file_is_named_with_the_cure(tmp_path, text, why):
    path = tmp_path / "runs" / "20260101T000000Z-x.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"{path}: not a run file \({why}.*\); move it away and run"):
        load(tmp_path)


def put(values, path, value):
    *outer, last = path
    for key in outer:
        values = values[key]
    if value is ...:
        del values[last]
    else:
        values[last] = value


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("cells", 0, "n_planned"), None, r"`int`, got `null` - at `$.cells[0].n_planned`"),
        (
            ("cells", 1, "n_planned"),
            0,
            "n_planned must be at least 1, got 0; leave an empty cell out - at `$.cells[1]`",
        ),
        (
            ("cells", 0, "curve", "family"),
            "mixed",
            "family must be static or adaptive, got 'mixed'; it chooses the",
        ),
        (("cells", 0, "asked", "k"), "1", "`int | null`, got `str` - at `$.cells[0].asked.k`"),
        (("cells", 0, "asked"), ..., "missing required field `asked` - at `$.cells[0]`"),
        (("cells", 0, "keys"), "abc", "`array`, got `str` - at `$.cells[0].keys`"),
        (("chosen", "samples"), [1], "`int | null`, got `array` - at `$.chosen.samples`"),
        (("notes",), {}, "`array`, got `object` - at `$.notes`"),
        (("remote_code",), [["one"]], "`array` of length 2 - at `$.remote_code[0]`"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_value_of_a_wrong_type_is_named_by_its_key(described, tmp_path, path, value, why):
    run, _ = described(unmasking=("random",), k=(1, 2))
    file = save(run, tmp_path)
    values = json.loads(file.read_text(encoding="ascii"))
    put(values, path, value)
    file.write_text(json.dumps(values), encoding="ascii")
    with pytest.raises(ValueError, match=re.escape(why)) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"{file}: not a run file (")
    assert str(error.value).endswith("); move it away and run the command again: no record is lost")


def test_a_path_that_is_no_unicode_comes_back(described):
    run, _ = described(unmasking=("random",), k=(1,))
    odd = replace(run, chosen=replace(run.chosen, data="/data/\udcff"))
    assert Run.from_json(canonical_json(odd.to_json())) == odd


@pytest.mark.parametrize("name", ["20990101T000000Z-x.json", "a.json"])
def test_what_has_the_name_of_a_run_file_and_is_none_is_refused(described, tmp_path, name):
    run, _ = described(unmasking=("random",), k=(1,))
    save(run, tmp_path)
    os.mkfifo(tmp_path / "runs" / name)
    for action in (lambda: load(tmp_path), lambda: save(run, tmp_path)):
        with pytest.raises(ValueError, match=rf"{name} must be a file that can be read, .* got a pipe; move"):
            action()


def test_a_store_without_a_run_says_what_to_do(tmp_path):
    with pytest.raises(
        ValueError, match=r"store must be a directory, got '.*nowhere'; name one that a run has"
    ):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"must hold a finished run, got none; run pytest with --pb-store"):
        load(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a.json").write_text("{}")
    with pytest.raises(ValueError, match=r"must hold the run 'b', got a\.json; run pytest"):
        load(tmp_path, "b")


def test_the_file_holds_nothing_that_was_measured(described):
    run, bench = described(unmasking=("random",), k=(8,))
    before = canonical_json(run.to_json())
    bench.decode(list(plan(bench.options).cells))
    after, _ = described(unmasking=("random",), k=(8,))
    assert canonical_json(after.to_json()) == before


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_damaged_run_file_is_read_and_summarised_or_refused_in_one_short_line(described, tmp_path, count):
    run, bench = described(unmasking=("random", "threshold:gamma=0.9"), k=(1, 8), samples=1)
    bench.decode(plan(bench.options).cells)
    bench.close()
    find = Store(bench.options.store).index().find
    file = save(run, tmp_path)
    text, refused = file.read_text(encoding="ascii"), 0
    for seed in range(count):
        file.write_text(damaged(text, seed), encoding="ascii")
        try:
            summarise(load(tmp_path)[0], find)
        except ValueError as error:
            check_refusal(error)
            refused += 1
    assert count // 3 < refused < count
