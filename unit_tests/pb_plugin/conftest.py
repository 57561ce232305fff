"""Builders of records and cells, and runs of the plugin over a test file in an empty folder."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from pb_plugin.records.asked import ASKED_PARTS, Asked
from pb_plugin.records.record import Record
from pb_plugin.results.cell_result import CellResult, CurveKind, PlannedCell
from task_specs.catalogue import BENCHMARK_IDS

PARTS = {
    "data_source": "own",
    "data_checksum": "d0",
    "task": "shuffle",
    "spec_version": 1,
    "sample_id": "n3-000",
    "input_hash": "i0",
    "model": "llada",
    "model_fingerprint": "f0",
    "prompt_style": "natural",
    "dtype": "bfloat16",
    "method": "confidence",
    "method_params": {},
    "method_code": "m0",
    "k": 2,
    "block_length": None,
    "canvas": 8,
    "temperature": 0.0,
    "seed": 0,
    "cache": "none",
    "decode_code": "c0",
}
CURVE = {item.name for item in fields(CurveKind)}
CATEGORY_OF = {task: category for category, tasks in BENCHMARK_IDS.items() for task in tasks}


def build_record(*, score=1.0, parts=None, **fields):
    """Return a record of 8 positions decoded in 4 forwards; *parts* and *fields* replace what is given."""
    values = {
        "parts": {**PARTS, **(parts or {})},
        "ids": (11, 12, 13, 14, 2, 2, 2, 2),
        "text": "four words",
        "nfe": 4,
        "commit_step": (0, 0, 1, 1, 2, 2, 3, 3),
        "evaluated_positions": 32,
        "canvas_tokens": 8,
        "to_eos_tokens": 5,
        "content_tokens": 4,
        "scores": {"accuracy": score},
        "score_reasons": {"accuracy": "no grammar backend"} if score is None else {},
        "score_key": "lists-1",
    }
    return Record(**{**values, **fields})


def build_failure(*, parts=None, kind="oom", message="out of memory"):
    """Return the record of a sample that could not be decoded."""
    return Record(parts={**PARTS, **(parts or {})}, error={"class": kind, "message": message})


def forwards(nfe):
    """Return the fields of a record that was decoded in *nfe* forwards: a number, bounds, or None."""
    if isinstance(nfe, tuple):
        return {"nfe": None, "nfe_kind": "bounds", "nfe_low": nfe[0], "nfe_high": nfe[1]}
    return {"nfe": nfe, "nfe_kind": "unknown" if nfe is None else "counted"}


def build_cell(task="shuffle", *, scores=(1.0,), nfe=4, records=None, record_parts=None, **values):
    """Return a cell with one record for each of *scores*, all decoded in *nfe* forwards.

    *nfe* is a number, a pair of bounds, or None where it is unknown.
    """
    asked = Asked(
        **{
            **{name: PARTS[name] for name in ASKED_PARTS},
            "task": task,
            **{name: value for name, value in values.items() if name in ASKED_PARTS},
        }
    )
    if records is None:
        records = [
            build_record(
                score=score,
                **forwards(nfe),
                parts={**asked.parts(), "sample_id": f"s{number:03d}", **(record_parts or {})},
            )
            for number, score in enumerate(scores)
        ]
    curve = {name: value for name, value in values.items() if name in CURVE}
    other = {name: value for name, value in values.items() if name not in {*CURVE, *ASKED_PARTS, "choices"}}
    planned = PlannedCell(
        **{
            "asked": asked,
            "curve": CurveKind(**{"family": "static", **curve}),
            "category": CATEGORY_OF.get(task, "list_ops"),
            "score": "accuracy",
            "n_planned": len(records),
            "exact": asked.model == "ideal",
            **other,
        }
    )
    return CellResult(planned=planned, records=records, choices=values.get("choices"))


def write_run(folder, cells):
    """Store the records of *cells*, and a run that asks for them, in *folder*; return it."""
    from pb_plugin.records.store import Store
    from pb_plugin.results.run_file import ChosenTasks, Run, save

    with Store(folder) as store:
        for record in (record for cell in cells for record in cell.records):
            store.append(record)
    planned = tuple(
        replace(cell.planned, keys=tuple(record.decode_key for record in cell.records), score_key="lists-1")
        for cell in cells
    )
    chosen = ChosenTasks(task=tuple({cell.asked.task: None for cell in cells}), data=None, samples=None)
    save(Run(chosen=chosen, cells=planned, missing_tasks=(), notes=()), folder)
    return folder


@pytest.fixture(scope="session")
def make_record():
    """See `build_record`."""
    return build_record


@pytest.fixture(scope="session")
def make_failure():
    """See `build_failure`."""
    return build_failure


@pytest.fixture(scope="session")
def make_cell():
    """See `build_cell`."""
    return build_cell


MY_TEST = """
def test_cell(pb_cell, pb_record):
    result = pb_record(pb_cell)
    assert result.ok, result.message
"""


class Suite:
    """A user's own five-line test file in an empty folder, runs of it, and what they left in the store."""

    def __init__(self, pytester):
        self.pytester = pytester
        self.store = pytester.path / "store"
        pytester.makepyfile(test_bench=MY_TEST)

    def arguments(self, *options, store=None):
        fixed = ["-p", "pb_plugin.plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        fixed += ["-W", "error", "--strict-markers"]
        # before 9.2 pytest warns, in process, of the plugin that the outer run has loaded
        fixed += ["-W", "ignore:Module already imported so cannot be rewritten"]
        return [*fixed, f"--pb-store={store or self.store}", *options]

    def run(self, *options, store=None):
        """Run in this process."""
        return self.pytester.runpytest_inprocess(*self.arguments(*options, store=store))

    def run_apart(self, *options, store=None):
        """Run in a process of its own."""
        return self.pytester.runpytest_subprocess(*self.arguments(*options, store=store), timeout=300)

    def records(self, store=None):
        """Return the records of a store in the order in which they were written."""
        from pb_plugin.records.store import Store

        return [line.record for line in Store(store or self.store).read()]

    def summary(self, store=None):
        """Return the summary of the newest run as canonical JSON."""
        from pb_plugin.records.canonical import canonical_json
        from pb_plugin.records.store import Store
        from pb_plugin.results import run_file as runfile

        folder = store or self.store
        run, _ = runfile.load(folder)
        return canonical_json(runfile.summarise(run, Store(folder).index().find).to_json())


@pytest.fixture
def suite(pytester, monkeypatch, loaded_modules):
    """See `Suite`; lines are wide, and processes it starts find this checkout and use one thread.

    Runs inside a worker of pytest-xdist are no workers themselves; pytest-benchmark would measure nothing.
    """
    worker = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")
    for name in (*worker, "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return Suite(pytester)
