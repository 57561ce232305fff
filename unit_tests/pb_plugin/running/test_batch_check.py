"""A run with a network model decodes some rows again alone, says how many differ, and changes no record."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from pb_plugin.cli import main
from pb_plugin.running import batch_check
from pb_plugin.running.batch_check import BatchCheck, BatchOutcome

MODELS = """
from unit_tests.user_parts import Babble as Steady

class Shaky(Steady):
    '''Its logits depend on how many rows a forward has.'''

    def __call__(self, canvas, attend, query, contexts):
        logits = super().__call__(canvas, attend, query, contexts)
        logits[:, 3:] = logits[:, 3:].roll(len(canvas), dims=1)
        return logits


def steady(request):
    return Steady()

def shaky(request):
    return Shaky()

"""

ASKED = ("--task", "copy", "--unmasking", "confidence", "--k", "8,16", "--samples", "6")
LINE = "batch check: *"


@pytest.fixture
def run(suite):
    suite.pytester.syspathinsert()
    suite.pytester.makepyfile(batch_models=MODELS)

    def run(model, *options, how=suite.run):
        name = model if model == "ideal" else f"batch_models:{model}"
        return how("--model", name, *ASKED, *options)

    return run


def report(suite, capsys):
    capsys.readouterr()
    assert main(["report", str(suite.store), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["run"]["batch_check"]


@pytest.mark.parametrize(("model", "differ"), [("steady", 0), ("shaky", 8)])
def test_eight_rows_are_decoded_again_alone_and_compared(suite, run, capsys, model, differ):
    result = run(model)
    result.stdout.fnmatch_lines([f"batch check: {differ} of 8 rows differ when decoded alone"])
    assert report(suite, capsys) == {"checked": 8, "differ": differ}
    assert main(["report", str(suite.store)]) == 0
    assert f"batch check: {differ} of 8 rows" in capsys.readouterr().out


def test_the_check_stores_nothing(suite, run):
    run("shaky")
    checked = suite.records()
    assert len(checked) == len({record.decode_key for record in checked}) == 12
    assert run("shaky").ret == 0
    assert suite.records() == checked


def test_what_was_found_stays_with_the_run_when_nothing_is_decoded_anew(suite, run, capsys):
    run("shaky")
    run("shaky").stdout.no_fnmatch_line(LINE)
    assert report(suite, capsys) == {"checked": 8, "differ": 8}


@pytest.mark.parametrize(("model", "options"), [("ideal", ()), ("shaky", ("--pb-batch", "1"))], ids=str)
def test_there_is_nothing_to_check(suite, run, capsys, model, options):
    run(model, *options).stdout.no_fnmatch_line(LINE)
    assert report(suite, capsys) is None


def test_every_model_is_checked_before_the_next_one_is_loaded(run):
    result = run("steady", "--model", "batch_models:shaky")
    result.stdout.fnmatch_lines(["batch check: 8 of 16 rows differ when decoded alone"])


@pytest.mark.skipif(find_spec("xdist") is None, reason="pytest-xdist is not installed")
def test_workers_share_the_rows_and_their_counts_are_added(suite, run, capsys):
    suite.pytester.makeconftest("import batch_models")
    result = run("shaky", "-n", "2")
    result.stdout.fnmatch_lines(["batch check: 8 of 8 rows differ when decoded alone"])
    assert report(suite, capsys) == {"checked": 8, "differ": 8}


@pytest.fixture
def handle():
    model = SimpleNamespace()
    return SimpleNamespace(
        is_exact=False, loaded=True, choice=SimpleNamespace(text="mine"), get=lambda: model, model=model
    )


def rows(make_record, n):
    cell = SimpleNamespace(model=SimpleNamespace(text="mine"))
    records = [make_record(parts={"sample_id": f"s{i}"}) for i in range(n)]
    return [(cell, SimpleNamespace(decode_key=record.decode_key), record) for record in records]


def chosen(handle, seed, noted):
    check, asked = BatchCheck(seed=seed, n_rows=3), []
    records = {planned.decode_key: record for _, planned, record in noted}
    for cell, planned, record in noted:
        check.note(handle, cell, planned, record)

    def sweep(wanted):
        ((_, planned),) = wanted
        asked.append(planned.decode_key)
        yield records[planned.decode_key]

    check.run(handle, sweep)
    assert check.outcome == BatchOutcome(checked=3, differ=0)
    check.run(handle, sweep)
    assert len(asked) == 3, "once is enough"
    return set(asked)


def test_the_choice_depends_on_seed_and_rows_and_not_on_their_order(handle, make_record):
    noted = rows(make_record, 20)
    found = chosen(handle, 0, noted)
    assert chosen(handle, 0, noted[::-1]) == found
    assert chosen(handle, 1, noted) != found


def test_a_row_that_fails_alone_differs(handle, make_record, make_failure):
    check = BatchCheck(seed=0, n_rows=3)
    ((cell, planned, record),) = rows(make_record, 1)
    check.note(handle, cell, planned, record)
    check.run(handle, lambda wanted: iter([make_failure(parts=record.parts)]))
    assert check.outcome == BatchOutcome(checked=1, differ=1)
    assert check.outcome.line == "batch check: 1 of 1 rows differ when decoded alone"


def test_a_model_that_owns_its_loop_is_not_checked(handle, make_record):
    handle.model.generate, handle.model.owns_loop = None, True
    check = BatchCheck(seed=0, n_rows=3)
    for row in rows(make_record, 5):
        check.note(handle, *row)
    check.run(handle, lambda wanted: pytest.fail("nothing is decoded"))
    assert check.outcome == BatchOutcome()


@pytest.mark.parametrize("text", ["", "[1]", '{"checked": 1, "rows": 2}'])
def test_a_damaged_file_names_itself_and_the_cure(tmp_path, text):
    path = tmp_path / batch_check.FOLDER / "a.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.json: not a batch check .*; delete it: no record is lost"):
        batch_check.load(tmp_path, tmp_path / "runs" / "a.json")
