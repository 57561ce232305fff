"""What is told of a run that is going on: samples done, time left, and curves that fill in."""

from pb_plugin.report.html.numbers import numbers_of
from pb_plugin.report.stored import read_report
from pb_plugin.viewing.live import Live, run_going_on


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def points(found, task):
    (curve,) = found["numbers"]["curves"]
    return [cell["y"] for cell in curve["cells"] if cell["task"] == task]


def test_a_run_fills_in_and_ends_with_the_numbers_of_its_report(going_on):
    clock = Clock()
    live = Live(going_on.store, *run_going_on(going_on.store), clock)
    begin = live.json()
    assert (begin["ended"], begin["done"], begin["total"]) == (False, 0, 12)
    assert begin["state"] == "0/12 samples, 0.0 forwards/s"
    assert points(begin, "copy") == [None, None]
    going_on.decode("copy")
    clock.now += 9.0
    half = live.json()
    assert half["state"] == "6/12 samples, 3.0 forwards/s, 9 s left"  # 3 of 8 and 3 of 1 forwards
    assert points(half, "copy") == [100.0, 100.0]
    assert points(half, "shuffle") == [None, None]
    going_on.decode("shuffle")
    going_on.end()
    end = live.json()
    assert (end["ended"], end["state"], end["done"]) == (True, "The run has ended.", 12)
    assert end["numbers"] == numbers_of(read_report(going_on.store, None))
    assert run_going_on(going_on.store) is None


def test_what_was_stored_before_is_done_and_says_nothing_about_the_pace(going_on):
    going_on.decode("copy")
    clock = Clock()
    live = Live(going_on.store, *run_going_on(going_on.store), clock)
    clock.now += 5.0
    assert live.json()["state"] == "6/12 samples, 0.0 forwards/s"


def test_the_page_shows_what_is_stored_and_may_ask_for_more(going_on):
    going_on.decode("copy")
    text = Live(going_on.store, *run_going_on(going_on.store)).page()
    assert 'content="connect-src &#39;self&#39;; default-src &#39;none&#39;' in text
    assert 'id="live-state"' in text
    assert "is still going on" in text


def test_a_run_that_was_killed_or_told_no_plan_is_not_going_on(going_on):
    plan = going_on.mark.path.with_suffix(".plan")
    text = plan.read_text(encoding="ascii")
    for damaged in ("", "{}", text[:100]):
        plan.write_text(damaged, encoding="ascii")
        assert run_going_on(going_on.store) is None
    plan.write_text(text, encoding="ascii")
    assert run_going_on(going_on.store) is not None
    going_on.mark.release()
    assert run_going_on(going_on.store) is None


def test_a_folder_that_is_not_there_has_no_run(tmp_path):
    assert run_going_on(tmp_path / "none") is None
