"""What an item asserts, seen by breaking things: laws, floors, failures, and whose items they are."""

import json

import pytest

from task_specs.scoring import Scored, resolve_scorer
from unit_tests.pages import EXAMPLES

SMALL = ("--task", "copy", "--k", "4", "--samples", "4")


def always(value):
    def scorer(text, sample, measured):
        return Scored(values={"accuracy": value, "accuracy_strict": value})

    return lambda name: scorer


@pytest.mark.parametrize(
    ("task", "unmasking", "why"),
    [
        ("shuffle", "random", "it was decoded one token per step"),
        ("copy", "threshold:gamma=0.5", "its answer is determined (C(Y|X) = 0)"),
    ],
)
def test_a_scorer_that_denies_a_right_answer_is_caught(suite, monkeypatch, task, unmasking, why):
    monkeypatch.setattr("pb_plugin.asking.samples.resolve_scorer", always(0.0))
    ks = ("--k", "1") if unmasking == "random" else ()
    result = suite.run("--task", task, "--unmasking", unmasking, *ks, "--samples", "4")
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"{task} ideal *: 0 % of 4, the exact model must be right on n?-???, because {why}, got *"]
    )


def test_a_scorer_that_accepts_everything_is_caught_by_the_exact_law(suite, monkeypatch):
    monkeypatch.setattr("pb_plugin.asking.samples.resolve_scorer", always(1.0))
    result = suite.run("--task", "shuffle", "--unmasking", "random", "--k", "1,32", "--samples", "40")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "failed, 1 item: the exact law expects between 0 and * correct samples (mean *), got 40; "
            "the loop, the ties or the scorer of shuffle changed"
        ]
    )


def test_the_exact_law_of_a_thought_asks_for_the_trace_too(suite):
    """With trace and answer at once most right answers have another trace; the score asks for the answer."""
    task = f"{EXAMPLES / 'think_places_shuffle.yaml'}:cot=true;n=2"
    result = suite.run("--task", task, "--unmasking", "random", "--k", "1,4", "--block-length", "16,32")
    result.assert_outcomes(passed=4)


def test_ties_broken_in_a_fixed_order_are_caught_by_the_exact_law(suite, monkeypatch):
    options = ("--task", "list_shuffle:n=3", "--unmasking", "random", "--k", "1,3")
    suite.run(*options, store=suite.pytester.path / "unbiased").assert_outcomes(passed=2)
    monkeypatch.setattr("decoders.models.ideal.Ideal.unbiased_ties", False)
    result = suite.run(*options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["failed, 1 item: the exact law expects between * and * correct *, got 0; *"])


def test_a_stored_result_is_judged_again(suite):
    options = ("--task", "copy", "--unmasking", "random", "--k", "1", "--samples", "2")
    suite.run(*options).assert_outcomes(passed=1)
    (file,) = suite.store.glob("*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["scores"]["accuracy"] = 0.0
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = suite.run(*options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["failed, 1 item: the exact model must be right on *", "1 of 1 items reused*"]
    )


@pytest.mark.parametrize(
    ("floor", "outcomes"), [("0.9", {"failed": 1, "passed": 1}), ("0.0", {"passed": 2})], ids=["high", "low"]
)
def test_a_floor_fails_the_items_of_its_task_below_it(suite, floor, outcomes):
    options = ("--task", "copy,shuffle", "--unmasking", "random", "--k", "32", "--samples", "8")
    result = suite.run(*options, "--pb-floor", f"shuffle={floor}", "--pb-floor", "copy=1")
    result.assert_outcomes(**outcomes)
    if outcomes.get("failed"):
        result.stdout.fnmatch_lines(["failed, 1 item: accuracy 0.* is below the floor 0.9 of task shuffle"])
        line = "shuffle ideal random k=32: * % of 8, accuracy 0.* is below the floor 0.9 of task shuffle"
        result.stdout.fnmatch_lines(["*= FAILURES =*", "*[[]shuffle-ideal-random-k32[]]*", line])
        result.stdout.no_fnmatch_line("*AssertionError*")


def test_an_assertion_of_the_test_itself_is_shown_as_it_is(suite):
    suite.pytester.makepyfile(
        test_bench="""
        def test_cell(pb_cell, pb_record):
            result = pb_record(pb_cell)
            assert not result.ok, "my own condition"
        """
    )
    options = ("--task", "shuffle", "--unmasking", "random", "--k", "32", "--samples", "2")
    result = suite.run(*options)
    result.stdout.fnmatch_lines(["E *AssertionError: my own condition"])
    failing = suite.run(*options, "--pb-floor", "shuffle=1")
    failing.assert_outcomes(passed=1)
    suite.pytester.makepyfile(
        test_bench="""
        def test_cell(pb_cell, pb_record):
            result = pb_record(pb_cell)
            assert result.score == 2.0, "my own condition"
        """
    )
    failing = suite.run(*options, "--pb-floor", "shuffle=1")
    failing.stdout.fnmatch_lines(["E *AssertionError: my own condition"])


def test_a_terminal_that_can_little_shows_everything(suite, monkeypatch):
    """Neither colours nor a line that is written over, nor letters beyond ASCII."""
    for name, value in {
        "PYTHONIOENCODING": "ascii",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "80",
    }.items():
        monkeypatch.setenv(name, value)
    store = suite.pytester.path / "été"
    options = ("--task", "copy", "--unmasking", "random", "--k", "32", "--samples", "2")
    result = suite.run_apart(*options, store=store)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["copy *100*", "0 of 1 items reused; records in *"])
    assert result.outlines[-2].endswith(r"/\xe9t\xe9")
    assert not set("\x1b\r") & set(result.stdout.str())


