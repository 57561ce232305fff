"""What is judged of a cell's records, without a run: the assertions in their order, and the numbers."""

import pytest

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.results.outcome import outcome_of
from pb_plugin.results.run_file import describe, summarise
from pb_plugin.running.bench import Bench
from pb_plugin.running.tools import tools_of
from pb_plugin.statistics.intervals import wilson


@pytest.fixture
def decoded(tmp_path, loaded_modules):
    """Return a function that decodes a cell in a store of its own: the run and the cell."""

    def decode(**options):
        asked = Options(store=tmp_path / "store", **{"task": ("copy",), "unmasking": ("random",), **options})
        (cell,) = plan(asked).cells
        tools = tools_of(grammar="none", bertscore=None, folder=asked.store)
        bench = Bench(asked, Store(asked.store), tools)
        bench.decode([cell])
        return bench, cell

    return decode


def rewritten(bench, cell, **changes):
    """Replace fields of the first record."""
    record = bench.records(cell)[0]
    bench.known.keep(record.with_result(**changes))
    return record


def test_a_good_cell_has_its_numbers(decoded):
    bench, cell = decoded(k=(8,), samples=5)
    outcome = outcome_of(bench, cell, reused=False, floor=1.0)
    interval = wilson(5, 5)
    assert outcome.ok
    assert outcome.message == "accuracy 1.0000 over 5 samples"
    assert (outcome.score, outcome.reused) == (1.0, False)
    assert outcome.properties == {
        "pb_task": "copy",
        "pb_model": "ideal",
        "pb_unmasking": "random",
        "pb_samples": 5,
        "pb_planned": 5,
        "pb_score": 1.0,
        "pb_score_low": interval.low,
        "pb_score_high": interval.high,
        "pb_tokens_per_step": 8.0,
    }


def test_tokens_per_step_are_the_mean_of_the_ratios(decoded):
    bench, cell = decoded(k=(8,), samples=2)
    rewritten(bench, cell, nfe=16)
    properties = outcome_of(bench, cell, reused=False, floor=None).properties
    assert properties["pb_tokens_per_step"] == (32 / 16 + 32 / 4) / 2  # not 64 / 20


def test_an_unknown_number_of_forwards_has_no_tokens_per_step(decoded):
    bench, cell = decoded(k=(8,), samples=2)
    rewritten(bench, cell, nfe=None, nfe_kind="unknown")
    assert "pb_tokens_per_step" not in outcome_of(bench, cell, reused=False, floor=None).properties


def test_a_score_that_is_no_yes_or_no_has_no_binomial_interval(decoded):
    bench, cell = decoded(task=("shuffle",), k=(32,), samples=4)
    rewritten(bench, cell, scores={"accuracy": 0.5, "accuracy_strict": 0.5})
    properties = outcome_of(bench, cell, reused=True, floor=None).properties
    assert "pb_score" in properties
    assert "pb_score_low" not in properties


def test_the_first_assertion_that_fails_is_the_message(decoded, make_failure):
    """Complete and scored comes before the laws, the laws before the floor."""
    bench, cell = decoded(k=(1,), samples=2)
    assert "below the floor" not in outcome_of(bench, cell, reused=False, floor=1.0).message
    whole = rewritten(bench, cell, scores={"accuracy": 0.0, "accuracy_strict": 0.0})
    outcome = outcome_of(bench, cell, reused=False, floor=1.0)
    assert outcome.message.startswith("the exact model must be right on ")
    assert (outcome.ok, outcome.score) == (False, 0.5)
    rewritten(bench, cell, scores={"accuracy": None}, score_reasons={"accuracy": "no tool"})
    outcome = outcome_of(bench, cell, reused=False, floor=1.0)
    assert outcome.message == "1 of 2 samples have no accuracy (scorer_error): no tool"
    assert outcome.score is None, "as the report says"
    bench.known.keep(make_failure(parts=whole.parts))
    bench.known.forget_failures([whole.decode_key])
    outcome = outcome_of(bench, cell, reused=False, floor=1.0)
    assert outcome.message == "1 of 2 samples were not decoded; run the same command again"


def test_a_score_the_scorer_never_gave_is_named(decoded):
    bench, cell = decoded(k=(1,), samples=2)
    rewritten(bench, cell, scores={"other": 1.0})
    message = outcome_of(bench, cell, reused=False, floor=None).message
    assert message == "1 of 2 samples have no accuracy (scorer_error): the scorer gave no accuracy"


def test_failures_are_counted_by_class_and_the_first_is_shown(decoded, make_failure):
    bench, cell = decoded(k=(1,), samples=3)
    for planned, kind in zip(bench.resources.planned(cell)[:2], ("oom", "model_error"), strict=True):
        bench.known.keep(make_failure(kind=kind, message=f"the {kind}", parts=planned.parts))
    outcome = outcome_of(bench, cell, reused=False, floor=None)
    assert outcome.message == "2 of 3 samples failed (model_error, oom); first: the oom"
    assert (outcome.properties["pb_samples"], outcome.properties["pb_planned"]) == (1, 3)


def test_the_floor_is_a_lower_bound_and_equality_passes(decoded):
    bench, cell = decoded(task=("list_shuffle:n=3",), k=(3,), samples=40)
    score = outcome_of(bench, cell, reused=False, floor=None).score
    assert 0 < score < 1
    assert outcome_of(bench, cell, reused=False, floor=score).ok
    outcome = outcome_of(bench, cell, reused=False, floor=score + 1e-9)
    assert not outcome.ok
    assert outcome.message.startswith(f"accuracy {score:.4f} is below the floor ")


def test_the_exact_law_rejects_too_many_and_too_few(decoded):
    bench, cell = decoded(task=("list_shuffle:n=3",), k=(3,), samples=60)
    assert outcome_of(bench, cell, reused=False, floor=None).ok
    for value in (0.0, 1.0):
        for record in bench.records(cell):
            bench.known.keep(record.with_result(scores={"accuracy": value}))
        message = outcome_of(bench, cell, reused=False, floor=None).message
        assert message.startswith("the exact law expects between ")
        assert f"(mean {60 * 6 / 27:.2f}), got {60 * value:.0f}; " in message  # n! / n^n


def test_a_cell_with_an_unscored_sample_has_no_score_for_junit_either(decoded):
    """The report says None of such a cell; its item must not carry the mean of what is left."""
    bench, cell = decoded(k=(8,), samples=3)
    rewritten(bench, cell, scores={"accuracy": None}, score_reasons={"accuracy": "the tool was down"})
    outcome = outcome_of(bench, cell, reused=False, floor=None)
    assert outcome.score is None
    assert not {"pb_score", "pb_score_low"} & set(outcome.properties)
    assert "1 of 3 samples have no accuracy (scorer_error): the tool was down" in outcome.message


def test_item_and_report_have_the_same_numbers(decoded):
    """Thirds do not add up to 1 in floating point unless they are summed exactly, and once."""
    bench, cell = decoded(task=("shuffle",), k=(32,), samples=10)
    for record in bench.records(cell):
        bench.known.keep(record.with_result(scores={"accuracy": 0.1}))
    run = describe(bench.resources, [cell], missing_tasks=(), notes=())
    (summary,) = summarise(run, bench.known.find).cells
    outcome = outcome_of(bench, cell, reused=False, floor=None)
    assert outcome.score == summary.accuracy == 0.1
    assert outcome.properties["pb_tokens_per_step"] == summary.tps["canvas"]
