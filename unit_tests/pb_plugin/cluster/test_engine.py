"""Runs whose workers are sessions of their own, without Ray: the same results, faults, and how they end."""

from collections import Counter

import pytest

from pb_plugin.cluster import engine

SMALL = ("--task", "copy,shuffle", "--unmasking", "random", "--k", "4,8", "--samples", "4")
ELSEWHERE = ("--pb-engine", "ray")


def keys(suite, store=None):
    return Counter(record.decode_key for record in suite.records(store) if not record.failed)


def test_it_gives_what_one_process_gives_and_decodes_nothing_twice(suite, link):
    link.places = 1
    suite.run(*SMALL).assert_outcomes(passed=4)
    apart = suite.pytester.path / "apart"
    suite.run(*SMALL, "-k", "shuffle and k8", store=apart).assert_outcomes(passed=1)
    gate = ("--pb-gate", "copy:score@k4>=100")
    result = suite.run(*SMALL, *ELSEWHERE, *gate, store=apart)
    result.assert_outcomes(passed=5)
    assert suite.summary(apart) == suite.summary()
    assert keys(suite, apart) == keys(suite), "what is stored goes to the worker and is used"
    result.stdout.fnmatch_lines(["parallelbench: threads", "gate passed: *", "1 of 4 items reused; *"])
    result.stdout.fnmatch_lines(["parallelbench: ray0 on *: the CPU, 1 thread"])


@pytest.mark.slow
def test_an_item_that_always_crashes_fails_with_how_and_every_other_runs(suite, link):
    options = ("--task", "copy", "--unmasking", "random", "--unmasking", "user_code:Crashing", "--k", "4,8")
    result = suite.run(*options, "--samples", "2", *ELSEWHERE)
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["failed, 1 item: *(worker_crash); first: left out: it stopped the *"])
    assert len(keys(suite)) == 3 * 2
    assert set(keys(suite).values()) == {1}


@pytest.mark.slow
def test_a_worker_that_is_lost_costs_nothing_and_is_replaced(suite, link, monkeypatch):
    link.places = 1
    run = link.run

    def lose_the_first(worker, *what):
        run(worker, *what)
        if worker == "ray0":
            link.lose(worker)

    monkeypatch.setattr(link, "run", lose_the_first)
    result = suite.run(*SMALL, *ELSEWHERE)
    result.assert_outcomes(passed=4)
    assert {worker for worker, _, _ in link.runs} == {"ray0", "ray1"}
    assert len(keys(suite)) == 4 * 4


def test_an_item_that_takes_every_worker_along_is_named_and_the_run_ends(suite, link, monkeypatch):
    link.places = 1

    def lose(worker, nodeids, *what):
        begun = {"kind": "start", "nodeid": nodeids[0], "location": ("test_bench.py", 1, "test_cell")}
        link.tell(worker, [begun])
        link.lose(worker)

    monkeypatch.setattr(link, "run", lose)
    result = suite.run("-k", "copy and k4", *SMALL, *ELSEWHERE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*3 workers ended while they ran it, the last was worker 'ray?' on *: its machine is gone"]
    )


@pytest.mark.slow
def test_workers_that_are_lost_before_an_item_has_begun_blame_none(suite, link, monkeypatch):
    link.places = 1
    run = link.run

    def lose_but_the_last(worker, *what):
        if worker == f"ray{engine.REPLACED}":
            run(worker, *what)
        else:
            link.lose(worker)

    monkeypatch.setattr(link, "run", lose_but_the_last)
    suite.run("-k", "copy and k4", *SMALL, *ELSEWHERE).assert_outcomes(passed=1)


@pytest.mark.slow
def test_it_stops_at_the_first_failure(suite, link):
    result = suite.run(
        *SMALL, "--pb-floor", "shuffle=1", "--pb-floor", "copy=1", "--k", "32", "-x", *ELSEWHERE
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_keeps_what_is_stored(suite, link, monkeypatch):
    events, record = link.events, []

    def interrupted(timeout):
        found = events(timeout)
        record.extend(message for event in found for message in event.messages if message["kind"] == "record")
        if record and not link.is_interrupted:
            link.is_interrupted = True
            raise KeyboardInterrupt
        return found

    link.is_interrupted, link.places = False, 1
    monkeypatch.setattr(link, "events", interrupted)
    arguments = suite.arguments(*SMALL, *ELSEWHERE)
    result = suite.pytester.runpytest_inprocess(*arguments, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert set(keys(suite).values()) <= {1}
    monkeypatch.setattr(link, "events", events)
    suite.run(*SMALL, *ELSEWHERE).assert_outcomes(passed=4)
    assert len(keys(suite)) == 4 * 4
    assert set(keys(suite).values()) == {1}


def test_without_any_worker_the_items_fail_with_the_reason(suite, link, monkeypatch):
    monkeypatch.setattr(link, "add", lambda worker, setup: None)
    monkeypatch.setattr(engine, "STARTING_S", 0.0)
    result = suite.run(*SMALL, *ELSEWHERE)
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["failed, 4 items: no worker is left: no worker found a place in 0 s"])


@pytest.mark.slow
def test_a_machine_without_the_items_is_not_used_and_says_so(suite, link, monkeypatch):
    add = link.add
    monkeypatch.setattr(
        link,
        "add",
        lambda name, setup: add(name, {**setup, "nodeids": [*setup["nodeids"], "other.py::t"]}),
    )
    result = suite.run("-k", "copy", *SMALL, *ELSEWHERE)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["failed, 2 items: no worker is left: 1 items of the run are not in *, such as other.py::t; have *"]
    )


def test_a_folder_that_is_not_there_is_named(suite, link, monkeypatch):
    add = link.add
    monkeypatch.setattr(link, "add", lambda name, setup: add(name, {**setup, "folder": "/nowhere/at/all"}))
    result = suite.run("-k", "copy", *SMALL, *ELSEWHERE)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["failed, 2 items: no worker is left: no session can be started: *nowhere*"])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--pb-timing",), "--pb-timing"),
        (("--pb-sweep", "gate", "--pb-gate", "PB80>=1"), "--pb-sweep gate"),
        (("--pdb",), "--pdb"),
    ],
)
def test_what_needs_one_process_is_refused(suite, link, options, name):
    result = suite.run(*SMALL, *ELSEWHERE, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --pb-engine ray must come without {name}, got both; *"])


def test_without_ray_the_extra_is_named(suite, monkeypatch):
    monkeypatch.setattr("pb_plugin.cluster.sharing.find_spec", lambda name: None)
    result = suite.run(*SMALL, *ELSEWHERE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --pb-engine ray must have Ray, *parallelbench-pytest?cluster?'"])