def test_missing_samples_fail_the_item_and_keep_the_others(suite, monkeypatch):
    from decoders.loop import batching

    whole = batching.sweep

    def lossy(model, rows, **options):
        return (row for row in whole(model, rows, **options) if row.key != 0)

    monkeypatch.setattr("decoders.loop.batching.sweep", lossy)
    result = suite.run(*SMALL, "--unmasking", "random,confidence")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["failed, 1 item: 1 of 4 samples were not decoded; run the same command again"]
    )
    assert len(suite.records()) == 7
    monkeypatch.setattr("decoders.loop.batching.sweep", whole)
    suite.run(*SMALL, "--unmasking", "random,confidence").assert_outcomes(passed=2)
    assert len(suite.records()) == 8


def failing(text, sample, measured):
    raise KeyError("items")


def bare(text, sample, measured):
    return 0.5


def unsure(text, sample, measured):
    return Scored(values={"accuracy": None}, reasons={"accuracy": "no grammar backend"})


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (failing, "4 of 4 samples failed (scorer_error); first: scorer list raised KeyError: 'items'"),
        (
            bare,
            "4 of 4 samples failed (scorer_error); first: scorer list must return Scored, got 0.5; "
            "wrap the values in one",
        ),
        (unsure, "4 of 4 samples have no accuracy (scorer_error): no grammar backend"),
    ],
)
def test_what_a_scorer_cannot_score_is_no_score(suite, monkeypatch, scorer, message):
    monkeypatch.setattr("pb_plugin.asking.samples.resolve_scorer", lambda name: scorer)
    result = suite.run(*SMALL, "--unmasking", "random")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"failed, 1 item: {message}"])
    (cell,) = json.loads(suite.summary())["cells"]
    assert cell["accuracy"] is None


def test_numbers_of_a_scorer_that_are_no_plain_floats_are_stored_as_such(suite, monkeypatch):
    class Number(float):
        """Like numpy's."""

    def scorer(text, sample, measured):
        found = resolve_scorer("list")(text, sample, measured)
        return Scored(values={name: Number(value) for name, value in found.values.items()})

    monkeypatch.setattr("pb_plugin.asking.samples.resolve_scorer", lambda name: scorer)
    suite.pytester.makeconftest(
        """
        def pytest_runtest_logreport(report):
            for name, value in report.user_properties:
                assert type(value) in (str, int, float), name
            assert type(report.pb["score"]) in (float, type(None))
        """
    )
    suite.run(*SMALL, "--unmasking", "random").assert_outcomes(passed=1)


def test_a_users_own_assertion_is_the_reason_that_is_shown(suite):
    suite.pytester.makepyfile(
        test_bench="""
        def test_cell(pb_cell, pb_record):
            assert pb_record(pb_cell).score > 2, "twice as good as perfect"
        """
    )
    result = suite.run(*SMALL, "--unmasking", "random,margin")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["failed, 2 items: twice as good as perfect"])


def test_a_task_without_reference_answers_is_an_unscored_skip_on_the_exact_model(suite):
    suite.pytester.path.joinpath("no_answers.jsonl").write_text(
        '{"id": "a", "fields": {"word": "hi"}}\n{"id": "b", "fields": {"word": "ho"}}\n'
    )
    suite.pytester.path.joinpath("say.yaml").write_text(
        "id: say\ncategory: mine\nversion: 1\nprompt: Say {word}.\ncanvas: 8\nscorer: list\nscore: accuracy\n"
        "data: no_answers.jsonl\n"
    )
    result = suite.run("--task", "say.yaml", "--unmasking", "random", "--k", "1,8")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        ["skipped, 2 items: unscored: model ideal needs reference answers, and the data hold none for say/*"]
    )
    assert not suite.records()
