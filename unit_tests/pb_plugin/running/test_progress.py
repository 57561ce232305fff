"""What progress prints: rows, forwards per second and time left, seldom enough."""

import io

import pytest

from pb_plugin.running.progress import LIVE_EVERY_S, PLAIN_EVERY_S, Line, Pace, Progress, duration


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def progress_on(out, clock, *, live=False, unhidden=lambda write: write(), left=None):
    return Progress(Line(out, live=live, unhidden=unhidden, clock=clock), left=left, clock=clock)


def test_a_line_tells_rows_forwards_per_second_and_time_left(clock):
    progress = progress_on(io.StringIO(), clock)
    progress.begin("ideal on copy", 40, 320)
    assert progress.line() == "ideal on copy: 0/40 rows, 0.0 forwards/s"
    for _ in range(6):
        progress.forward(8)
    for _ in range(10):
        progress.finished(8)
    clock.now += 4.0
    assert progress.line() == "ideal on copy: 10/40 rows, 1.5 forwards/s, 12 s left"  # 0.4 s a row, 30 left


def test_a_sweep_starts_from_zero(clock):
    progress = progress_on(io.StringIO(), clock)
    progress.begin("a", 2, 16)
    progress.forward(1)
    progress.finished(8)
    progress.begin("b", 5, 40)
    assert progress.line() == "b: 0/5 rows, 0.0 forwards/s"


def test_the_run_is_told_beside_the_sweep_and_counted_once(clock):
    counted = []
    progress = progress_on(io.StringIO(), clock, left=lambda: counted.append(1) or (40, 320))
    for label in ("a", "b"):
        progress.begin(label, 5, 40)
        for _ in range(5):
            progress.finished(8)
        clock.now += 10.0
    assert progress.line() == "b: 5/5 rows, 0.0 forwards/s, 0 s left; run: 10/40 rows, 60 s left"
    assert counted == [1]


def test_time_left_counts_forwards_and_not_rows(clock):
    """In 10 s 4 of 5 rows and 8 of 40 forwards were done: 4 times as many are left, and 9 in the run."""
    progress = progress_on(io.StringIO(), clock, left=lambda: (9, 80))
    progress.begin("a", 5, 40)
    for _ in range(4):
        progress.finished(2)
    clock.now += 10.0
    assert progress.line() == "a: 4/5 rows, 0.0 forwards/s, 40 s left; run: 4/9 rows, 90 s left"


def test_short_sweeps_do_not_put_off_the_line_of_a_log(clock):
    out = io.StringIO()
    progress = progress_on(out, clock, left=lambda: (100, 800))
    for _ in range(4):  # each of them ends before the interval does
        progress.begin("a", 1, 8)
        clock.now += 0.3 * PLAIN_EVERY_S
        progress.forward(1)
        progress.finished(8)
        progress.end()
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119.4, "119 s"), (120, "2 min"), (7140, "119 min"), (7500, "2 h 5 min")],
    ids=str,
)
def test_a_time_is_told_in_the_unit_that_fits(seconds, text):
    assert duration(seconds) == text


def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then(clock):
    out = io.StringIO()
    progress = progress_on(out, clock)
    progress.begin("a", 4, 32)
    for _ in range(100):
        clock.now += 0.99 * PLAIN_EVERY_S / 100
        progress.forward(1)
    assert out.getvalue() == ""
    clock.now += 0.02 * PLAIN_EVERY_S
    progress.forward(1)
    progress.forward(1)
    progress.end()
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().startswith("a: 0/4 rows, ")


def test_on_a_terminal_the_line_is_written_over_and_cleared(clock):
    out = io.StringIO()
    progress = progress_on(out, clock, live=True)
    progress.begin("a", 1000, 8000)
    clock.now += LIVE_EVERY_S
    progress.forward(1)
    long_line = progress.line()
    for _ in range(999):
        progress.finished(8)
    clock.now += 1000.0
    progress.forward(1)
    short_line = progress.line()
    assert out.getvalue() == f"\r{long_line}\r{short_line.ljust(len(long_line))}"
    progress.end()
    assert out.getvalue().endswith("\r" + " " * len(short_line) + "\r")
    assert "\n" not in out.getvalue()
    before = out.getvalue()
    progress.end()
    assert out.getvalue() == before, "there is nothing left to clear"


def test_every_print_steps_out_of_the_capture(clock):
    calls = []
    progress = progress_on(
        io.StringIO(), clock, live=True, unhidden=lambda write: (calls.append("out"), write())
    )
    progress.begin("a", 1, 8)
    clock.now += LIVE_EVERY_S
    progress.forward(1)
    progress.end()
    assert calls == ["out", "out"]


def test_the_watch_of_a_run_is_these_four(clock):
    progress = progress_on(io.StringIO(), clock)
    watch = progress.watch()
    watch.begin("a", 2, 16)
    watch.forward(3)
    watch.finished(8)
    watch.end()
    clock.now += 1
    assert progress.line() == "a: 1/2 rows, 1.0 forwards/s, 1 s left"


def test_a_long_sweep_is_seen_in_a_run(suite, monkeypatch):
    monkeypatch.setattr("pb_plugin.running.progress.PLAIN_EVERY_S", 0.0)
    result = suite.run("--task", "copy", "--unmasking", "random", "--k", "8", "--samples", "4")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["test_bench.py*", "ideal on copy: 0/4 rows, * forwards/s; run: 0/4 rows", ".*"]
    )
    assert len([line for line in result.outlines if line.startswith("ideal on copy: ")]) == 4  # forwards
    again = suite.run("--task", "copy", "--unmasking", "random", "--k", "8", "--samples", "4")
    again.stdout.no_fnmatch_line("ideal on copy: *")


def test_nothing_is_said_of_the_time_left_before_a_known_forward_is_done_nor_less_than_none(clock):
    pace = Pace(3, clock, n_forwards=4)
    clock.now += 2.0
    pace.add(0)
    assert pace.left == ""
    pace.add(8)
    assert pace.left == ", 0 s left"
