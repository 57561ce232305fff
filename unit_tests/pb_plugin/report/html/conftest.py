"""Stored runs to make pages of: one decoded by the exact model, and one of names and answers that attack."""

import json
import shutil

import pytest
import torch

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.report.stored import read_report
from pb_plugin.results.run_file import ChosenTasks, Run, describe, save
from pb_plugin.results.suites import SUITES
from pb_plugin.running.bench import Bench
from unit_tests.pb_plugin.conftest import write_run
from unit_tests.user_parts import Babble

torch.set_num_threads(1)

NASTY = (
    "</script><script>window.ran=1</script><!--<img src=x onerror=window.ran=1>\"'`&amp;{{7*7}}"
    "\x00\x1b[31m\u202eevil\u2066\u2028]]>"
)


def load_babble(request):
    """Return a model for ``--model``; it knows no answer."""
    return Babble()


def decoded(folder, options):
    """Decode what *options* ask for into *folder*, and return the report of it."""
    planned = plan(options)
    bench = Bench(options, Store(folder))
    for group in dict.fromkeys(cell.group for cell in planned.cells):
        bench.decode([cell for cell in planned.cells if cell.group == group])
    save(describe(bench.resources, planned.cells, missing_tasks=(), notes=("a note",)), folder)
    bench.close()
    return read_report(folder, None)


@pytest.fixture(scope="package")
def exact(tmp_path_factory):
    """The report of shuffle and copy, 6 samples under two methods, decoded by ``ideal``."""
    options = Options(
        task=("copy", "shuffle"), unmasking=("random", "threshold:gamma=1.0"), k=(1, 4, 32), samples=6
    )
    return decoded(tmp_path_factory.mktemp("html") / "store", options)


@pytest.fixture(scope="package")
def earlier(exact, tmp_path_factory):
    """A store as that of ``exact`` was before: one right answer was wrong, another was told otherwise."""
    folder = tmp_path_factory.mktemp("earlier") / "store"
    shutil.copytree(exact.store, folder)
    (file,) = folder.glob("*.jsonl")
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    right = [line for line in lines if line["scores"]["accuracy"] == 1.0]
    right[0]["scores"]["accuracy"], right[0]["text"] = 0.0, "something wrong"
    right[1]["text"] = "another way to say it"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="package")
def traced(tmp_path_factory):
    """The report of shuffle with stored traces, under a method that masks again."""
    options = Options(task=("shuffle",), unmasking=("wino:tau1=0.2",), samples=4, trace=True)
    return decoded(tmp_path_factory.mktemp("traced") / "store", options)


@pytest.fixture(scope="package")
def analysed(tmp_path_factory):
    """The report of two models over the suite core, with what every analysis needs."""
    options = Options(
        model=("ideal", f"{__name__}:load_babble"),
        task=SUITES["core"],
        unmasking=("random", "confidence", "margin", "entropy", "threshold:gamma=0.5,1.0"),
        k=(2, 32),
        block_length=(8, 32),
        samples=1,
    )
    return decoded(tmp_path_factory.mktemp("analysed") / "store", options)


@pytest.fixture(scope="package")
def bounded(tmp_path_factory, make_cell):
    """The report of an adaptive method whose forwards are known as bounds, over the suite puzzles."""
    folder = tmp_path_factory.mktemp("bounded") / "store"
    settings = [(0.9, (4, 6), 10), (0.7, (2, 4), 9), (0.5, (1, 3), 7), (0.3, 1, 5)]
    made = [
        make_cell(
            task,
            method="threshold",
            family="adaptive",
            k=None,
            method_params={"gamma": gamma},
            knobs=("gamma",),
            nfe=nfe,
            scores=[1.0] * right + [0.0] * (10 - right),
        )
        for gamma, nfe, right in settings
        for task in ("latin_square", "sudoku")
    ]
    return read_report(write_run(folder, made), None)


@pytest.fixture(scope="package")
def nasty(tmp_path_factory, make_cell, make_record, make_failure):
    """A report in which everything that others may write is `NASTY`, the store's name but for ``/`` too."""
    folder = tmp_path_factory.mktemp("nasty") / "<b>'\"&\u202e"
    asked = {"task": f"t{NASTY}", "model": f"m{NASTY}", "method": f"u{NASTY}", "k": None}
    params = {f"p{NASTY}": f"v{NASTY}"}
    parts = {**asked, "method_params": params, "model_fingerprint": f"f{NASTY}"}
    records = [
        make_record(
            parts={**parts, "sample_id": f"0{NASTY}"},
            text=f"a{NASTY}",
            scores={"accuracy": 0.0, f"s{NASTY}": None},
            score_reasons={f"s{NASTY}": f"r{NASTY}"},
        ),
        make_record(parts={**parts, "sample_id": f"1{NASTY}"}, text=f"b{NASTY}"),
        make_failure(parts={**parts, "sample_id": f"2{NASTY}"}, message=f"e{NASTY}"),
    ]
    cell = make_cell(records=records, **asked, method_params=params).planned
    keys = tuple(record.decode_key for record in records)
    cell = type(cell)(
        **{**{n: getattr(cell, n) for n in cell.__slots__}, "keys": keys, "score_key": "lists-1"}
    )
    with Store(folder) as store:
        for record in records:
            store.append(record)
    chosen = ChosenTasks(task=(f"t{NASTY}",), data=None, samples=None)
    save(Run(chosen=chosen, cells=(cell,), missing_tasks=(f"x{NASTY}",), notes=(f"n{NASTY}",)), folder)
    return read_report(folder, None)
